"""The energy of a sequence as the sum of what each token costs after those before it.

Legend: B samples, N prefixes, S tokens of the prompt, T places, K categories.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lowland.domains import Domain, Tokens
from lowland.energies.base import Energy, ReferenceCase
from lowland.energies.structure import Continuation, Structure
from lowland.errors import DomainError, OptionError
from lowland.nn.decoders import TransformerDecoder
from lowland.registry import register


@register("energy")
class Autoregressive(Energy):
    """E(x, y) = −Σ_t log p(y_t | x, y_1 … y_t−1), p from a network that reads the prompt x and then y.

    exp(−E) is normalised, so log Z = 0. With `ends` a sequence may end before its last place, and ends there with a
    token of its own, K, whose cost is part of E; one that fills all places has no further cost. Decoding is inference:
    `BeamSearch` for the least E, `Ancestral` for draws. Source: textbook; Bengio et al. 2003 for a network as p.

    Args:
        network: tokens (N, L) int64 and the memory of those read before, or None → scores (N, L, K + 1), and the memory
            of all; with an attribute `categories`, K. See `lowland.nn.decoders`. K marks the beginning and the end. A
            network that reads its prompt apart may leave out the scores of the prompt; see `lowland.nn.translation`.
        length: T.
        prompt: S, the length of x; 0 for an energy of y alone.
        ends: whether sequences may be shorter than T.

    Raises:
        OptionError: for a network without `categories`, or a negative prompt.
        DomainError: for a prompt that is not made of tokens.

    A y that is outside of its domain has E = +∞.

    >>> energy = Autoregressive(TransformerDecoder(4), length=6)
    >>> energy(y=torch.zeros(2, 6)).shape
    torch.Size([2])
    """

    def __init__(self, network: nn.Module, length: int, prompt: int = 0, ends: bool = False) -> None:
        categories = getattr(network, "categories", None)
        if categories is None:
            raise OptionError(
                f"{type(network).__name__} has no `categories`: a decoder must state how many tokens it reads."
            )
        if prompt < 0:
            raise OptionError(f"prompt must be at least 0, but it is {prompt}.")
        domains: dict[str, Domain] = {"x": Tokens(categories, prompt)} if prompt else {}
        domains["y"] = Tokens(categories, length, "end" if ends else "none")
        super().__init__(**domains)
        self.network, self.categories, self.length, self.ends = network, categories, length, ends

    def encode(self, x: Tensor) -> Tensor:
        """X itself, once it is known to be made of tokens."""
        if not torch.compiler.is_exporting():
            wrong = ((x < 0) | (x >= self.categories) | (x != x.round())) & ~x.isnan()
            if bool(wrong.any()):
                row = int(wrong.any(dim=1).nonzero()[0])
                raise DomainError(
                    f"Sample {row} has the prompt {x[row].tolist()[:10]}, but tokens are whole numbers from 0 to "
                    f"{self.categories - 1}."
                )
        return x

    def energy(self, x: Tensor | None, y: Tensor, z: Any) -> Tensor:
        gone = (y < 0).cumsum(dim=1)
        # What stands behind the end costs nothing, so that the places where all have ended are not read.
        whole = torch.compiler.is_exporting() or not len(y)
        places = self.length if whole else max(1, int((gone <= 1).sum(dim=1).max()))
        read = y[:, :places]
        scores, _ = self.network(torch.cat([self._opening(x, y.shape[0]), self._numbers(read)[:, :-1]], dim=1))
        likely = self._likely(scores[:, -places:])
        wanted = torch.where(read < 0, likely.shape[2] - 1, self._numbers(read))
        each = -likely.gather(2, wanted[:, :, None])[:, :, 0]
        total = torch.where(gone[:, :places] > 1, 0.0, each).sum(dim=1)
        least = -1 if self.ends else 0
        right = (y == y.round()) & (y >= least) & (y < self.categories) & ((gone == 0) | (y == -1))
        total = torch.where(right.all(dim=1), total, torch.inf)
        return total + self._nothing(y, total) + (0 if x is None else self._nothing(x, total))

    def log_partition(self, x: Any) -> Tensor:
        return next(self.network.parameters()).new_zeros(())

    def structure(self, over: tuple[str, ...], x: Any, y: Any, z: Any) -> Structure:
        if over != ("y",) or (x is None and "x" in self.domains):
            return Structure()
        return Structure(continuation=Continuation(lambda: self._begin(x), self._extend))

    def _begin(self, x: Tensor | None) -> tuple[Tensor, Any]:
        scores, memory = self.network(self._opening(x, 1 if x is None else x.shape[0]))
        costs = self._costs(scores[:, -1])
        return costs if x is None else costs + self._nothing(x, costs)[:, None], memory

    def _extend(self, memory: Any, token: Tensor) -> tuple[Tensor, Any]:
        scores, memory = self.network(token[:, None], memory)
        return self._costs(scores[:, -1]), memory

    def _opening(self, x: Tensor | None, batch: int) -> Tensor:
        """What the network reads before y: K, and the prompt."""
        device = next(self.network.parameters()).device
        mark = torch.full((batch, 1), self.categories, dtype=torch.int64, device=device)
        return mark if x is None else torch.cat([mark, self._numbers(x)], dim=1)

    def _numbers(self, tokens: Tensor) -> Tensor:
        """Whole numbers that the network can read, whatever stands there."""
        return tokens.nan_to_num(0.0).long().clamp(0, self.categories - 1)

    def _costs(self, scores: Tensor) -> Tensor:
        """−log p of the tokens that may follow, from scores (..., K + 1)."""
        return -self._likely(scores)

    def _likely(self, scores: Tensor) -> Tensor:
        return (scores if self.ends else scores[..., : self.categories]).log_softmax(dim=-1)

    def _nothing(self, tokens: Tensor, like: Tensor) -> Tensor:
        """0 for each row, or NaN where a token is none."""
        return (tokens - tokens).sum(dim=1).to(like.dtype)

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """Tokens are 0 and 1 with probabilities ⅓ and ⅔, whatever comes before: the least E of three is 3 log 1.5."""
        network = TransformerDecoder(2, width=4, depth=1, heads=1)
        network.out.weight.data.zero_()
        network.out.bias.data = torch.tensor([1.0, 2.0, 1.0]).log()
        x = torch.tensor([[0.0, 1.0], [1.0, 1.0]])
        minimum = torch.full((2,), 1.5).log() * 3
        return ReferenceCase(cls(network, length=3, prompt=2), {"x": x}, "y", minimum, torch.ones(2, 3))

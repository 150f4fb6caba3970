"""Translation by gated convolutions with attention in every layer of the writer (ConvS2S).

Legend: N sequences, L tokens, S words, D width, M layers of the reader, R layers of the writer, k width of the kernel.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.errors import OptionError
from lowland.nn.layers import linear
from lowland.nn.translation import Translator

_HALF = math.sqrt(0.5)


class ConvolutionalTranslator(Translator):
    """ConvS2S: Gehring, Auli, Grangier, Yarats & Dauphin, "Convolutional sequence to sequence learning" (2017).

    A layer is a convolution with gates, v(a, b) = a ⊗ σ(b), and a residual connection that is scaled by √½:

        h ← (v(W [h_t−… … h_t+…]) + h) √½.

    The reader's convolution sees both sides, the writer's only what is before it. In each layer of the writer, with the
    vectors g_t of its tokens (section 3.3 there), z_s what the reader has read and e_s the vectors of the words,

        d_t = (W_d v_t + g_t) √½,   a_t = softmax_s(d_t · z_s / √D),   c_t = √m · W_c Σ_s a_ts (z_s + e_s) √½,

    and (v_t + c_t) √½ is what the residual connection adds to h_t; m is the number of words. Vectors of words and
    tokens have those of their place added. Differences from the paper: the weights are not normalised, d · z is divided
    by √D, and vectors and layers are of one width.

    The memory of the writer is, for each layer, its last k − 1 inputs, so that a token is computed once.

    Args:
        words, tokens, prompt, generator, tied: see `Translator`.
        length: most tokens that are written; later ones have the place of the last.
        width: D.
        depth: M and R.
        kernel: k.

    Raises:
        OptionError: for a length or a depth below 1, or a kernel below 2.

    >>> network = ConvolutionalTranslator(words=5, tokens=5, prompt=3, length=4, width=8)
    >>> scores, memory = network(torch.tensor([[5, 0, 1, 4, 2, 3]]))
    >>> scores.shape, memory["before 0"].shape
    (torch.Size([1, 3, 6]), torch.Size([1, 2, 8]))
    """

    def __init__(
        self, words: int, tokens: int, prompt: int, length: int, width: int = 64, depth: tuple[int, int] = (3, 3),
        kernel: int = 3, generator: torch.Generator | None = None, tied: bool = False,
    ) -> None:  # fmt: skip
        if length < 1 or min(depth) < 1 or kernel < 2:
            raise OptionError(
                f"A convolutional translator needs a length and layers of at least 1 and a kernel of at least 2, not "
                f"{length}, {depth} and {kernel}."
            )
        generator = generator or torch.Generator().manual_seed(0)
        super().__init__(words, tokens, prompt, width, generator, tied)
        self.kernel, self.depth = kernel, depth
        self.places = nn.ParameterList(
            [torch.randn(count + 1, width, generator=generator) / math.sqrt(width) for count in (prompt, length)]
        )
        self.reader, self.writer = (
            nn.ModuleList([_gated(kernel * width, width, generator) for _ in range(count)]) for count in depth
        )
        self.asks, self.gets = (
            nn.ModuleList([linear(width, width, generator) for _ in range(depth[1])]) for _ in range(2)
        )
        self.key, self.mixed = linear(width, width, generator), linear(width, width, generator)
        self.out = None if tied else linear(width, tokens + 1, generator)

    def read(self, words: Tensor) -> dict[str, Any]:
        unseen = self.unseen(words)
        shown = (~unseen)[:, :, None].to(self.written.dtype)
        embedded = self._vectors("words", self.table()[words], self.places[0][: words.shape[1]]) * shown
        state, before = embedded, (self.kernel - 1) // 2
        for layer in self.reader:
            padded = functional.pad(state, (0, 0, before, self.kernel - 1 - before))
            # What is behind the end stays 0, as it is for a row that ends there.
            state = (self._convolve(layer, padded) + state) * (_HALF * shown)
        read = self.key(state)
        nothing = state.new_zeros(len(words), self.kernel - 1, self.width)
        memory = {f"before {number}": nothing for number in range(self.depth[1])}
        place = torch.zeros(len(words), 1, dtype=torch.int64, device=words.device)
        return memory | {"keys": read, "values": (read + embedded) * _HALF, "blank": unseen, "place": place}

    def write(
        self, tokens: Tensor, memory: dict[str, Any], looking: bool = False
    ) -> tuple[Tensor, dict[str, Any], Tensor | None]:
        count, unseen = tokens.shape[1], memory["blank"][:, None]
        place = memory["place"] + torch.arange(count, device=tokens.device)
        places = self.places[1][place.clamp_max(len(self.places[1]) - 1)]
        given = state = self._vectors("written", self.written[tokens], places)
        many = (~unseen).sum(dim=2, keepdim=True).to(given.dtype).sqrt()
        kept, shares = {"place": memory["place"] + count}, []
        for number, (layer, ask, get) in enumerate(zip(self.writer, self.asks, self.gets, strict=True)):
            inputs = torch.cat([memory[f"before {number}"], state], dim=1)
            kept[f"before {number}"] = inputs[:, count:]
            new = self._convolve(layer, inputs)
            query = (ask(new) + given) * _HALF
            fit = query @ memory["keys"].transpose(1, 2) / math.sqrt(self.width)
            share = fit.masked_fill(unseen, -torch.inf).softmax(dim=2)
            new = (new + many * get(share @ memory["values"])) * _HALF
            state = (new + state) * _HALF
            shares.append(share)
        mean = torch.stack(shares).mean(dim=0) if looking else None
        return self.thin("mixed", self.mixed(state)), memory | kept, mean

    def _vectors(self, name: str, vectors: Tensor, places: Tensor) -> Tensor:
        """Vectors of words or tokens with those of their places, of variance 1."""
        return self.thin(name, (vectors + places) * math.sqrt(self.width / 2))

    def _convolve(self, layer: nn.Module, inputs: Tensor) -> Tensor:
        """The gated convolution of (N, L + k − 1, D) to (N, L, D), as one product of matrices."""
        count = inputs.shape[1] - self.kernel + 1
        beside = torch.cat([inputs[:, first : first + count] for first in range(self.kernel)], dim=2)
        return functional.glu(layer(beside), dim=2)


def _gated(inputs: int, width: int, generator: torch.Generator) -> nn.Linear:
    """Weights with the deviation 2 / √n, which keeps the variance through gates (section 3.5 of the paper)."""
    layer = linear(inputs, 2 * width, generator)
    with torch.no_grad():
        layer.weight.normal_(0, 2 / math.sqrt(inputs), generator=generator)
        layer.bias.zero_()
    return layer

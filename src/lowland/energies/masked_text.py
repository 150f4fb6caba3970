"""Masked text: how surprising the words of a line are, given the others and the lines before (systems C3, J4).

Shape letters: B lines, T tokens of a line, L earlier lines.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lowland.domains import Binary, Tokens
from lowland.energies.base import Energy, ReferenceCase
from lowland.nn.cloze import ClozeTransformer
from lowland.registry import register


@register("energy")
class MaskedText(Energy):
    """E(x, y, z) = −Σ_i z_i log p(y_i | rest), z_i = 1 where word i is hidden: badly predicted words have energy.

    The rest of word i are the L lines before, x, the words that are not hidden, and the hidden ones before i. So E is
    −log p(hidden words | shown words, x) by the chain rule. With a single 1 in z it is the masked language model of
    Devlin et al., "BERT" (2019), section 3.1, and the sum over these T energies is the pseudo-likelihood (Salazar et
    al. 2020, equation 2); with z = 1 everywhere it is −log p(y | x). It is normalised for each word, so that it cannot
    be low for all of them; `Masked` trains it on random z.

    Args:
        network: p, its number of words, T and L.

    >>> energy = MaskedText(ClozeTransformer(words=10, length=4, before=2, width=8, heads=2))
    >>> x, y, z = torch.full((1, 8), -1.0), torch.tensor([[3.0, 1.0, 4.0, -1.0]]), torch.tensor([[0.0, 1.0, 0.0, 0.0]])
    >>> energy(x, y, z).shape
    torch.Size([1])
    """

    def __init__(self, network: ClozeTransformer) -> None:
        words, length = network.words, network.length
        super().__init__(
            x=Tokens(words, network.before * length, empty="any"),
            y=Tokens(words, length, empty="end"),
            z=Binary(length),
        )
        self.network = network

    def encode(self, x: Tensor) -> Tensor:
        """The lines before, (B, L, T)."""
        return x.long().unflatten(1, (self.network.before, self.network.length))

    def energy(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        return self._costs(x, y.long(), z)

    def hidden_error(self, y: Tensor, mask: Tensor, x: Any = None) -> Tensor:
        """The energy of the hidden words, (B,), scaled up to all of the line; `mask` is 1 where a word is seen."""
        before = y.new_full((len(y), self.network.before * self.network.length), -1) if x is None else x
        longest = max(1, int((y >= 0).sum(dim=1).max())) if len(y) else 1
        y, hidden = y[:, :longest].long(), (1 - mask[:, :longest]) * (y[:, :longest] >= 0)
        count = (y >= 0).sum(dim=1) / hidden.sum(dim=1).clamp_min(1)
        return self._costs(self.encode(before), y, hidden) * count

    def _costs(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        chances = self.network(y, x, z < 0.5).log_softmax(dim=2)
        own = chances.gather(2, y.clamp_min(0)[..., None])[..., 0]
        return -(z * torch.where(y >= 0, own, 0.0)).sum(dim=1)

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """A network that knows nothing but that the first of two words has twice the odds."""
        network = ClozeTransformer(words=2, length=2, before=1, width=4, depth=1, heads=2)
        with torch.no_grad():
            network.embedding.zero_()
            network.bias.copy_(torch.tensor([2.0, 1.0]).log())
        y, z = torch.tensor([[1.0, 0.0], [0.0, -1.0]]), torch.ones(2, 2)
        return ReferenceCase(cls(network), {"x": torch.full((2, 2), -1.0), "y": y}, "z", torch.zeros(2), 0 * z)

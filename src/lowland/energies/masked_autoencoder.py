"""The masked auto-encoder (system C3): the energy is how badly hidden parts are predicted from the rest."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lowland.domains import Reals
from lowland.energies.base import Energy, ReferenceCase
from lowland.errors import OptionError
from lowland.nn.layers import mlp
from lowland.registry import register


@register("energy")
class MaskedAutoencoder(Energy):
    """F(y) = mean over masks m of ‖(1 − m) ⊙ (y − r(m ⊙ y, m))‖² · D / #hidden: the error on hidden parts.

    The masks are fixed, so F is deterministic: they are drawn once, in pairs of a mask and its complement, and `Masked`
    trains r on new masks at each step. It is the masked language model of Devlin et al. (2019) and the inpainting of
    Pathak et al. (2016) for vectors.

    Args:
        n_features: D, the size of y.
        hidden: sizes of the hidden layers of r, which takes (m ⊙ y, m).
        n_masks: number of fixed masks; must be even.
        visible: fraction of the coordinates that the first mask of each pair shows.
        generator: draws masks and initial weights.

    Raises:
        OptionError: for an odd number of masks, or a fraction that shows all or nothing.

    >>> MaskedAutoencoder(4, hidden=(8,))(y=torch.zeros(2, 4)).shape
    torch.Size([2])
    """

    masks: Tensor

    def __init__(
        self,
        n_features: int,
        hidden: tuple[int, ...] = (256, 256),
        n_masks: int = 16,
        visible: float = 0.5,
        generator: torch.Generator | None = None,
    ) -> None:
        shown = round(visible * n_features)
        if n_masks < 2 or n_masks % 2 or not 0 < shown < n_features:
            raise OptionError(
                f"MaskedAutoencoder needs an even number of masks and 0 < visible < 1, not {n_masks} and {visible}."
            )
        super().__init__(y=Reals(n_features))
        generator = generator or torch.Generator().manual_seed(0)
        order = torch.rand(n_masks // 2, n_features, generator=generator).argsort(dim=1)
        first = (order < shown).to(torch.get_default_dtype())
        self.register_buffer("masks", torch.cat([first, 1 - first]))
        self.network = mlp(2 * n_features, *hidden, n_features, generator=generator)

    def fill(self, y: Tensor, mask: Tensor) -> Tensor:
        """r(m ⊙ y, m), (B, D): the prediction of y from its visible part; `mask` is (B, D), 1 where y is visible."""
        return self.network(torch.cat([mask * y, mask], dim=1))

    def hidden_error(self, y: Tensor, mask: Tensor, x: Any = None) -> Tensor:
        """(B,), the squared error on the hidden coordinates, scaled up to D coordinates; there is no x."""
        hidden = 1 - mask
        error = (hidden * (y - self.fill(y, mask))).square().sum(dim=1)
        return error * y.shape[1] / hidden.sum(dim=1).clamp_min(1)

    def energy(self, x: Any, y: Tensor, z: Any) -> Tensor:
        count = len(self.masks)
        masks = self.masks.repeat(y.shape[0], 1)
        return self.hidden_error(y.repeat_interleave(count, dim=0), masks).reshape(-1, count).mean(dim=1)

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """A network that always answers 1 is right where y = 1."""
        energy = cls(3, hidden=(), n_masks=2, visible=0.34)
        weight, bias = energy.network.parameters()
        weight.data.zero_()
        bias.data.fill_(1.0)
        return ReferenceCase(energy, {}, "y", minimum=torch.zeros(1), minimiser=torch.ones(1, 3))

"""The saturating auto-encoder (system A3): codes are pushed to the flat regions of their activation."""

from __future__ import annotations

import torch
from torch import Tensor

from lowland.energies.autoencoder import Autoencoder
from lowland.energies.base import Energy
from lowland.energies.protocols import Saturating, offered
from lowland.errors import OptionError
from lowland.registry import register
from lowland.shaping.base import Batch, ShapingCase
from lowland.shaping.regularised.minimum_energy import MinimumEnergy


@register("shaping")
class Saturation(MinimumEnergy):
    """L = mean F(y) + α · mean Σ_i f_c(a_i).

    a_i is the code before its activation f, and f_c the distance of a_i from the region where f is flat. Source:
    Goroshin & LeCun, "Saturating auto-encoders" (2013).

    The code of a saturated unit does not follow y, so reconstruction is good only on the data. For "relu" the penalty
    is max(0, a), the L1 norm of the code; for "hardtanh" it is max(0, 1 − |a|).

    Energies: `Saturating` ones, such as `Autoencoder(code="hardtanh")`.

    Args:
        weight: α ≥ 0, in units of squared y.
        seed: unused; see `Shaping`.

    Raises:
        OptionError: for a negative weight, or, in training, for a code without flat regions.
        UnsupportedError: in training, for an energy that is not `Saturating`.

    >>> import lowland as ll
    >>> energy = Autoencoder(n_features=4, n_codes=8, hidden=(), code="hardtanh")
    >>> sorted(Saturation(0.1)(energy, ll.shaping.Batch(torch.ones(2, 4))).metrics)
    ['free_energy', 'penalty']
    """

    def __init__(self, weight: float = 0.1, seed: int = 0) -> None:
        super().__init__(seed=seed)
        if not weight >= 0:
            raise OptionError(f"The weight of the saturation penalty must not be negative, but it is {weight}.")
        self.weight = weight

    def penalty(self, energy: Energy, batch: Batch) -> Tensor:
        _, core = offered(energy, Saturating, type(self).__name__)
        return self.weight * core.distance_to_flat(core.preactivation(batch.y)).sum(dim=1).mean()

    @classmethod
    def reference_case(cls) -> ShapingCase:
        y = torch.randn(32, 4, generator=torch.Generator().manual_seed(0))
        energy = Autoencoder(4, 8, hidden=(), code="hardtanh")
        return ShapingCase(cls(), energy, Batch(y, index=torch.arange(32)))

"""A function of which a few points are known, as a code of a network (system M9).

Legend: B tasks, S points that are known, I inputs, C numbers of a code.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lowland.domains import Reals
from lowland.energies.base import Energy, ReferenceCase
from lowland.errors import check_number
from lowland.nn.hypernetwork import Concatenated, Conditional
from lowland.registry import register


@register("energy")
class FewShots(Energy):
    """E(x, y, z) = ½ Σ_s (y_s − h_z(x_s))² + ½ λ ‖z‖²: low where the function of code z passes through the points.

    h_z is a network that depends on z in any way: by weights made from z (`Hypernetwork`, Ha, Dai & Le 2016), an input
    more, scales and shifts, or a change of its own weights. Inference over z is what fits it to a new function. x is
    (B, S · I), y (B, S) and z (B, C); the unit of E is that of y, squared.

    Args:
        network: of one output.
        shots: S.
        prior: λ ≥ 0, in units of E.

    Raises:
        OptionError: for a negative λ, or no point.

    >>> energy = FewShots(Concatenated(2, (1, 8, 1)), shots=5)
    >>> energy(x=torch.zeros(3, 5), y=torch.zeros(3, 5), z=torch.zeros(3, 2)).shape
    torch.Size([3])
    """

    def __init__(self, network: Conditional, shots: int, prior: float = 0.1) -> None:
        check_number("shots", shots, least=1, whole=True)
        check_number("prior", prior, least=0)
        self.inputs = network.sizes[0]
        super().__init__(x=Reals(shots * self.inputs), y=Reals(shots), z=Reals(network.code))
        self.network, self.shots, self.penalty = network, shots, float(prior)

    def energy(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        wrong = y - self.reconstruct(x, None, z)
        return 0.5 * wrong.square().sum(dim=1) + 0.5 * self.penalty * z.square().sum(dim=1)

    def reconstruct(self, x: Tensor, y: Any, z: Tensor) -> Tensor:
        """h_z at the points of x, (B, S · I) → (B, S)."""
        return self.network(x.unflatten(1, (-1, self.inputs)), z)[:, :, 0]

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """h_z(x) = x + z: with one point and λ = 1 the minimum is at z = (y − x) / 2, with E = (y − x)² / 4."""
        network = Concatenated(1, (1, 1))
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.fill_(1.0 if parameter.ndim == 2 else 0.0)
        x, y = torch.tensor([[0.0], [1.0]]), torch.tensor([[2.0], [0.0]])
        minimum, minimiser = torch.tensor([1.0, 0.25]), torch.tensor([[1.0], [-0.5]])
        return ReferenceCase(cls(network, 1, prior=1.0), {"x": x, "y": y}, "z", minimum, minimiser)

"""The ellipse of the talks (system E4): the smallest energy with a latent variable."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from lowland.domains import Box, Reals
from lowland.energies.base import Energy, ReferenceCase, squared_distances
from lowland.energies.structure import Structure
from lowland.errors import OptionError
from lowland.registry import register


@register("energy")
class Ellipse(Energy):
    """E(y, z) = (y₁ − r₁ sin z)² + (y₂ − r₂ cos z)², with z an angle in radians.

    The latent angle moves along the ellipse, so F(y) = min_z E is the squared distance from y to it, and −∇F points to
    its closest point. Source: LeCun, "The Deep Learning – Applied Math Connection" (2020), slide "Inference with latent
    variable EBMs".

    Args:
        radii: (r₁, r₂), in units of y; a parameter that shapings train.

    Raises:
        OptionError: unless the radii are two positive numbers.

    >>> energy = Ellipse(radii=(2.0, 1.0))
    >>> round(energy(y=torch.tensor([[2.0, 0.0]]), z=torch.tensor([[torch.pi / 2]])).item(), 6)
    0.0
    """

    def __init__(self, radii: tuple[float, float] = (2.0, 1.0)) -> None:
        if len(radii) != 2 or not all(0 < radius < math.inf for radius in radii):
            raise OptionError(f"radii must be two positive numbers, but they are {radii}.")
        super().__init__(y=Reals(2), z=Box(1, low=0.0, high=2 * torch.pi, periodic=True))
        self.radii = nn.Parameter(torch.tensor(radii))

    def energy(self, x: Any, y: Tensor, z: Tensor) -> Tensor:
        first = y[:, 0] - self.radii[0] * torch.sin(z[:, 0])
        second = y[:, 1] - self.radii[1] * torch.cos(z[:, 0])
        return first.square() + second.square()

    def structure(self, over: tuple[str, ...], x: Any, y: Any, z: Any) -> Structure:
        """E has up to two minima in z: start near the lower one, found among 64 equally spaced angles."""
        if over != ("z",):
            return Structure()
        angles = torch.linspace(0, 2 * torch.pi, 65, dtype=y.dtype, device=y.device)[:-1]
        points = self.reconstruct(None, None, angles[:, None])
        return Structure(warm_start=lambda: angles[squared_distances(y, points).argmin(dim=1)][:, None])

    def reconstruct(self, x: Any, y: Any, z: Tensor) -> Tensor:
        """The point of the ellipse at angle z, (B, 2)."""
        return self.radii * torch.cat([torch.sin(z), torch.cos(z)], dim=1)

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """Beyond the end of an axis, F(y) is the squared distance to that end; the start is some way off."""
        y, start = torch.tensor([[3.0, 0.0], [0.0, 4.0]]), torch.tensor([[1.0], [0.5]])
        return ReferenceCase(cls(), {"y": y}, over="z", minimum=torch.tensor([1.0, 9.0]), start=start)

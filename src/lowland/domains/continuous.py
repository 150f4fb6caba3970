"""Domains of real numbers: all of them, bounded, on a sphere, sparse, probabilities."""

from __future__ import annotations

import torch
from torch import Tensor

from lowland.domains.base import Domain
from lowland.errors import DomainError
from lowland.tensors import PerSampleRNG


class Reals(Domain):
    """All real numbers."""

    @property
    def constrained(self) -> bool:
        return False


class NonNegative(Domain):
    """u ≥ 0 in each coordinate."""

    @property
    def bounds(self) -> tuple[float, float]:
        return (0.0, torch.inf)

    def project(self, u: Tensor) -> Tensor:
        return u.clamp_min(0)

    def reflect(self, u: Tensor) -> tuple[Tensor, Tensor]:
        return u.abs(), torch.where(u < 0, -1.0, 1.0).to(u.dtype)


class Box(Domain):
    """low ≤ u ≤ high in each coordinate; `periodic` glues the two ends, as for an angle.

    >>> Box(1, low=-1.0, high=1.0).project(torch.tensor([[3.0]]))
    tensor([[1.]])
    """

    def __init__(
        self, *shape: int | tuple[int, ...], low: float = 0.0, high: float = 1.0, periodic: bool = False
    ) -> None:
        super().__init__(*shape)
        if not -torch.inf < low < high < torch.inf:
            raise DomainError(f"A box needs finite low < high, but low is {low} and high is {high}.")
        self.low, self.high, self.periodic = low, high, periodic

    @property
    def bounds(self) -> tuple[float, float]:
        return (-torch.inf, torch.inf) if self.periodic else (self.low, self.high)

    def contains(self, u: Tensor, tolerance: float = 1e-4) -> Tensor:
        return torch.ones_like(u[:, 0], dtype=torch.bool) if self.periodic else super().contains(u, tolerance)

    def project(self, u: Tensor) -> Tensor:
        if self.periodic:
            return self.low + torch.remainder(u - self.low, self.high - self.low)
        return u.clamp(self.low, self.high)

    def project_iterate(self, u: Tensor) -> Tensor:
        return u if self.periodic else self.project(u)

    def reflect(self, u: Tensor) -> tuple[Tensor, Tensor]:
        if self.periodic:
            return u, torch.ones_like(u)
        width = self.high - self.low
        phase = torch.remainder(u - self.low, 2 * width)
        return self.high - (width - phase).abs(), torch.where(phase > width, -1.0, 1.0).to(u.dtype)

    def sample(self, noise: PerSampleRNG, count: int) -> Tensor:
        return self.low + (self.high - self.low) * noise.uniform(count, self.size)


class Sphere(Domain):
    """Vectors of Euclidean norm `radius`."""

    def __init__(self, *shape: int | tuple[int, ...], radius: float = 1.0) -> None:
        super().__init__(*shape)
        self.radius = radius

    @property
    def bounds(self) -> None:
        return None

    def project(self, u: Tensor) -> Tensor:
        north = torch.zeros_like(u)
        north[:, 0] = 1
        length = u.norm(dim=1, keepdim=True)
        return self.radius * torch.where(length > 0, u / length.clamp_min(torch.finfo(u.dtype).tiny), north)

    def sample(self, noise: PerSampleRNG, count: int) -> Tensor:
        return self.radius * torch.nn.functional.normalize(noise.normal(count, self.size), dim=-1)


class Ball(Domain):
    """Vectors of Euclidean norm at most `radius`.

    >>> Ball(2, radius=1.0).project(torch.tensor([[3.0, 4.0], [0.3, 0.4]]))
    tensor([[0.6000, 0.8000],
            [0.3000, 0.4000]])
    """

    def __init__(self, *shape: int | tuple[int, ...], radius: float = 1.0) -> None:
        super().__init__(*shape)
        if not 0 < radius < torch.inf:
            raise DomainError(f"A ball needs a positive radius, but it is {radius}.")
        self.radius = radius

    @property
    def bounds(self) -> None:
        return None

    def project(self, u: Tensor) -> Tensor:
        return u * (self.radius / u.norm(dim=1, keepdim=True).clamp_min(self.radius))

    def sample(self, noise: PerSampleRNG, count: int) -> Tensor:
        direction = torch.nn.functional.normalize(noise.normal(count, self.size), dim=-1)
        return self.radius * noise.uniform(count, 1) ** (1 / self.size) * direction


class Sparse(Domain):
    """Vectors with at most `nonzeros` entries that are not 0; the closest one keeps those of largest size.

    Args:
        size: D.
        nonzeros: bound on ‖u‖₀, from 1 to D.
        positive: u ≥ 0 besides.

    >>> Sparse(3, nonzeros=1).project(torch.tensor([[0.5, -2.0, 1.0]]))
    tensor([[ 0., -2.,  0.]])
    """

    def __init__(self, size: int, nonzeros: int, positive: bool = False) -> None:
        super().__init__(size)
        if not 1 <= nonzeros <= size:
            raise DomainError(f"nonzeros must be from 1 to {size}, the size of the vector, but it is {nonzeros}.")
        self.nonzeros, self.positive = nonzeros, positive

    @property
    def bounds(self) -> None:
        return None

    def project(self, u: Tensor) -> Tensor:
        u = u.clamp_min(0) if self.positive else u
        kept = u.abs().topk(self.nonzeros, dim=1).indices
        return torch.zeros_like(u).scatter(1, kept, u.gather(1, kept))


class Simplex(Domain):
    """u ≥ 0 with sum 1: projection by sorting (Held, Wolfe & Crowder 1974)."""

    @property
    def bounds(self) -> None:
        return None

    def project(self, u: Tensor) -> Tensor:
        descending = u.sort(dim=1, descending=True).values
        index = torch.arange(1, self.size + 1, device=u.device, dtype=u.dtype)
        shifted = (descending.cumsum(dim=1) - 1) / index
        last = ((descending > shifted).sum(dim=1, keepdim=True) - 1).clamp_min(0)
        return (u - shifted.gather(1, last)).clamp_min(0)

    def sample(self, noise: PerSampleRNG, count: int) -> Tensor:
        exponential = -torch.log(noise.uniform(count, self.size))
        return exponential / exponential.sum(dim=-1, keepdim=True)

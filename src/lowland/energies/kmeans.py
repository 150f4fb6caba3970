"""K-means (row A1): the low-energy volume is bounded because it is K points."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lowland.domains import OneHot, Reals
from lowland.energies.base import Energy, ReferenceCase, Structure, squared_distance
from lowland.registry import register
from lowland.tensors import RowNoise


def spread_out(y: Tensor, count: int, noise: RowNoise) -> Tensor:
    """The k-means++ start, (count, n).

    Each new centre is a sample drawn with probability in proportion to its squared distance from the nearest centre so
    far (Arthur & Vassilvitskii 2007, section 2.2).

    >>> spread_out(torch.tensor([[0.0], [5.0]]), 2, RowNoise(0, torch.arange(2))).sort(dim=0).values
    tensor([[0.],
            [5.]])
    """
    distance = torch.ones_like(y[:, 0])
    centres = []
    for _ in range(count):
        # The least of exponential variables with rates d is drawn with probability d / Σ d.
        waiting = -torch.log(noise.uniform(1))[:, 0] / distance.clamp_min(torch.finfo(y.dtype).tiny)
        centre = y[waiting.argmin()]
        centres.append(centre)
        away = (y - centre).square().sum(dim=1)
        distance = away if len(centres) == 1 else torch.minimum(distance, away)
    return torch.stack(centres)


@register("energy")
class KMeans(Energy):
    """E(y, z) = ‖y − W z‖², with z one-hot and the K centres as the columns of W.

    So F(y) is the squared distance to the nearest centre. Inference is exhaustive: all K energies of all samples are
    one matrix product. Trained by `ll.shaping.ExpectationMaximisation()`, which at β = ∞ is Lloyd's method (1982), from
    a k-means++ start.

    Args:
        n_features: size of y.
        n_clusters: K.
        generator: draws the first centres.

    >>> energy = KMeans(n_features=2, n_clusters=3)
    >>> energy(y=torch.zeros(1, 2), z=torch.tensor([[0.0, 1.0, 0.0]])).shape
    torch.Size([1])
    """

    def __init__(self, n_features: int, n_clusters: int, generator: torch.Generator | None = None) -> None:
        super().__init__(y=Reals(n_features), z=OneHot(n_clusters))
        generator = generator or torch.Generator().manual_seed(0)
        self.centres = nn.Parameter(torch.randn(n_clusters, n_features, generator=generator))

    def energy(self, x: Any, y: Tensor, z: Tensor) -> Tensor:
        return squared_distance(y, self.reconstruct(x, y, z))

    def structure(self, over: tuple[str, ...], x: Any, y: Any, z: Any) -> Structure:
        return Structure(table=lambda: self._table(y)) if over == ("z",) else Structure()

    def _table(self, y: Tensor) -> Tensor:
        """‖y‖² − 2 y·w_k + ‖w_k‖² about the mean of the centres, where rounding is least; (B, K)."""
        middle = self.centres.mean(dim=0)
        y, centres = y - middle, self.centres - middle
        return y.square().sum(dim=1, keepdim=True) - 2 * y @ centres.T + centres.square().sum(dim=1)

    def reconstruct(self, x: Any, y: Any, z: Tensor) -> Tensor:
        """The centre that z selects, (B, n_features)."""
        return z.to(self.centres.dtype) @ self.centres

    def initialise(self, x: Any, y: Tensor, noise: RowNoise) -> None:
        """The centres are samples far from each other (`spread_out`)."""
        self.centres.copy_(spread_out(y, len(self.centres), noise))

    def statistics(self, x: Any, y: Tensor, z: Tensor) -> dict[str, Tensor]:
        """How many samples each centre has, and their sum, in float64."""
        z, y = z.double(), y.double()
        return {"count": z.sum(dim=0), "total": z.T @ y}

    def refit(self, statistics: dict[str, Tensor]) -> None:
        """Each centre becomes the mean of its samples; one without samples stays where it is."""
        count = statistics["count"][:, None]
        means = statistics["total"] / count.clamp_min(1e-12)
        self.centres.copy_(torch.where(count > 1e-12, means.to(self.centres.dtype), self.centres))

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """The nearest of three corners."""
        energy = cls(2, 3)
        energy.centres.data = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
        y = torch.tensor([[3.0, 0.0], [1.0, 1.0]])
        nearest = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
        return ReferenceCase(energy, {"y": y}, "z", minimum=torch.tensor([1.0, 2.0]), minimiser=nearest)

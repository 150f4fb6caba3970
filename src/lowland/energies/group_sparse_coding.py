"""Group sparsity (system S12): units are switched off in pools, and pools on a map arrange the atoms."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from lowland.energies.base import ReferenceCase, squared_distance
from lowland.energies.sparse_coding import SparseCoding
from lowland.energies.structure import Penalty, Structure
from lowland.errors import OptionError, UnsupportedError
from lowland.registry import register


@register("energy")
class GroupSparseCoding(SparseCoding):
    """E(y, z) = ½‖y − W z‖² + λ Σ_g (√(ε² + ‖z_g‖²) − ε), with z on a sheet that is closed in both directions.

    z_g are the units of pool g, a rectangle of the sheet. Within a pool, spreading activity costs nothing extra, so
    atoms that are active together gather there. If pools do not overlap, ε may be 0: then the penalty is Σ ‖z_g‖, whose
    prox scales each pool, z_g ↦ (1 − λ step / ‖z_g‖)⁺ z_g (Yuan & Lin 2006, group lasso). Pools that overlap make the
    sheet a map (Hyvärinen, Hoyer & Inki 2001, topographic ICA; Kavukcuoglu, Ranzato, Fergus & LeCun 2009, invariant
    predictive sparse decomposition). Overlapping pools need ε > 0: E is then smooth with a known bound on its
    curvature, FISTA takes plain gradient steps, and near-zero codes take the place of zeros.

    Args:
        n_features: size of y.
        sheet: (rows, columns) of the sheet; z has rows · columns units, row by row.
        pool: (rows, columns) of a pool.
        stride: (rows, columns) from one pool to the next; None for pools side by side.
        sparsity: λ > 0, in units of y.
        smoothing: ε ≥ 0, in units of z.
        generator: draws the initial dictionary.

    Raises:
        OptionError: for pools that do not fit the sheet, or that overlap without smoothing.

    >>> energy = GroupSparseCoding(n_features=4, sheet=(2, 4))
    >>> energy.pools.shape, energy(y=torch.ones(3, 4), z=torch.zeros(3, 8)).detach()
    (torch.Size([2, 8]), tensor([2., 2., 2.]))
    """

    pools: Tensor

    def __init__(
        self,
        n_features: int,
        sheet: tuple[int, int] = (16, 16),
        pool: tuple[int, int] = (2, 2),
        stride: tuple[int, int] | None = None,
        sparsity: float = 0.1,
        smoothing: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(n_features, sheet[0] * sheet[1], sparsity, generator=generator)
        self.sheet, self.smoothing = sheet, smoothing
        self.register_buffer("pools", pool_members(sheet, pool, stride or pool), persistent=False)
        self.apart = bool((self.pools.sum(dim=0) <= 1).all())
        if not smoothing >= 0 or (smoothing == 0 and not self.apart):
            raise OptionError(
                f"smoothing must not be negative, and must be positive where pools overlap, but it is {smoothing} for "
                f"pools of {pool} every {stride or pool}."
            )

    def energy(self, x: Any, y: Tensor, z: Tensor) -> Tensor:
        return 0.5 * squared_distance(y, z @ self.dictionary.T) + self._penalty(z)

    def activity(self, z: Tensor) -> Tensor:
        """√(ε² + ‖z_g‖²) of each pool, (B, pools): the response of a complex cell."""
        square = z.square() @ self.pools.T
        if self.smoothing:
            return torch.sqrt(square + self.smoothing**2)
        # The square root has no derivative at 0; there the penalty's is taken as 0.
        off = square == 0
        return torch.where(off, 0.0, torch.sqrt(torch.where(off, 1.0, square)))

    def structure(self, over: tuple[str, ...], x: Any, y: Any, z: Any) -> Structure:
        if over == ("z",) and self.smoothing:
            return Structure(lipschitz=self._curvature, convex=True)
        known = super().structure(over, x, y, z)
        return dataclasses.replace(known, penalty=Penalty(self._penalty, self._scale)) if over == ("z",) else known

    def _curvature(self) -> Tensor:
        """‖WᵀW‖ + λ m / ε: the Hessian of √(ε² + ‖z_g‖²) is at most 1/ε on its pool, and a unit is in up to m pools."""
        smooth = torch.linalg.eigvalsh((self.dictionary.T @ self.dictionary).detach())[-1]
        return (smooth + self.sparsity * self.pools.sum(dim=0).amax() / self.smoothing) * (1 + 1e-6)

    def duality_gap(self, y: Tensor, z: Tensor) -> Tensor:
        """(B,) as for `SparseCoding`, with θ feasible if ‖W_gᵀθ‖ ≤ λ for every pool; only for ε = 0."""
        if self.smoothing:
            raise UnsupportedError("A duality gap is known for smoothing = 0 only: use the gradient of E instead.")
        residual = y - z @ self.dictionary.T
        correlation = residual @ self.dictionary
        alone = correlation * (self.pools.sum(dim=0) == 0)
        size = (correlation.square() @ self.pools.T).sqrt().amax(dim=1).clamp_min(self.sparsity)
        # A unit outside all pools is not penalised: no multiple of a residual that correlates with it is feasible.
        dual = residual * torch.where(alone.any(dim=1), 0.0, self.sparsity / size)[:, None]
        return self.energy(None, y, z) - (dual * (y - 0.5 * dual)).sum(dim=1)

    def _penalty(self, u: Tensor) -> Tensor:
        return self.sparsity * (self.activity(u) - self.smoothing).sum(dim=1)

    def _scale(self, u: Tensor, step: Tensor) -> Tensor:
        size = (u.square() @ self.pools.T).sqrt()
        kept = (1 - step * self.sparsity / size.clamp_min(torch.finfo(u.dtype).tiny)).clamp_min(0)
        return u * (1 - (1 - kept) @ self.pools)

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """With orthonormal atoms each pool of y is shortened by λ: (3, 4) to (2.7, 3.6), (0.3, 0.4) to 0."""
        energy = cls(4, sheet=(2, 2), pool=(1, 2), sparsity=0.5)
        energy.dictionary.data = torch.eye(4)
        y = torch.tensor([[3.0, 4.0, 0.3, 0.4]])
        code = torch.tensor([[2.7, 3.6, 0.0, 0.0]])
        return ReferenceCase(energy, {"y": y}, "z", minimum=torch.tensor([0.125 + 0.125 + 2.25]), minimiser=code)


def pool_members(sheet: tuple[int, int], pool: tuple[int, int], stride: tuple[int, int]) -> Tensor:
    """(pools, units) of 0 and 1: which units are in which pool. Pools wrap around the edges of the sheet.

    >>> pool_members((1, 4), (1, 2), (1, 2))
    tensor([[1., 1., 0., 0.],
            [0., 0., 1., 1.]])
    """
    for side, own, step in zip(sheet, pool, stride, strict=True):
        if not 1 <= own <= side or not 1 <= step <= own or side % step:
            raise OptionError(
                f"Pools of {pool} every {stride} do not fit a sheet of {sheet}: a pool must be no larger than the "
                "sheet, and the stride no larger than the pool and a divisor of the sheet."
            )
    corners = [(row, column) for row in range(0, sheet[0], stride[0]) for column in range(0, sheet[1], stride[1])]
    members = torch.zeros(len(corners), *sheet)
    for index, (row, column) in enumerate(corners):
        rows = (row + torch.arange(pool[0])) % sheet[0]
        columns = (column + torch.arange(pool[1])) % sheet[1]
        members[index, rows[:, None], columns] = 1
    return members.flatten(1)

"""Lateral inhibition (system S12): a cost on pairs of units that should not be active together."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from lowland.energies.base import ReferenceCase
from lowland.energies.sparse_coding import SparseCoding
from lowland.energies.structure import Quadratic, Structure
from lowland.errors import OptionError, UnsupportedError
from lowland.registry import register


@register("energy")
class LateralInhibition(SparseCoding):
    """E(y, z) = ½‖y − W z‖² + λ Σ z_i + Σ_ij z_i S_ij z_j, z ≥ 0, where S_ij > 0 keeps i and j from both being active.

    Units lie on a sheet that is closed in both directions. S is `inhibition` between units further apart than `radius`,
    so that units which are active together are neighbours. Any other symmetric S ≥ 0 with a zero diagonal, such as that
    of a tree, can be copied into the buffer `inhibition`. Source: Szlam, Gregor & LeCun (2011), "Structured sparse
    coding via lateral inhibition", with |z| in place of z; a signed code is one with the dictionary [W, −W]. E is not
    convex in z, so solvers find a local minimum.

    Args:
        n_features: size of y.
        sheet: (rows, columns) of the sheet; z has rows · columns units, row by row.
        inhibition: value of S, in units of E per squared unit of z.
        radius: largest distance on the sheet between units that may be active together, in units of the sheet.
        sparsity: λ > 0, in units of y.
        generator: draws the initial dictionary.

    Raises:
        OptionError: for a negative inhibition or radius.

    >>> energy = LateralInhibition(n_features=4, sheet=(2, 4), inhibition=1.0, radius=1.0)
    >>> energy.inhibition[0]
    tensor([0., 0., 1., 0., 0., 1., 1., 1.])
    """

    inhibition: Tensor

    def __init__(
        self,
        n_features: int,
        sheet: tuple[int, int] = (16, 16),
        inhibition: float = 0.1,
        radius: float = 1.5,
        sparsity: float = 0.1,
        generator: torch.Generator | None = None,
    ) -> None:
        if not inhibition >= 0 or not radius >= 0:
            raise OptionError(f"inhibition and radius must not be negative, but they are {inhibition} and {radius}.")
        super().__init__(n_features, sheet[0] * sheet[1], sparsity, positive=True, generator=generator)
        self.sheet = sheet
        apart = (sheet_distance(sheet) > radius).to(self.dictionary.dtype)
        self.register_buffer("inhibition", inhibition * apart)

    def energy(self, x: Any, y: Tensor, z: Tensor) -> Tensor:
        return super().energy(x, y, z) + (z @ self.inhibition * z).sum(dim=1)

    def structure(self, over: tuple[str, ...], x: Any, y: Any, z: Any) -> Structure:
        known = super().structure(over, x, y, z)
        if known.quadratic is None or known.penalty is None:
            return known
        gram = known.quadratic.gram + 2 * self.inhibition
        bound = torch.linalg.eigvalsh(gram.detach()).abs().amax() * (1 + 1e-6)
        # No weights are given: certificates for the lasso assume a convex smooth part, and this one is not.
        penalty = known.penalty._replace(weights=None)
        quadratic = Quadratic(gram, known.quadratic.linear, known.quadratic.constant)
        return dataclasses.replace(known, quadratic=quadratic, penalty=penalty, lipschitz=bound, convex=False)

    def duality_gap(self, y: Tensor, z: Tensor) -> Tensor:
        """Unknown, since E is not convex in z."""
        raise UnsupportedError("LateralInhibition is not convex in z, so there is no duality gap: compare energies.")

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """Two orthogonal atoms that exclude each other: only the larger one is active, with y₁ − λ."""
        energy = cls(2, sheet=(1, 2), inhibition=2.0, radius=0.0, sparsity=0.5)
        energy.dictionary.data = torch.eye(2)
        y, code = torch.tensor([[2.5, 1.0]]), torch.tensor([[2.0, 0.0]])
        return ReferenceCase(energy, {"y": y}, "z", minimum=torch.tensor([0.625 + 1.0]), minimiser=code)


def sheet_distance(sheet: tuple[int, int]) -> Tensor:
    """(units, units) Euclidean distances on a sheet that is closed in both directions.

    >>> sheet_distance((1, 4))[0]
    tensor([0., 1., 2., 1.])
    """
    rows, columns = (torch.arange(side) for side in sheet)
    places = torch.cartesian_prod(rows, columns)
    gap = (places[:, None] - places).abs()
    return torch.minimum(gap, torch.tensor(sheet) - gap).float().norm(dim=2)

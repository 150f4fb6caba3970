"""The data of a landscape plot, computed before drawing: energies on a grid, descent directions, the level set."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lowland.domains import Tokens
from lowland.energies.base import Energy
from lowland.errors import OptionError, ShapeError, UnsupportedError
from lowland.evaluation.energy_gap import Score, scores
from lowland.evaluation.volume import Bounds, grid
from lowland.inference import free_energy
from lowland.plots.plane import Plane
from lowland.solvers.base import Solver


class Field(NamedTuple):
    """An energy on a box of the plane, in R × R cells.

    Attributes:
        bounds: ((low, high), (low, high)) of the box.
        values: (R, R) energies, indexed by the second coordinate first, as an image with its origin at the bottom.
        data: (N, 2) data on the plane, or None.
        energies: (N,) energies of the data themselves, not of their projections, or None.
        on_plane: (N,) of booleans: whether the data lie on the plane.
        points, directions: (A, 2) positions and −∇F there, or None.
    """

    bounds: Bounds
    values: Tensor
    data: Tensor | None = None
    energies: Tensor | None = None
    on_plane: Tensor | None = None
    points: Tensor | None = None
    directions: Tensor | None = None

    @property
    def level(self) -> float | None:
        """The energy that 95 % of the data stay below; its level set is the border of the low-energy region."""
        if self.energies is None or not bool(torch.isfinite(self.energies).any()):
            return None
        return float(torch.quantile(self.energies[torch.isfinite(self.energies)].double(), 0.95))

    @property
    def low_share(self) -> float | None:
        """The fraction of cells at or below the level; cells without a finite energy count as low."""
        if self.level is None:
            return None
        return float(((self.values <= self.level) | ~torch.isfinite(self.values)).double().mean())

    def below(self, ceiling: float) -> Field:
        """The landscape cut off at `ceiling` above the median energy of the data, so that colours can be compared.

        Raises:
            OptionError: for a landscape without data.
        """
        if self.energies is None:
            raise OptionError("A landscape is cut off above the energy of its data, but it has none: give data.")
        return self._replace(values=self.values.clamp_max(float(self.energies.median()) + ceiling))


def as_field(stored: Mapping[str, Any]) -> Field:
    """A `Field` from `field._asdict()` as stored by a stage of a run, where tuples come back as lists.

    >>> as_field({"bounds": [[0.0, 1.0], [0.0, 2.0]], "values": torch.zeros(3, 3)}).bounds
    ((0.0, 1.0), (0.0, 2.0))
    """
    (left, right), (bottom, top) = stored["bounds"]
    return Field(**{**stored, "bounds": ((left, right), (bottom, top))})


def measure(
    energy: Score,
    bounds: Bounds | None = None,
    data: Tensor | None = None,
    *,
    x: Any = None,
    solver: Solver | None = None,
    beta: float = math.inf,
    resolution: int = 120,
    arrows: int = 14,
    plane: Plane | None = None,
) -> Field:
    """Energies on a grid and −∇F on a coarser one.

    Args:
        energy: over (N, 2), or over more coordinates together with a `plane`; or a function (N, ...) → (N,).
        bounds: box of the plane; by default a square around nearly all data, or around those that lie on the `plane` if
            there are any; without data ((−3, 3), (−3, 3)).
        data: (N, ...).
        x: (1, ...), the input of a conditional energy, the same for all points.
        solver, beta: as in `lowland.free_energy`.
        resolution: cells along each side.
        arrows: arrows along each side; 0 for none. The gradient is by autograd if F supports it, else by central
            differences over one cell.
        plane: see `plane_through`.

    Raises:
        UnsupportedError: for an energy whose y are letters or other numbers of things.

    >>> field = measure(lambda y: y.square().sum(1), ((-1, 1), (-1, 1)), resolution=4, arrows=2)
    >>> field.values.shape, field.directions[0]
    (torch.Size([4, 4]), tensor([1., 1.]))
    """
    if isinstance(energy, Energy) and isinstance(energy.domains.get("y"), Tokens):
        raise UnsupportedError(
            f"{type(energy).__name__} has a y of whole numbers, {energy.domain('y')!r}, between which there is nothing "
            "to draw: see what it lists by `answers`, or its lattice."
        )
    if data is not None and plane is None and (data.ndim != 2 or data.shape[1] != 2):
        raise ShapeError(
            f"A landscape is drawn in two dimensions, but the data have shape {tuple(data.shape)}. Give a plane "
            "through them: plane=ll.plots.plane_through(data)."
        )
    flat = data if data is None or plane is None else plane.project(data)
    on_plane = None
    if data is not None and flat is not None:
        spread = flat.std(dim=0).norm().clamp_min(torch.finfo(flat.dtype).tiny)
        on_plane = torch.ones(len(data), dtype=torch.bool) if plane is None else plane.distance(data) < 1e-3 * spread
    bounds = bounds or _around(flat if flat is None or on_plane is None or not on_plane.any() else flat[on_plane])
    given = {"x": x, "solver": solver, "beta": beta}
    values = _energies(energy, grid(bounds, resolution), plane, given).reshape(resolution, resolution)
    points = directions = energies = None
    if data is not None:
        energies = scores(energy, data, _repeat(x, len(data)), beta=beta, solver=solver).cpu()
    if arrows < 0:
        raise OptionError(f"The number of arrows must be at least 0, but it is {arrows}.")
    if arrows:
        points = grid(bounds, arrows)
        cell = min(high - low for low, high in bounds) / resolution
        directions = _descent(energy, points, plane, given, cell)
    return Field(bounds, values, flat, energies, on_plane, points, directions)


def _around(points: Tensor | None) -> Bounds:
    """A square around the points without the outermost hundredth on each side, with a margin of two fifths."""
    if points is None or not len(points):
        return ((-3.0, 3.0), (-3.0, 3.0))
    low, high = torch.quantile(points.double(), torch.tensor([0.01, 0.99], dtype=torch.float64), dim=0)
    half = max(0.7 * float((high - low).max()), 1e-3)
    first, second = ((float(c) - half, float(c) + half) for c in (low + high) / 2)
    return (first, second)


def _repeat(x: Any, count: int) -> Any:
    if x is None:
        return None
    if isinstance(x, Tensor):
        if x.shape[0] != 1:
            raise ShapeError(f"A landscape has one input x for all its points, shape (1, ...), not {tuple(x.shape)}.")
        return x.expand(count, *x.shape[1:])
    return {name: _repeat(part, count) for name, part in x.items()}


def _energies(energy: Score, u: Tensor, plane: Plane | None, given: dict[str, Any]) -> Tensor:
    y = u if plane is None else plane.points(u)
    return scores(energy, y, _repeat(given["x"], len(u)), beta=given["beta"], solver=given["solver"]).float().cpu()


def _descent(energy: Score, u: Tensor, plane: Plane | None, given: dict[str, Any], cell: float) -> Tensor:
    with torch.enable_grad():
        u = u.clone().requires_grad_()
        y = u if plane is None else plane.points(u)
        if isinstance(energy, Energy):
            own = next(iter(energy.parameters()), y)
            value = free_energy(
                energy, y.to(own), _repeat(given["x"], len(u)), given["beta"], solver=given["solver"]
            ).value
        else:
            value = energy(y)
        if value.requires_grad:
            (gradient,) = torch.autograd.grad(value.sum(), u, allow_unused=True)
            if gradient is not None:
                return -gradient
    u = u.detach()
    slopes = []
    for axis in range(2):
        step = torch.zeros(2)
        step[axis] = cell
        slopes.append(
            (_energies(energy, u + step, plane, given) - _energies(energy, u - step, plane, given)) / (2 * cell)
        )
    return -torch.stack(slopes, dim=1)

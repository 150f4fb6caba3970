"""A plane in data space, for plotting a landscape in many dimensions."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lowland.errors import OptionError, ShapeError


class Plane(NamedTuple):
    """Points origin + u₁ a₁ + u₂ a₂ with orthonormal axes, so that u is in units of the data.

    `origin` has the shape of one sample, `axes` (2, D).
    """

    origin: Tensor
    axes: Tensor

    def points(self, u: Tensor) -> Tensor:
        """(N, 2) → (N, *shape): coordinates on the plane to points in data space."""
        flat = self.origin.flatten() + u.to(self.axes) @ self.axes
        return flat.reshape(len(u), *self.origin.shape)

    def project(self, y: Tensor) -> Tensor:
        """(N, *shape) → (N, 2): coordinates of the closest points on the plane."""
        return (y.to(self.axes).flatten(1) - self.origin.flatten()) @ self.axes.T

    def distance(self, y: Tensor) -> Tensor:
        """(N,): Euclidean distance of points from the plane."""
        nearest = self.points(self.project(y))
        return (y.to(self.axes) - nearest).flatten(1).norm(dim=1)


def plane_through(data: Tensor, indices: tuple[int, int, int] | None = None) -> Plane:
    """The plane through three data points, or through the mean along the two directions of largest variance.

    Args:
        data: (N, ...), at least three points.
        indices: of the three points; by default the plane of the first two principal components.

    Raises:
        ShapeError: for fewer than three points or fewer than two coordinates.
        OptionError: if the three points lie on a line, or an index does not exist.

    >>> points = torch.eye(4)
    >>> plane = plane_through(points, (0, 1, 2))
    >>> bool((plane.distance(points[:3]) < 1e-6).all()), round(plane.distance(points[3:]).item(), 3)
    (True, 1.155)
    """
    if data.ndim < 2 or len(data) < 3 or data[0].numel() < 2:
        raise ShapeError(
            f"A plane needs three points of two coordinates or more, not data of shape {tuple(data.shape)}."
        )
    data = data.detach()
    if indices is None:
        origin = data.mean(dim=0)
        axes = torch.linalg.svd((data - origin).flatten(1), full_matrices=False).Vh[:2]
        # The sign of a singular vector is arbitrary: its largest entry is made positive.
        largest = axes.gather(1, axes.abs().argmax(dim=1, keepdim=True))
        return Plane(origin, axes * largest.sign())
    if len(indices) != 3 or not all(-len(data) <= index < len(data) for index in indices):
        raise OptionError(f"Three indices below {len(data)} are needed, not {indices}.")
    chosen = data[list(indices)]
    origin = chosen.mean(dim=0)
    first, second = (chosen[1:] - chosen[:1]).flatten(1)
    a = first / first.norm().clamp_min(torch.finfo(data.dtype).tiny)
    b = second - (second @ a) * a
    if not b.norm() > 1e-6 * second.norm() or not first.norm() > 0:
        raise OptionError(f"The data points {indices} lie on a line, so they span no plane. Choose others.")
    return Plane(origin, torch.stack([a, b / b.norm()]))

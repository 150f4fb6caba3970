"""What stereo says of the ground nearby: a noisy disparity, the plane of the ground, and what stands on it (system V9).

Legend: N points, H and W rows and columns.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lowland.errors import DataError, OptionError

BASELINE = 0.12
"""Metres between the eyes."""
STANDS = 0.15
"""Metres above the plane from which on a point is that of an obstacle."""
_NOISE, _LOST, _WRONG = 0.15, 0.1, 0.02
_TRIES, _POINTS, _WITHIN, _REFINEMENTS = 200, 4000, 0.4, 3


class Ground(NamedTuple):
    """A plane in coordinates of the picture: δ = across · u + down · v + offset of its point in column u and row v.

    Where δ is 0 the plane is infinitely far: that is its horizon.
    """

    across: float
    down: float
    offset: float
    baseline: float

    @property
    def eye(self) -> float:
        """Height of the camera above the plane, metres."""
        return self.baseline / self.down

    def disparity(self, u: Tensor, v: Tensor) -> Tensor:
        """δ of the plane at columns u and rows v, in pixels."""
        return self.across * u + self.down * v + self.offset

    def row(self, u: Tensor, depth: Tensor, focal: float) -> Tensor:
        """The row in which column u shows the plane at a depth in metres."""
        return (focal * self.baseline / depth - self.offset - self.across * u) / self.down

    def height(self, u: Tensor, v: Tensor, disparity: Tensor) -> Tensor:
        """How far points are above the plane, metres: h (1 − δ of the plane / δ of the point)."""
        return self.eye * (1 - self.disparity(u, v) / disparity)


def stereo_disparity(
    depth: Tensor, focal: float, generator: torch.Generator, baseline: float = BASELINE, reach: float = 12.0
) -> Tensor:
    """δ = focal · baseline / depth as two cameras would measure it, (H, W) float32 in pixels; NaN where they do not.

    The error of δ is the same at all depths, 0.15 pixels, so that of the depth grows with its square. A tenth of all
    pixels find no match and one in fifty finds a wrong one. What is measured to be beyond the reach is left out.

    Args:
        depth: (H, W) metres along the optical axis, infinite in the sky.
        focal: focal length in pixels.
        generator: draws the errors.
        baseline: metres between the eyes.
        reach: metres.

    Raises:
        OptionError: for a reach or baseline that is not above 0.

    >>> measured = stereo_disparity(torch.full((50, 80), 6.0), 480.0, torch.Generator().manual_seed(0))
    >>> round(float(measured.nanmedian()), 1), round(float(measured.isnan().double().mean()), 1)
    (9.6, 0.1)
    """
    if not (reach > 0 and baseline > 0):
        raise OptionError(f"Stereo needs a reach and a baseline above 0, not {reach:g} and {baseline:g}.")
    least = focal * baseline / reach
    measured = focal * baseline / depth + _NOISE * torch.randn(depth.shape, generator=generator)
    luck = torch.rand(depth.shape, generator=generator)
    wrong = 4 * least * torch.rand(depth.shape, generator=generator)
    measured = torch.where(luck < _WRONG, wrong, measured)
    return torch.where((luck > 1 - _LOST) | (measured < least), torch.nan, measured)


def fit_ground(disparity: Tensor, generator: torch.Generator, baseline: float = BASELINE) -> Ground:
    """The plane on which most measured points lie, by RANSAC and then least squares.

    δ is linear in the place (u, v) of a point on a plane, and its error is the same everywhere; so the plane is fitted
    there, not in space. Of 200 planes through three points each that with most points within 0.4 pixels is kept, and
    fitted to these three times over. Source: Fischler & Bolles, "Random sample consensus" (1981); in disparity,
    Labayrade, Aubert & Tarel, "Real time obstacle detection in stereovision on non flat road geometry" (2002).

    Args:
        disparity: (H, W), NaN where there is none.
        generator: draws 4,000 of the points and the triples.
        baseline: metres between the eyes.

    Raises:
        DataError: if fewer than 100 points were measured, or no plane below the camera holds them.

    >>> u, v = torch.meshgrid(torch.arange(80.0), torch.arange(50.0), indexing="xy")
    >>> flat = Ground(0.001, 0.1, -1.0, 0.12)
    >>> found = fit_ground(flat.disparity(u, v), torch.Generator().manual_seed(0))
    >>> round(found.eye, 3), round(found.across, 4), round(found.offset, 3)
    (1.2, 0.001, -1.0)
    """
    place = (~disparity.isnan()).nonzero()
    if len(place) < 100:
        raise DataError(f"A plane of the ground needs 100 measured points or more, but there are {len(place)}.")
    place = place[torch.randint(len(place), (_POINTS,), generator=generator)]
    point_N3 = torch.stack([place[:, 1], place[:, 0], torch.ones(len(place))], dim=1).double()
    value_N = disparity[place[:, 0], place[:, 1]].double()
    triple = torch.randint(len(place), (_TRIES, 3), generator=generator)
    corners = point_N3[triple]
    sound = torch.linalg.det(corners).abs() > 1.0
    planes = torch.linalg.solve(corners[sound], value_N[triple[sound]])
    planes = planes[planes[:, 1] > 0]
    if not len(planes):
        raise DataError("No plane below the camera holds the measured points.")
    votes = ((point_N3 @ planes.T - value_N[:, None]).abs() < _WITHIN).sum(dim=0)
    plane = planes[votes.argmax()]
    for _ in range(_REFINEMENTS):
        near = (point_N3 @ plane - value_N).abs() < _WITHIN
        plane = torch.linalg.lstsq(point_N3[near], value_N[near, None]).solution[:, 0]
    across, down, offset = plane.tolist()
    if down <= 0:
        raise DataError("No plane below the camera holds the measured points.")
    return Ground(across, down, offset, baseline)


def standing_share(disparity: Tensor, ground: Ground, u: Tensor, v: Tensor, half: Tensor) -> Tensor:
    """Of the points measured around each place, which share stands on the plane, (N,); NaN where fewer than five were.

    Args:
        disparity: (H, W), NaN where there is none.
        ground: the plane.
        u, v: column and row of the N places.
        half: half the side, in pixels, of the square around each, of which 7 × 7 points are looked at.
    """
    step = torch.linspace(-1, 1, 7)
    column = (u[:, None, None] + half[:, None, None] * step[None, None, :]).round().long().expand(-1, 7, -1)
    row = (v[:, None, None] + half[:, None, None] * step[None, :, None]).round().long().expand(-1, -1, 7)
    inside = (row >= 0) & (row < disparity.shape[0]) & (column >= 0) & (column < disparity.shape[1])
    row, column = row.clamp(0, disparity.shape[0] - 1), column.clamp(0, disparity.shape[1] - 1)
    value = disparity[row, column]
    known = inside & ~value.isnan()
    stands = ground.height(column.to(value), row.to(value), value) > STANDS
    count = known.sum(dim=(1, 2))
    share = (stands & known).sum(dim=(1, 2)) / count
    return torch.where(count >= 5, share, torch.nan)

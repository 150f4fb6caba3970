"""Orientations of atoms, and whether neighbouring atoms on a map have similar ones."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lowland.energies.lateral_inhibition import sheet_distance
from lowland.errors import ShapeError


class Orientation(NamedTuple):
    """For each atom, (N,): `angle` of the direction in which it varies most, and `selectivity` in [0, 1].

    Angles lie in [−π/2, π/2]. Selectivity is 0 for an atom that varies equally in all directions, and near 1 for a
    grating.
    """

    angle: Tensor
    selectivity: Tensor


def orientation(atoms: Tensor, shape: tuple[int, int]) -> Orientation:
    """Orientation of each atom by the second moments of its Fourier power P(f).

    ½ arg Σ_f P(f) e^{2iφ(f)} is the axis of the power, with φ(f) the angle of frequency f, and |Σ P e^{2iφ}| / Σ P is
    the fraction along that axis. The mean grey level is ignored.

    Args:
        atoms: (N, H · W), one atom a row. The rows of images go down, so angles run from +x towards −y on a page.
        shape: (H, W).

    Raises:
        ShapeError: if the atoms are not of that shape.

    >>> x = torch.arange(8) * torch.pi / 2
    >>> angle, selectivity = orientation(torch.cos(x).repeat(8, 1).reshape(1, 64), (8, 8))
    >>> bool(angle.abs() < 1e-6), bool(selectivity > 0.8)
    (True, True)
    """
    height, width = shape
    if atoms.ndim != 2 or atoms.shape[1] != height * width:
        raise ShapeError(f"atoms must be (N, {height * width}) for images of {shape}, not {tuple(atoms.shape)}.")
    images = atoms.detach().double().reshape(-1, height, width)
    # Zero padding samples the power finely, since few frequencies would favour some angles.
    power = torch.fft.fft2(images - images.mean(dim=(1, 2), keepdim=True), s=(4 * height, 4 * width)).abs().square()
    down, across = torch.fft.fftfreq(4 * height), torch.fft.fftfreq(4 * width)
    # The Nyquist frequencies have no opposite on the grid, and would count on one side only.
    power[:, 2 * height], power[:, :, 2 * width] = 0, 0
    twice = 2 * torch.atan2(down.double()[:, None], across.double())
    mean = torch.complex((power * twice.cos()).sum(dim=(1, 2)), (power * twice.sin()).sum(dim=(1, 2)))
    total = power.sum(dim=(1, 2)).clamp_min(torch.finfo(torch.float64).tiny)
    return Orientation(0.5 * mean.angle(), mean.abs() / total)


def neighbour_agreement(angle: Tensor, sheet: tuple[int, int]) -> Tensor:
    """Mean of cos 2(θ_i − θ_j) over all vertical and horizontal neighbours on a closed sheet.

    1 if all orientations agree; for random orientations the expectation is 0.

    Args:
        angle: (..., rows · columns), orientations θ row by row.
        sheet: (rows, columns).

    >>> neighbour_agreement(torch.tensor([0.0, 0.0, torch.pi / 2, torch.pi / 2]), (2, 2)).item()
    0.0
    """
    if angle.shape[-1] != sheet[0] * sheet[1]:
        raise ShapeError(f"A sheet of {sheet} has {sheet[0] * sheet[1]} angles, not {angle.shape[-1]}.")
    grid = angle.reshape(*angle.shape[:-1], *sheet)
    pairs = [torch.cos(2 * (grid - grid.roll(-1, dims=axis))).mean(dim=(-2, -1)) for axis in (-2, -1)]
    return (pairs[0] + pairs[1]) / 2


def agreement_by_distance(angle: Tensor, sheet: tuple[int, int]) -> list[float]:
    """Mean of cos 2(θ_i − θ_j) over units whose distance on a closed sheet rounds to 1, 2, …, half the shorter side.

    Args:
        angle: (rows · columns,), orientations θ row by row.
        sheet: (rows, columns).

    >>> agreement_by_distance(torch.zeros(16), (4, 4))
    [1.0, 1.0]
    """
    if angle.shape != (sheet[0] * sheet[1],):
        raise ShapeError(f"A sheet of {sheet} has {sheet[0] * sheet[1]} angles, not {tuple(angle.shape)}.")
    pairs, distance = torch.cos(2 * (angle[:, None] - angle)), sheet_distance(sheet).to(angle.device)
    rings = range(1, min(sheet) // 2 + 1)
    return [float(pairs[(distance > ring - 0.5) & (distance <= ring + 0.5)].mean()) for ring in rings]


class Permuted(NamedTuple):
    """`value` of a statistic, its values `shuffled` (N,), and `p`, the fraction of all N + 1 that are no smaller."""

    value: float
    shuffled: Tensor
    p: float


def map_test(angle: Tensor, sheet: tuple[int, int], shuffles: int = 9999, seed: int = 0) -> Permuted:
    """Permutation test: do neighbours on a map agree in orientation more than after shuffling the units?

    p = (1 + number of shuffled maps that agree no less) / (1 + shuffles), exact for any distribution of orientations
    (Davison & Hinkley 1997, section 4.4).

    >>> found = map_test(torch.arange(64) * torch.pi / 64, (8, 8), shuffles=99)
    >>> found.value > found.shuffled.max(), found.p
    (tensor(True), 0.01)
    """
    generator = torch.Generator().manual_seed(seed)
    value = neighbour_agreement(angle.double(), sheet)
    orders = torch.rand(shuffles, len(angle), generator=generator, dtype=torch.float32).argsort(dim=1)
    shuffled = neighbour_agreement(angle.double()[orders], sheet)
    return Permuted(float(value), shuffled, float(1 + (shuffled >= value).sum()) / (1 + shuffles))

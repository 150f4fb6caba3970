"""Shapes of atoms: Gabor functions fitted to them, and how local they are."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from lowland.energies.gabor import Gabor
from lowland.errors import ShapeError
from lowland.inference import infer
from lowland.solvers.lbfgs import LBFGS

_WIDTHS = (0.12, 0.25)
"""Widths of the initial envelopes, as fractions of the side."""


class GaborFit(NamedTuple):
    """For each atom, (N,): `explained` r², `frequency` in cycles per pixel, `angle` of the wave vector in [−π/2, π/2).

    `along` and `across` are the standard deviations of the envelope in pixels, `centre` (N, 2) its position (down,
    right). `fitted` (N, S²) is the function itself.
    """

    explained: Tensor
    frequency: Tensor
    angle: Tensor
    along: Tensor
    across: Tensor
    centre: Tensor
    fitted: Tensor


def gabor_fit(atoms: Tensor, max_steps: int = 150) -> GaborFit:
    """The Gabor function closest to each atom, found by minimising `ll.energies.Gabor` over its six numbers.

    r² = 1 − ‖y − g‖² / ‖y‖², with y the atom minus its mean. Each fit starts from the atom's strongest frequency and
    the centre of its energy, with two different envelopes; the better fit counts.

    Args:
        atoms: (N, S²), one atom a row. Rows of the image go down, so angles run from +x towards −y on a page.
        max_steps: steps of L-BFGS.

    Raises:
        ShapeError: if the atoms are not square.

    >>> place = torch.arange(12) - 5.5
    >>> bell = torch.exp(-(place[:, None] ** 2 + place**2) / 12)
    >>> found = gabor_fit((bell * torch.cos(1.2 * place)).reshape(1, 144))
    >>> bool(found.explained > 0.99), round(2 * math.pi * found.frequency.item(), 1), abs(round(found.angle.item(), 2))
    (True, 1.2, 0.0)
    """
    size = math.isqrt(atoms.shape[-1])
    if atoms.ndim != 2 or size**2 != atoms.shape[1] or size < 2:
        raise ShapeError(f"atoms must be square images, (N, S²), not {tuple(atoms.shape)}.")
    y = atoms.detach().double().cpu()
    y = y - y.mean(dim=1, keepdim=True)
    square = y.square().sum(dim=1)
    energy = Gabor(size).double()
    y_unit = y / square.sqrt().clamp_min(1e-12)[:, None]
    starts = _starts(y_unit, size)
    with torch.no_grad():
        solver = LBFGS(max_steps=max_steps, tol=1e-5)
        found = infer(energy, y=y_unit.repeat(len(starts), 1), over="z", solver=solver, init=torch.cat(starts))
    left = found.energy.reshape(len(starts), -1)
    best = left.argmin(dim=0)
    z = found.value.reshape(len(starts), -1, 6)[best, torch.arange(len(y))]
    explained = (1 - 2 * left.amin(dim=0)).clamp(0, 1) * (square > 0)
    both, _ = energy.wave(z)
    weights = torch.linalg.lstsq(both, y_unit[:, :, None]).solution
    f = energy.frequency(z)
    frequency, angle = f.norm(dim=1), torch.remainder(torch.atan2(*f.T) + math.pi / 2, math.pi) - math.pi / 2
    fitted = (both @ weights)[:, :, 0] * square.sqrt()[:, None]
    return GaborFit(explained, frequency, angle, z[:, 2].exp(), z[:, 3].exp(), z[:, :2], fitted)


def locality(atoms: Tensor, share: float = 0.1) -> Tensor:
    """(N,) How much of ‖w‖² = 1 lies in the strongest pixels of an atom w: near 1 for a part, `share` for a flat atom.

    Args:
        atoms: (N, n), one atom of norm 1 in each row.
        share: of the pixels that count as the strongest, rounded down.

    Raises:
        ShapeError: if that is not a single pixel.

    >>> locality(torch.eye(10)[:1]), locality(torch.full((1, 10), 0.1**0.5))
    (tensor([1.]), tensor([0.1000]))
    """
    count = int(share * atoms.shape[1]) if atoms.ndim == 2 else 0
    if count < 1:
        raise ShapeError(f"{share:g} of the pixels of atoms {tuple(atoms.shape)} is less than one.")
    return atoms.square().sort(dim=1, descending=True).values[:, :count].sum(dim=1)


def _starts(y: Tensor, size: int) -> list[Tensor]:
    """Initial z (N, 6) for each width of the envelope."""
    wide, images = 4 * size, y.reshape(-1, size, size)
    power = torch.fft.fft2(images, s=(wide, wide)).abs()[:, :, : wide // 2]
    peak = power.flatten(1).argmax(dim=1)
    frequencies = torch.fft.fftfreq(wide).double()
    # The Nyquist frequency would need an infinite z.
    down, right = (
        0.5 * torch.atanh(2 * frequencies[index].clamp(-0.45, 0.45))
        for index in (peak // (wide // 2), peak % (wide // 2))
    )
    weight = images.square() / images.square().sum(dim=(1, 2), keepdim=True).clamp_min(1e-12)
    place = torch.arange(size).double()
    centre = [(weight.sum(dim=2) * place).sum(dim=1), (weight.sum(dim=1) * place).sum(dim=1)]
    widths = [torch.full_like(down, math.log(share * size)) for share in _WIDTHS]
    return [torch.stack([*centre, width, width, down, right], dim=1) for width in widths]

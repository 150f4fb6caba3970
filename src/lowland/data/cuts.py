"""Where a line of handwriting may be cut into characters: it is set upright and cut where it has least ink.

Heuristic over-segmentation (LeCun, Bottou, Bengio and Haffner 1998, section V): there are more cuts than characters,
and what reads the line later chooses among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy.signal import find_peaks
from torch import Tensor
from torch.nn import functional

from lowland.errors import DomainError, OptionError, ShapeError, check_number

_STEEPEST, _INK, _COLUMN, _MARGIN = 0.5, 0.3, 0.5, 2
# A Gaussian with a standard deviation of 0.6 columns.
_BLUR = np.exp(-(np.arange(-2, 3) ** 2) / (2 * 0.6**2))


class Pieces(NamedTuple):
    """The pieces of a line that may be characters, (P,) int64 each.

    `end` the last cell, from 0; `cells` how many there are; `left` and `right` the columns: a piece is the part
    `image[:, left:right]`.
    """

    end: Tensor
    cells: Tensor
    left: Tensor
    right: Tensor


def reach(height: int) -> int:
    """The columns that `deslant` adds on each side of a line of this height."""
    return int(np.ceil(_STEEPEST * (height - 1) / 2))


def deslant(image: Tensor, slants: int = 11) -> tuple[Tensor, float]:
    """The line set upright, and its slant in columns per row, positive if it leans to the right.

    Of several shears about half the height, the one with the most uneven profile p of ink above 0.3 wins, with the
    largest Σ (p[c + 1] − p[c])²: upright strokes fill few columns.

    Args:
        image: (H, W) in [0, 1], 1 is ink. The result is (H, W + 2 · reach(H)): no ink is lost at the ends, and column c
            comes to c + reach(H) at half the height.
        slants: candidates from −0.5 to 0.5, an odd number of them so that an upright line stays as it is.

    Raises:
        ShapeError, DomainError: for what is not a line, see `cuts`.
        OptionError: for an even number of slants.

    >>> upright = torch.zeros(16, 9)
    >>> upright[:, 4] = 1
    >>> slanted = torch.stack([row.roll(round(0.3 * (7.5 - place))) for place, row in enumerate(upright)])
    >>> round(deslant(slanted)[1], 1), deslant(upright)[1], deslant(upright)[0].shape
    (0.3, 0.0, torch.Size([16, 17]))
    """
    ink = _line(image)
    check_number("slants", slants, least=1, whole=True)
    if slants % 2 == 0:
        raise OptionError(f"slants must be odd, so that 0 is one of them, but it is {slants}.")
    height, width = ink.shape
    around = reach(height)
    tried = np.linspace(-_STEEPEST, _STEEPEST, int(slants)) if slants > 1 else np.zeros(1)
    # Row r of the result is row r of the line, moved to the right by slant · (r − middle).
    moved = tried[:, None] * (np.arange(height) - (height - 1) / 2)
    whole = np.floor(moved).astype(int)
    share = (moved - whole).astype(np.float32)[..., None]
    padded = np.pad(ink, ((0, 0), (2 * around + 1, 2 * around)))
    first = (2 * around + 1) - around - whole + padded.shape[1] * np.arange(height)
    source = first[..., None] + np.arange(width + 2 * around)
    sheared = (1 - share) * padded.take(source) + share * padded.take(source - 1)
    profile = np.where(sheared > _INK, sheared, 0).sum(axis=1)
    best = int((np.diff(profile) ** 2).sum(axis=1).argmax())
    return torch.from_numpy(sheared[best]), float(tried[best])


def cuts(image: Tensor, *, least: int = 2, far: int = 7) -> Tensor:
    """Columns (C + 1,) at which the line may be cut, ascending: the edges of C cells.

    The first is the left end of the ink, the last is right behind it, and those between are minima of the profile of
    ink above 0.3. Cells that are wider than `far` are divided evenly.

    Args:
        image: (H, W) in [0, 1], 1 is ink; upright, see `deslant`.
        least: width of a cell; of minima that are nearer to each other the lowest remain.
        far: largest width of a cell, so that characters are separated even where their ink has no minimum.

    Raises:
        ShapeError: for what is not a matrix of numbers.
        DomainError: for a line without ink, or values outside [0, 1].
        OptionError: for widths that are out of order.

    >>> line = torch.zeros(8, 16)
    >>> line[:, [3, 8, 9]] = 1
    >>> cuts(line)
    tensor([ 3,  5, 10])
    """
    ink = _line(image)
    check_number("least", least, least=1, whole=True)
    check_number("far", far, least=2 * least, whole=True)
    profile = np.where(ink > _INK, ink, 0).sum(axis=0)
    inked = np.flatnonzero(profile > _COLUMN)
    if not len(inked):
        raise DomainError("The line has no ink darker than 0.3: leave blank lines out, and let 1 be ink and 0 paper.")
    first, behind = int(inked[0]), int(inked[-1]) + 1
    smooth = np.convolve(np.where(profile > _COLUMN, profile, 0), _BLUR / _BLUR.sum(), mode="same")
    minima = find_peaks(-smooth[first:behind], distance=least)[0] + first
    edges = [first, *(c for c in minima.tolist() if first + least <= c <= behind - least), behind]
    kept = [first]
    for edge in edges[1:]:
        parts = -(-(edge - kept[-1]) // int(far))
        kept += [kept[-1] + round((edge - kept[-1]) * part / parts) for part in range(1, parts)] + [edge]
    return torch.tensor(kept)


def inked(ink: np.ndarray) -> tuple[int, int]:
    """Where the ink of a line begins and ends, with 2 columns of paper on both sides: it is in `ink[:, begin:end]`.

    A reader without segmentation that gets more paper than that may learn to write the first and last letters there,
    in the first and the last frame, where it does not see them, and stay there.

    Args:
        ink: (H, W) in [0, 1], 1 is ink. A line without ink above 0.3 is kept as it is.

    >>> line = np.zeros((8, 40))
    >>> line[:, 20] = 1
    >>> inked(line)
    (18, 23)
    """
    columns = np.flatnonzero(np.where(ink > _INK, ink, 0).sum(axis=0) > _COLUMN)
    if not len(columns):
        return 0, ink.shape[1]
    return max(0, int(columns[0]) - _MARGIN), min(ink.shape[1], int(columns[-1]) + 1 + _MARGIN)


def pieces(cuts: Tensor, longest: int = 7, widest: int = 32) -> Pieces:
    """Every run of one to `longest` neighbouring cells of at most `widest` columns, ordered by its last cell.

    Args:
        cuts: (C + 1,) ascending columns.
        longest: cells.
        widest: columns.

    Raises:
        ShapeError, DomainError: for cuts that are not columns in ascending order.
        OptionError: for a cell wider than `widest`, which no piece would contain, or a bad number.

    >>> found = pieces(torch.tensor([0, 5, 9, 20]), longest=2, widest=12)
    >>> found.end, found.cells
    (tensor([0, 1, 1, 2]), tensor([1, 1, 2, 1]))
    >>> found.left, found.right
    (tensor([0, 5, 0, 9]), tensor([ 5,  9,  9, 20]))
    """
    check_number("longest", longest, least=1, whole=True)
    check_number("widest", widest, least=1, whole=True)
    if cuts.ndim != 1 or len(cuts) < 2 or cuts.is_floating_point():
        raise ShapeError(f"Cuts must be two or more whole columns (C + 1,), not {cuts.dtype} {tuple(cuts.shape)}.")
    cells = cuts.diff()
    if not bool((cells > 0).all()):
        raise DomainError("Cuts must be ascending columns, each once, such as `cuts` finds them.")
    if int(cells.max()) > widest:
        raise OptionError(
            f"One cell is {int(cells.max())} columns wide, but a piece may have {widest}: raise `widest`, or lower "
            "`far` of `cuts`."
        )
    end, count = torch.meshgrid(torch.arange(len(cells)), torch.arange(1, int(longest) + 1), indexing="ij")
    left, right = cuts[(end + 1 - count).clamp_min(0)], cuts[end + 1]
    fits = (count <= end + 1) & (right - left <= widest)
    return Pieces(end[fits], count[fits], left[fits], right[fits])


def pad_lines(images: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Lines of different widths as one batch (B, 1, H, W) with blank paper at the right, and their own widths (B,).

    W is a multiple of 4, so that it can be halved twice.

    Raises:
        ShapeError: for no lines, or lines that are not (H, W) with the same H.

    >>> batch, widths = pad_lines([torch.ones(32, 5), torch.ones(32, 9)])
    >>> batch.shape, widths
    (torch.Size([2, 1, 32, 12]), tensor([5, 9]))
    """
    shapes = [tuple(image.shape) for image in images]
    if not shapes or any(len(shape) != 2 for shape in shapes) or len({shape[0] for shape in shapes}) > 1:
        raise ShapeError(f"A batch needs lines (H, W) of one height H, but their shapes are {shapes[:8]}.")
    widths = [width for _, width in shapes]
    whole = -(-max(widths) // 4) * 4
    padded = [functional.pad(image, (0, whole - width)) for image, width in zip(images, widths, strict=True)]
    return torch.stack(padded)[:, None], torch.tensor(widths)


def _line(image: Tensor) -> np.ndarray:
    """A line as an array, checked."""
    if image.ndim != 2 or 0 in image.shape or not image.is_floating_point():
        raise ShapeError(f"A line must be an image (H, W) of real numbers, not {image.dtype} {tuple(image.shape)}.")
    ink = image.detach().float().cpu().numpy()
    if not ((ink >= 0) & (ink <= 1)).all():
        raise DomainError("A line must have grey levels from 0 for paper to 1 for ink, all of them finite.")
    return ink

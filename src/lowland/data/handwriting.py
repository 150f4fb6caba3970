"""Handwriting of numbers: images of single digits put side by side as one hand would write them on a line.

Shape letters: N lines, M characters of all lines, D images of digits, H and W height and width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from lowland.data.images import Images
from lowland.errors import DomainError, OptionError, ShapeError, check_number, nearest

LETTERS = "0123456789.,"
"""The characters that can be written."""
HEIGHT = 32
"""Height of a line, in pixels."""
_BOX, _MARGIN, _INK = 40, 4, 0.2
_SMALLEST, _LARGEST, _LEAN, _STEEPEST, _GAPS = 17.0, 23.0, 0.18, 0.45, 1.5
# Row and column where points and commas begin, and the way from there to their other end.
_POINT, _DOT, _COMMA = torch.tensor([[24.5, _BOX / 2], [0.6, 0.4], [4.8, -2.5]], dtype=torch.float32)
_RULED, _RULES, _FAINT_RULE, _DARK_RULE, _LIGHTEST = 0.3, (4, 29), 0.2, 0.6, 0.7


class DigitPool(NamedTuple):
    """The images of digits that lines may be made of, sorted by digit.

    `pixels` (D, 1, H, W), `middle` (D, 2) row and column of the middle of each one's ink, `longer` (D,) the longer side
    of its ink in pixels, `counts` (10,) the images of each digit.
    """

    pixels: Tensor
    middle: Tensor
    longer: Tensor
    counts: Tensor

    @classmethod
    def of(cls, digits: Images, split: str) -> DigitPool:
        """The images of one split.

        Args:
            digits: images of the digits 0 to 9 in one channel.
            split: "train", "validation" or "test".

        Raises:
            OptionError: for an unknown split, other classes, or a digit without images.
            ShapeError: for images of several channels.
            DomainError: for a blank image.

        >>> from lowland.data import digits
        >>> DigitPool.of(digits(), "test").counts.sum()
        tensor(300)
        """
        if split not in (splits := ("train", "validation", "test")):
            raise OptionError(f"There is no split {split!r}. {nearest(split, splits)}")
        if digits.classes != tuple("0123456789"):
            raise OptionError(f"Numbers are written with images of the digits 0 to 9, but {digits.name} has others.")
        if digits.shape[0] != 1:
            raise ShapeError(f"Digits must have one channel, (N, 1, H, W), but those of {digits.name} have more.")
        labels, order = getattr(digits, f"{split}_labels").sort(stable=True)
        counts = torch.bincount(labels, minlength=10)
        if not bool(counts.all()):
            raise OptionError(f"The {split} images of {digits.name} hold no {int(counts.argmin())}: use more of them.")
        pixels = getattr(digits, split)[order]
        inked = pixels[:, 0] > _INK
        if not bool(inked.any(dim=(1, 2)).all()):
            raise DomainError(f"One of the {split} images of {digits.name} is blank: leave it out.")
        sides = [_ends(inked.any(dim=axis)) for axis in (2, 1)]
        middle = torch.stack([(first + behind - 1).float() / 2 for first, behind in sides], dim=1)
        longer = torch.stack([behind - first for first, behind in sides]).amax(dim=0)
        return cls(pixels, middle, longer, counts)


def handwriting(
    pool: DigitPool, texts: Sequence[str], generator: torch.Generator, *, gap: float = -0.5, noise: float = 0.12
) -> tuple[list[Tensor], list[Tensor]]:
    """Images (32, W) of the texts, one line each, and the columns between neighbouring characters at half the height.

    Each line has its own height of digits (17 to 23 pixels), slant (normal, with a standard deviation of 0.18 columns
    per row), pen, darkness and mean gap; each character has its own image, height and gap. 30 % of the lines are ruled,
    and half of the pixels have noise. Points and commas are drawn, and overlap no digit.

    Args:
        pool: of digits.
        texts: of the characters in `LETTERS`.
        generator: makes every choice.
        gap: mean gap between two digits in columns, which varies by 1.5 columns between lines and again within each;
            digits overlap if it is negative.
        noise: standard deviation of the noise, in grey levels from 0 for paper to 1 for ink.

    Raises:
        OptionError: for an empty text, a character that cannot be written, or a gap or noise that is no such number.

    >>> from lowland.data import digits
    >>> pool = DigitPool.of(digits(), "train")
    >>> images, boundaries = handwriting(pool, ["7.00", "12"], torch.Generator().manual_seed(0))
    >>> [image.shape[0] for image in images], [len(columns) for columns in boundaries]
    ([32, 32], [3, 1])
    """
    check_number("gap", gap)
    check_number("noise", noise, least=0)
    for text in texts:
        if not text or set(text) - set(LETTERS):
            raise OptionError(f"A line is a text of one or more of {LETTERS!r}, but one is {text[:80]!r}.")
    if not texts:
        return [], []
    letters_M = torch.tensor([LETTERS.index(letter) for text in texts for letter in text])
    lengths_N = torch.tensor([len(text) for text in texts])
    line_M = torch.arange(len(texts)).repeat_interleave(lengths_N)
    glyphs_MHW = _glyphs(pool, letters_M, line_M, len(texts), generator)
    left_M, right_M = _ends((glyphs_MHW > _INK).any(dim=1))
    place_M = _places(right_M - left_M, letters_M >= 10, line_M, lengths_N, gap, generator)
    after_M = place_M + right_M - left_M
    width_N = torch.zeros_like(lengths_N).scatter_reduce(0, line_M, after_M, "amax") + _MARGIN

    # All lines side by side on one strip, which makes the rest a few calls for all.
    strip_HW = np.zeros((HEIGHT, int(width_N.sum())), dtype=np.float32)
    columns = (width_N.cumsum(0) - width_N)[line_M] + place_M
    for glyph, left, right, column in zip(
        glyphs_MHW.numpy(), left_M.tolist(), right_M.tolist(), columns.tolist(), strict=True
    ):
        under = strip_HW[:, column : column + right - left]
        np.maximum(under, glyph[:, left:right], out=under)
    images = _on_paper(torch.from_numpy(strip_HW), width_N, noise, generator).split(width_N.tolist(), dim=1)
    between_M = (after_M + place_M.roll(-1)).float() / 2
    boundaries = [columns[:-1].clone() for columns in between_M.split(lengths_N.tolist())]
    return [image.clone(memory_format=torch.contiguous_format) for image in images], boundaries


def _ends(inked: Tensor) -> tuple[Tensor, Tensor]:
    """The first true entry of each row, and one behind the last; the whole row if there is none."""
    return inked.int().argmax(dim=1), inked.shape[1] - inked.flip(1).int().argmax(dim=1)


def _uniform(count: int, generator: torch.Generator, low: float = 0.0, high: float = 1.0) -> Tensor:
    return low + (high - low) * torch.rand(count, generator=generator, dtype=torch.float32)


def _normal(count: int, generator: torch.Generator) -> Tensor:
    return torch.randn(count, generator=generator, dtype=torch.float32)


def _glyphs(pool: DigitPool, letters_M: Tensor, line_M: Tensor, lines: int, generator: torch.Generator) -> Tensor:
    """Ink (M, 32, 40) of each character at its height on the line."""
    size_N, pen_N = _uniform(lines, generator, _SMALLEST, _LARGEST), _uniform(lines, generator)
    slant_N = (_LEAN * _normal(lines, generator)).clamp(-_STEEPEST, _STEEPEST)
    is_digit_M = letters_M < 10
    digit_M, line = letters_M[is_digit_M], line_M[is_digit_M]
    count = len(digit_M)
    chosen = pool.counts.cumsum(0)[digit_M] - 1 - (_uniform(count, generator) * pool.counts[digit_M]).long()
    scale = size_N[line] * _uniform(count, generator, 0.9, 1.1) / pool.longer[chosen]
    row = (HEIGHT - 1) / 2 + 1.2 * _normal(count, generator)
    glyphs_MHW = torch.empty(len(letters_M), HEIGHT, _BOX, dtype=torch.float32)
    glyphs_MHW[is_digit_M] = _digits(pool, chosen, scale, slant_N[line], row, pen_N[line] > 0.5)
    glyphs_MHW[~is_digit_M] = _marks(letters_M[~is_digit_M] == 11, pen_N[line_M[~is_digit_M]], generator)
    return glyphs_MHW


def _digits(pool: DigitPool, chosen: Tensor, scale: Tensor, slant: Tensor, row: Tensor, thick: Tensor) -> Tensor:
    """Digits scaled and sheared about the middle of their ink, which comes to `row` and the middle of the box."""
    down_MH1 = ((torch.arange(HEIGHT) - row[:, None]) / scale[:, None])[:, :, None]
    across_M1W = ((torch.arange(_BOX, dtype=torch.float32) - (_BOX - 1) / 2) / scale[:, None])[:, None]
    middle_M211 = pool.middle[chosen, :, None, None]
    rows_MHW = (middle_M211[:, 0] + down_MH1).expand(-1, -1, _BOX)
    columns_MHW = middle_M211[:, 1] + across_M1W + slant[:, None, None] * down_MH1
    height, width = pool.pixels.shape[2:]
    grid = torch.stack([2 * columns_MHW / (width - 1) - 1, 2 * rows_MHW / (height - 1) - 1], dim=3)
    glyphs = functional.grid_sample(pool.pixels[chosen], grid, align_corners=True)
    wide = functional.max_pool2d(functional.pad(glyphs, (1, 0, 1, 0)), 2, stride=1)
    return torch.where(thick[:, None, None, None], torch.maximum(glyphs, 0.8 * wide), glyphs)[:, 0].clamp(0, 1)


def _marks(comma: Tensor, pen: Tensor, generator: torch.Generator) -> Tensor:
    """Points, and commas as short strokes below the foot of the digits, drawn by the distance of a pixel to each."""
    count = len(comma)
    start, stroke = _POINT.repeat(count, 1), torch.where(comma[:, None], _COMMA, _DOT)
    start[:, 0] += _normal(count, generator)
    stroke[:, 1] += torch.where(comma, _normal(count, generator), 0)
    pixel_HW2 = torch.stack(torch.meshgrid(torch.arange(HEIGHT), torch.arange(_BOX), indexing="ij"), dim=2)
    away = pixel_HW2 - start[:, None, None]
    along = (away * stroke[:, None, None]).sum(dim=3) / stroke.square().sum(dim=1)[:, None, None]
    distance = (away - along.clamp(0, 1)[..., None] * stroke[:, None, None]).norm(dim=3)
    return (1.6 + 0.4 * pen[:, None, None] - distance).clamp(0, 1)


def _places(
    width_M: Tensor, mark_M: Tensor, line_M: Tensor, lengths_N: Tensor, gap: float, generator: torch.Generator
) -> Tensor:
    """The first column of each character on its line."""
    mean_N = gap + _GAPS * _normal(len(lengths_N), generator)
    gap_M = mean_N[line_M] + _GAPS * _normal(len(line_M), generator)
    # The gap behind the last character of a line is not used.
    gap_M = torch.where(mark_M | mark_M.roll(-1), gap_M.clamp_min(0) + 0.5, gap_M)
    step_M = (width_M + gap_M.round().long()).clamp_min(3)
    before_M = step_M.cumsum(0) - step_M
    return _MARGIN + before_M - before_M[lengths_N.cumsum(0) - lengths_N][line_M]


def _on_paper(strip_HW: Tensor, width_N: Tensor, noise: float, generator: torch.Generator) -> Tensor:
    """Rules, the darkness of each line, and noise."""
    lines, rows = len(width_N), torch.arange(HEIGHT)[:, None]
    ruled = _uniform(lines, generator) < _RULED
    at = torch.randint(*_RULES, (lines,), generator=generator)
    grey = torch.where(ruled, _uniform(lines, generator, _FAINT_RULE, _DARK_RULE), 0)
    dark = _uniform(lines, generator, _LIGHTEST)
    at, grey, dark = (of_line.repeat_interleave(width_N) for of_line in (at, grey, dark))
    strip_HW = torch.maximum(strip_HW, torch.where(rows == at, grey, 0)) * dark
    grains = torch.randn(strip_HW.shape, generator=generator, dtype=torch.float32)
    grains *= torch.rand(strip_HW.shape, generator=generator, dtype=torch.float32) < 0.5
    return (strip_HW + noise * grains).clamp(0, 1)

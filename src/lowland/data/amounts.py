"""Lines of handwritten amounts of money, such as 1,234.50, made of single digits that people wrote."""

from __future__ import annotations

import re
from typing import NamedTuple

import torch
from torch import Tensor

from lowland.data.cuts import deslant, inked, reach
from lowland.data.handwriting import DigitPool, handwriting
from lowland.data.images import Images
from lowland.errors import DomainError, check_number

AMOUNT = r"[1-9][0-9]?[0-9]?(,?[0-9][0-9][0-9])?(\.[0-9][0-9])?"
"""Every text that `amount` may write, and no other, as a regular expression. No text matches it in two ways."""
_DIGITS, _BROKEN, _COMMA, _SILENT = (0.05, 0.2, 0.3, 0.25, 0.15, 0.05), 0.7, 0.6, 0.3
_TOGETHER = 256


class AmountLines(NamedTuple):
    """N lines of handwriting and what they say.

    `images` are N tensors (32, W), each with its own W, with grey levels from 0 for paper to 1 for ink; `texts` and
    `cents` (N,) are the amounts. `boundaries` has a tensor for each line, of the columns between neighbouring
    characters at half the height of the line: c is the left edge of pixel c.
    """

    images: list[Tensor]
    texts: list[str]
    cents: Tensor
    boundaries: list[Tensor]

    def upright(self) -> AmountLines:
        """The same lines without their slant (see `deslant`), and without paper far from their ink (see `inked`)."""
        images, moved = list[Tensor](), list[Tensor]()
        for image, columns in zip(self.images, self.boundaries, strict=True):
            whole, _ = deslant(image)
            begin, end = inked(whole.numpy())
            images.append(whole[:, begin:end])
            moved.append(columns + reach(len(image)) - begin)
        return self._replace(images=images, boundaries=moved)


def amount(generator: torch.Generator) -> tuple[str, int]:
    """An amount from 1 to 999,999.99 as text and in cents.

    It has one to six digits before the point (5, 20, 30, 25, 15 and 5 %). From four digits on, 60 % have a comma
    before the last three. 30 % are drawn without cents, and 30 % of the amounts that have none end without ".00".

    >>> amount(torch.Generator().manual_seed(2))
    ('39.95', 3995)
    """
    digits = 1 + int(torch.multinomial(torch.tensor(_DIGITS, dtype=torch.float64), 1, generator=generator))
    whole = int(torch.randint(10 ** (digits - 1), 10**digits, (), generator=generator))
    cents = int(torch.randint(100, (), generator=generator))
    broken, comma, silent = torch.rand(3, generator=generator, dtype=torch.float32).tolist()
    cents = cents if broken < _BROKEN else 0
    text = f"{whole:,}" if comma < _COMMA else f"{whole}"
    return text if not cents and silent < _SILENT else f"{text}.{cents:02}", 100 * whole + cents


def in_cents(text: str) -> int:
    """What a written amount is worth, in cents.

    Raises:
        DomainError: for a text that is not an amount.

    >>> in_cents("1,234.50"), in_cents("1234")
    (123450, 123400)
    """
    if not re.fullmatch(AMOUNT, text):
        raise DomainError(f"{text[:80]!r} is no amount from 1 to 999,999.99 written like 1,234.50, 1234 or 7.00.")
    whole, _, cents = text.replace(",", "").partition(".")
    return 100 * int(whole) + int(cents or 0)


def amount_lines(
    digits: Images,
    split: str,
    count: int,
    generator: torch.Generator | None = None,
    *,
    gap: float = -0.5,
    noise: float = 0.12,
) -> AmountLines:
    """Random amounts, written with digits of one split, so that lines of two splits share no image of a digit.

    Args:
        digits: images of the digits 0 to 9, such as `mnist10k()`.
        split: "train", "validation" or "test".
        count: N.
        generator: draws amounts and handwriting; by default one with seed 0.
        gap, noise: see `handwriting`.

    Raises:
        OptionError, ShapeError, DomainError: see `DigitPool.of` and `handwriting`.

    >>> from lowland.data import digits
    >>> lines = amount_lines(digits(), "train", 5)
    >>> lines.texts[0], lines.images[0].shape, lines.boundaries[0].shape
    ('556.99', torch.Size([32, 101]), torch.Size([5]))
    """
    check_number("count", count, least=1, whole=True)
    generator, pool = generator or torch.Generator().manual_seed(0), DigitPool.of(digits, split)
    drawn = [amount(generator) for _ in range(int(count))]
    texts, lines = [text for text, _ in drawn], AmountLines([], [], torch.tensor([cents for _, cents in drawn]), [])
    for start in range(0, len(texts), _TOGETHER):
        images, boundaries = handwriting(pool, texts[start : start + _TOGETHER], generator, gap=gap, noise=noise)
        lines.images.extend(images)
        lines.boundaries.extend(boundaries)
    return lines._replace(texts=texts)

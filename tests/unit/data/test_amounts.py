"""Amounts and their lines: what can be written, where the digits come from, and where the characters meet."""

from __future__ import annotations

import itertools
import re

import pytest
import torch

from lowland.data.amounts import AMOUNT, amount, amount_lines, in_cents
from lowland.data.cuts import cuts
from lowland.data.handwriting import LETTERS
from lowland.data.optical_digits import digits
from lowland.errors import DomainError, OptionError


def writings(plain: str) -> set[str]:
    """The ways to write a number, given without a comma and with the cents that it has."""
    whole, point, cents = plain.partition(".")
    return {f"{int(whole)}{point}{cents}", f"{int(whole):,}{point}{cents}"}


def test_the_grammar_accepts_what_can_be_written_and_nothing_one_edit_away() -> None:
    for whole, cents in itertools.product((1, 10, 405, 1000, 70_012, 999_999), ("", ".00", ".50")):
        for text in writings(f"{whole}{cents}"):
            assert re.fullmatch(AMOUNT, text)
            assert in_cents(text) == 100 * whole + int(cents[1:] or 0)
            edits = {text[:at] + text[at + 1 :] for at in range(len(text))}
            edits |= {text[:at] + letter + text[at:] for at in range(len(text) + 1) for letter in LETTERS}
            edits |= {text[:at] + letter + text[at + 1 :] for at in range(len(text)) for letter in LETTERS}
            for edit in edits:
                plain = edit.replace(",", "")
                number = re.fullmatch(r"[0-9]{1,6}(\.[0-9]{2})?", plain) and float(plain) >= 1
                assert bool(re.fullmatch(AMOUNT, edit)) == (bool(number) and edit in writings(plain)), edit


def test_amounts_are_those_of_the_description(generator: torch.Generator) -> None:
    drawn = [amount(generator) for _ in range(1500)]
    for text, cents in drawn:
        assert re.fullmatch(AMOUNT, text)
        assert in_cents(text) == cents
    large = [text for text, cents in drawn if cents >= 100_000]
    whole = [text for text, cents in drawn if cents % 100 == 0]
    # Four standard deviations of a share of n draws are at most 2 / √n.
    for share, known, count in [
        (len(large) / 1500, 0.45, 1500),
        (sum("," in text for text in large) / len(large), 0.6, len(large)),
        (len(whole) / 1500, 0.3 + 0.7 / 100, 1500),
        (sum("." not in text for text in whole) / len(whole), 0.3, len(whole)),
    ]:
        assert abs(share - known) < 2 / count**0.5
    for text in ("0.50", "01", "1,23", "12.5", "1234567", "", "1\n"):
        with pytest.raises(DomainError, match="is no amount"):
            in_cents(text)


def test_a_seed_gives_the_same_lines() -> None:
    one, two, other = (amount_lines(digits(), "test", 3, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    state = torch.get_rng_state()
    usual = amount_lines(digits(), "test", 3)
    assert torch.equal(state, torch.get_rng_state())
    assert one.texts == two.texts != other.texts
    assert all(map(torch.equal, one.images + one.boundaries, two.images + two.boundaries))
    assert usual.texts == amount_lines(digits(), "test", 3, torch.Generator().manual_seed(0)).texts
    for line, text, cents, boundaries in zip(one.images, one.texts, one.cents, one.boundaries, strict=True):
        assert (line.shape[0], line.dtype, len(boundaries)) == (32, torch.float32, len(text) - 1)
        assert in_cents(text) == int(cents)
        assert 0 <= float(line.min()) <= float(line.max()) <= 1
        assert bool((boundaries.diff() > 0).all())
        assert 0 < float(boundaries[0]) < float(boundaries[-1]) < line.shape[1]


def test_cuts_come_near_the_boundaries() -> None:
    """Measured: all within three columns, and 80 % within one; as many cuts at even distances do so for 38 %."""
    lines = amount_lines(digits(), "train", 200, torch.Generator().manual_seed(5)).upright()
    away, even = [], []
    for image, boundaries in zip(lines.images, lines.boundaries, strict=True):
        found = cuts(image)
        assert int(found[0]) == image.shape[1] - int(found[-1]) == 2
        evenly = torch.linspace(int(found[0]), int(found[-1]), len(found))
        away.append((boundaries[:, None] - found).abs().amin(dim=1))
        even.append((boundaries[:, None] - evenly).abs().amin(dim=1))
    assert float((torch.cat(away) <= 3).float().mean()) > 0.95
    assert float((torch.cat(away) <= 1).float().mean()) > 1.5 * float((torch.cat(even) <= 1).float().mean())


def test_lines_that_cannot_be_made() -> None:
    with pytest.raises(OptionError, match="count must be"):
        amount_lines(digits(), "train", 0)
    with pytest.raises(OptionError, match="Did you mean 'train'"):
        amount_lines(digits(), "learn", 1)
    with pytest.raises(OptionError, match="noise must be"):
        amount_lines(digits(), "train", 1, noise=-0.1)

"""Parallel text: lines with their translations, from two files of one's own, split by groups that belong together."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from lowland.bounded import read_bytes
from lowland.errors import DataError

_GROUP = 20
FEWEST = 30
"""Pairs that a split needs."""


@dataclass(frozen=True)
class ParallelText:
    """N lines with their translations; lines of one group, such as a page, are never split between parts."""

    source: tuple[str, ...] = field(repr=False)
    target: tuple[str, ...] = field(repr=False)
    group: tuple[str, ...] = field(repr=False)

    def __post_init__(self) -> None:
        if not len(self.source) == len(self.target) == len(self.group):
            raise DataError(
                f"Parallel text needs as many lines as translations and groups, not {len(self.source):,}, "
                f"{len(self.target):,} and {len(self.group):,}."
            )

    def __len__(self) -> int:
        return len(self.source)

    def take(self, rows: list[int]) -> ParallelText:
        """Some of the lines."""
        parts = (self.source, self.target, self.group)
        return ParallelText(*(tuple(part[row] for row in rows) for part in parts))

    @property
    def summary(self) -> str:
        """How many pairs, in how many groups."""
        return f"{len(self):,} pairs of {len(set(self.group)):,} groups"


class SplitText(NamedTuple):
    """Pairs to learn from, to choose settings on, and to test on; `dropped` how many others were left out."""

    train: ParallelText
    validation: ParallelText
    test: ParallelText
    dropped: int


def own_parallel(source: Path, target: Path) -> ParallelText:
    """Two text files in UTF-8, a line each for a translation; pairs with an empty line are left out.

    Twenty lines in a row are a group, since neighbours in a text are often alike.

    Raises:
        DataError: for files that cannot be read, are not text, differ in their number of lines, or hold few pairs.
    """
    lines = [_lines(path) for path in (source, target)]
    if len(lines[0]) != len(lines[1]):
        raise DataError(
            f"{source} and {target} differ in their number of lines, {len(lines[0]):,} and {len(lines[1]):,}: line n "
            "of one must be the translation of line n of the other."
        )
    kept = [
        (one, other, f"{row // _GROUP}") for row, (one, other) in enumerate(zip(*lines, strict=True)) if one and other
    ]
    if len(kept) < FEWEST:
        raise DataError(
            f"{source} and {target} hold {len(kept)} pairs of lines with text, but at least {FEWEST} are needed, "
            "better some thousand."
        )
    return ParallelText(*zip(*kept, strict=True))


def _lines(path: Path) -> list[str]:
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = error.object[: error.start].count(b"\n") + 1
        raise DataError(f"Line {number:,} of {path} is not text in UTF-8: save it as plain text in UTF-8.") from error
    if not text.strip():
        raise DataError(f"{path} is empty: give a text file with a sentence on each line.")
    # Only line feeds end a line: a form feed inside a sentence would shift all lines behind it.
    return [" ".join(line.split()) for line in text.removesuffix("\n").split("\n")]


def split_text(text: ParallelText, generator: torch.Generator, held: float = 0.1) -> SplitText:
    """A split by groups: a share of them for the test, as many for validation, and the others to learn from.

    A pair of which a side stands word for word in the test is in neither other part, and one of which a side stands in
    validation is not learned from; pairs that come twice in a part stay there once.

    Args:
        text: all pairs.
        generator: draws the groups.
        held: the share of groups for the test.

    Raises:
        DataError: if a part would be empty.

    >>> text = ParallelText(("a", "b", "c", "a"), ("A", "B", "C", "A"), ("1", "2", "3", "4"))
    >>> found = split_text(text, torch.Generator().manual_seed(0), held=0.25)
    >>> len(found.train) + len(found.validation) + len(found.test) + found.dropped
    4
    """
    groups = sorted(set(text.group))
    order: Tensor = torch.randperm(len(groups), generator=generator)
    count = max(1, round(held * len(groups)))
    part = {groups[index]: min(2, place // count) for place, index in enumerate(order.tolist())}
    kept: list[list[int]] = [[], [], []]
    known: list[set[str]] = [set(), set()]
    for number in range(3):  # the test, validation, and what to learn from
        seen: set[tuple[str, str]] = set()
        new: list[set[str]] = [set(), set()]
        for row, group in enumerate(text.group):
            pair = text.source[row], text.target[row]
            if part[group] != number or pair in seen or pair[0] in known[0] or pair[1] in known[1]:
                continue
            seen.add(pair)
            kept[number].append(row)
            for one, side in zip(pair, new, strict=True):
                side.add(one)
        known = [one | other for one, other in zip(known, new, strict=True)]
    if not all(kept):
        raise DataError(
            f"{len(text):,} pairs of {len(groups):,} groups are too few, or too much alike, for three parts: give more."
        )
    test, validation, train = (text.take(rows) for rows in kept)
    return SplitText(train, validation, test, len(text) - sum(map(len, kept)))


_NOUNS = {
    "car": ("Auto", "n"), "house": ("Haus", "n"), "man": ("Mann", "m"), "dog": ("Hund", "m"), "lamp": ("Lampe", "f"),
    "street": ("Straße", "f"),
}  # fmt: skip
_COLOURS = {"red": "rote", "old": "alte", "small": "kleine", "green": "grüne"}
_VERBS = {"stops": "hält", "falls": "fällt", "waits": "wartet", "stands there": "steht dort"}
_ARTICLES = {"n": "das", "m": "der", "f": "die"}


def made_parallel(count: int, generator: torch.Generator) -> ParallelText:
    """Short sentences in English and German by a grammar of a few words: a stand-in that needs no download.

    Args:
        count: pairs to draw; they may come several times.
        generator: draws them.

    >>> text = made_parallel(2, torch.Generator().manual_seed(0))
    >>> len(text), text.source[0].startswith("The ")
    (2, True)
    """
    rows = []
    for row in range(count):
        draw = torch.randint(1 << 30, (4,), generator=generator).tolist()
        (noun, (name, kind)), (colour, tint), (verb, act) = (
            list(words.items())[number % len(words)]
            for words, number in zip((_NOUNS, _COLOURS, _VERBS), draw, strict=False)
        )
        numeral = draw[3] % 90 + 10
        english = f"The {colour} {noun} {numeral} {verb}."
        german = f"{_ARTICLES[kind].capitalize()} {tint} {name} {numeral} {act}."
        rows.append((english, german, f"{row}"))
    return ParallelText(*zip(*rows, strict=True))

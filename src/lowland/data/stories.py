"""Short stories with questions, in the format of the bAbI tasks: read from files, or written by simulated worlds (M5).

A file has one sentence a line, which begins with its number; a story begins at 1. A question is followed by a tab, the
answer, a tab, and the numbers of the sentences that support it. Source of the format: Weston, Bordes, Chopra, Rush,
van Merriënboer, Joulin & Mikolov, "Towards AI-complete question answering" (2015).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch

from lowland.errors import DataError, OptionError

T = TypeVar("T")
KINDS = tuple(range(1, 21))
"""The numbers of the published kinds of question."""
_LARGEST = 1 << 26
"""Bytes of a file; the largest published one has some 15 MB."""


class Question(NamedTuple):
    """A question with the sentences told before it, all as words in lower case, and its answer.

    `support` holds the places of the sentences that the answer needs, counted from 0.
    """

    story: tuple[tuple[str, ...], ...]
    words: tuple[str, ...]
    answer: str
    support: tuple[int, ...]


class Ask(NamedTuple):
    """A question in a story that is being written, with its answer and the places of the lines that support it."""

    text: str
    answer: str
    support: tuple[int, ...] = ()


Line = str | Ask


class Draw:
    """Random choices of a world, all from one generator.

    >>> draw = Draw(torch.Generator().manual_seed(0))
    >>> draw.one(["a", "b"]) in "ab", len(draw.some(range(9), 3)), draw.below(1)
    (True, 3, 0)
    """

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def below(self, count: int) -> int:
        """One of 0 … count − 1."""
        return int(torch.randint(count, (1,), generator=self.generator))

    def one(self, values: Sequence[T]) -> T:
        """One of the values."""
        return values[self.below(len(values))]

    def some(self, values: Sequence[T], count: int) -> list[T]:
        """Different ones of the values, in any order."""
        order = torch.randperm(len(values), generator=self.generator)[:count].tolist()
        return [values[place] for place in order]


World = Callable[[Draw], list[Line]]


def tokens(sentence: str) -> tuple[str, ...]:
    """The words of a sentence in lower case, without the mark at its end.

    >>> tokens("Where is Mary? ")
    ('where', 'is', 'mary')
    """
    return tuple(re.findall(r"[^\s.?!]+", sentence.lower()))


def told(lines: Sequence[Line]) -> str:
    r"""A story in the format of the files.

    >>> told(["Mary went home.", Ask("Where is Mary?", "home", (0,))])
    '1 Mary went home.\n2 Where is Mary? \thome\t1\n'
    """
    found = []
    for number, line in enumerate(lines, start=1):
        if isinstance(line, Ask):
            supports = " ".join(str(place + 1) for place in line.support)
            found.append(f"{number} {line.text} \t{line.answer}\t{supports}\n")
        else:
            found.append(f"{number} {line}\n")
    return "".join(found)


def read_stories(text: str, name: str = "the text") -> list[Question]:
    r"""The questions of a file.

    Args:
        text: what the file holds.
        name: of the file, for messages.

    Raises:
        DataError: for a line without a number, numbers that do not follow one another, a question without an answer or
            with support that is not among the sentences before it, or no question at all.

    >>> read_stories("1 Mary went home.\n2 Where is Mary? \thome\t1\n")[0].answer
    'home'
    """
    found: list[Question] = []
    story: list[tuple[str, ...]] = []
    places: dict[int, int] = {}
    last = 0
    for row, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        parts = re.fullmatch(r"(\d{1,6}) ([^\t]+)(?:\t([^\t]*)(?:\t([\d ]*))?)?", line)
        number = int(parts[1]) if parts else 0
        if parts is None or number not in (1, last + 1):
            raise DataError(
                f"Line {row} of {name} is not the next sentence of a story: a number, from 1 on, a space, and a "
                "sentence or a question with a tab and its answer."
            )
        if number == 1:
            story, places = [], {}
        last, words, answer = number, tokens(parts[2]), parts[3]
        if not words:
            raise DataError(f"Line {row} of {name} has no words.")
        if answer is None:
            places[number] = len(story)
            story.append(words)
            continue
        supports = [int(one) for one in (parts[4] or "").split()]
        if not answer.strip() or any(one not in places for one in supports):
            raise DataError(f"Line {row} of {name} is a question without an answer, or supported by what was not told.")
        support = tuple(places[one] for one in supports)
        found.append(Question(tuple(story), words, answer.strip().lower(), support))
    if not found:
        raise DataError(f"{name} has no question: a line with a number, a question, a tab and its answer.")
    return found


def load_stories(folder: str | Path, kind: int, part: str) -> list[Question]:
    """The questions of a published file, `qaKIND_*_PART.txt`, in a folder such as `en` or `en-10k`.

    Args:
        folder: with the files.
        kind: 1 to 20.
        part: "train" or "test".

    Raises:
        DataError: if there is no such file or more than one, or it is not in the format.
    """
    files = sorted(Path(folder).glob(f"qa{kind}_*{part}.txt"))
    if len(files) != 1:
        raise DataError(
            f"{folder} has {len(files) or 'no'} files qa{kind}_*{part}.txt, but one is needed: give the folder of the "
            "bAbI tasks that holds them, such as tasks_1-20_v1-2/en."
        )
    try:
        if files[0].stat().st_size > _LARGEST:
            raise DataError(f"{files[0]} is larger than {_LARGEST >> 20} MiB: it is no file of stories.")
        return read_stories(files[0].read_text(encoding="utf-8"), files[0].name)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{files[0]} cannot be read as text ({error}).") from error


def write_stories(world: World, count: int, generator: torch.Generator) -> list[Question]:
    """So many questions from stories of a world, told and read again in the format of the files.

    Raises:
        OptionError: for fewer than one question.
    """
    if count < 1:
        raise OptionError(f"At least one question must be asked, not {count}.")
    draw, found = Draw(generator), []
    while len(found) < count:
        found += read_stories(told(world(draw)))
    return found[:count]

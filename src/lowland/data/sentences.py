"""Sentences as lists of words: from a file of one's own, or from descriptions that come with scikit-learn."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field
from pathlib import Path

from lowland.bounded import read_bytes
from lowland.errors import DataError

_PIECE = 40


@dataclass(frozen=True)
class Sentences:
    """Sentences in order, each a list of words."""

    words: tuple[list[str], ...] = field(repr=False)

    @property
    def summary(self) -> str:
        """How many sentences and words."""
        return f"{len(self.words):,} sentences of {sum(map(len, self.words)):,} words"


def own_sentences(path: Path) -> Sentences:
    """The words of a text file in lower case, a sentence for each line; long lines are cut into pieces of 40 words.

    Raises:
        DataError: for a missing, unreadable or empty file, or one that is not text.
    """
    try:
        text = read_bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not text in UTF-8: save it as plain text.") from error
    lines = [re.findall(r"[^\W\d_]+(?:['-][^\W\d_]+)*", line.lower()) for line in text.splitlines()]
    pieces = [line[first : first + _PIECE] for line in lines for first in range(0, len(line), _PIECE)]
    if not pieces:
        raise DataError(f"{path} holds no words: give a text file.")
    return Sentences(tuple(pieces))


def described() -> Sentences:
    """The descriptions of data sets that come with scikit-learn: a small text that needs no download."""
    from sklearn import datasets

    names = ("iris", "wine", "breast_cancer", "diabetes", "linnerud", "digits")
    text = " ".join(getattr(datasets, f"load_{name}")().DESCR for name in names).lower()
    return Sentences(tuple(re.findall("[a-z]+", part) for part in re.split(r"[.\n]\s", text) if part.strip()))


def plurals(sentences: Sentences) -> list[tuple[str, str, float]]:
    """Words and their plurals, rated 10, and pairs of such words that follow in the alphabet, rated 0: a stand-in.

    >>> plurals(Sentences((["cats", "cat", "dog", "dogs"],)))
    [('cat', 'cats', 10.0), ('dog', 'dogs', 10.0), ('cat', 'dog', 0.0)]
    """
    words = sorted({word for sentence in sentences.words for word in sentence})
    both = [word for word in words if f"{word}s" in words and len(word) > 2]
    return [(word, f"{word}s", 10.0) for word in both] + [(one, other, 0.0) for one, other in itertools.pairwise(both)]

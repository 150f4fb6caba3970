"""Words and parts of words as numbered features of texts, and how much each one says.

Legend: E entries of an index, V features.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lowland.errors import DataError, OptionError

_ASKING = frozenset(
    "a an are be can could did do does for had has have how i in is it me my of on or should tell the there to was we "
    "were what when where which who whom whose why will with would you your".split()
)
PART = 4
"""Letters of a part of a word."""


class Entries(NamedTuple):
    """An index: feature (E,), text (E,) and weight (E,) of each entry; and the most that a feature weighs, (V,)."""

    feature: Tensor
    text: Tensor
    weight: Tensor
    most: Tensor


def words_of(text: str) -> list[str]:
    """The words of a text in lower case; of a name in code, such as StandardScaler or fit_transform, its parts as well.

    >>> words_of("Use fit_transform of StandardScaler, e.g. 2-D.")
    ['use', 'fit_transform', 'fit', 'transform', 'of', 'standardscaler', 'standard', 'scaler', 'e', 'g', '2', 'd']
    """
    found = []
    for word in re.findall(r"\w+", text):
        lower = word.lower().strip("_")
        if not lower:
            continue
        found.append(lower)
        if lower != word or "_" in lower:
            pieces = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+|\d+", word)
            if len(pieces) > 1:
                found += [piece.lower() for piece in pieces]
    return found


def asked_words(question: str) -> list[str]:
    """The words of a question without those that ask, such as "how do I", where others remain.

    In documents that only state things they are rare, and would count for much.

    >>> asked_words("How do I scale values?"), asked_words("What is it?")
    (['scale', 'values'], ['what', 'is', 'it'])
    """
    words = words_of(question)
    return [word for word in words if word not in _ASKING] or words


def parts_of(word: str) -> list[str]:
    """All runs of four letters of <word>, for words of four letters and more.

    >>> parts_of("mean")
    ['<mea', 'mean', 'ean>']
    """
    whole = f"<{word}>"
    return [whole[start : start + PART] for start in range(len(whole) - PART + 1)] if len(word) >= PART else []


class TextFeatures:
    """The words and parts of words of some texts, numbered, with the number of texts in which each one is.

    A word that is in none of them has the number of the unknown word, the last of all.

    Args:
        texts: words of each text, as from `words_of`.

    Raises:
        DataError: for texts without a word.

    >>> features = TextFeatures([["mean", "value"], ["mean"]])
    >>> features.words(["mean", "koala"]), features.size
    ([0, 9], 10)
    """

    def __init__(self, texts: Sequence[Sequence[str]]) -> None:
        words = sorted({word for text in texts for word in text})
        if not words:
            raise DataError("The texts have no word in them: give documents with text.")
        self.vocabulary = tuple(words)
        names = [*words, *(f"/{part}" for part in sorted({part for word in words for part in parts_of(word)}))]
        self._number = {name: place for place, name in enumerate(names)}
        self.unknown = len(names)
        self.size = len(names) + 1
        self.count = len(texts)
        self._own = self._counted(texts)
        self.idf = torch.zeros(self.size)
        for kind, counted in self._own.items():
            having = torch.bincount(counted.feature, minlength=self.size).to(self.idf)
            idf = torch.log1p((self.count - having + 0.5) / (having + 0.5))
            first = len(words) if kind == "parts" else 0
            last = len(names) if kind == "parts" else len(words)
            self.idf[first:last] = idf[first:last]
        self.idf[self.unknown] = torch.log1p(torch.tensor(2.0 * self.count + 1))

    def words(self, words: Sequence[str]) -> list[int]:
        """The number of each word."""
        return [self._number.get(word, self.unknown) for word in words]

    def parts(self, words: Sequence[str]) -> list[int]:
        """The numbers of all known parts of words, also of unknown words."""
        names = (f"/{part}" for word in words for part in parts_of(word))
        return [self._number[name] for name in names if name in self._number]

    def entries(
        self, saturation: float = 1.2, length: float = 0.75, parts: float = 0.0,
        texts: Sequence[Sequence[str]] | None = None,
    ) -> Entries:  # fmt: skip
        """The weights of BM25, w = idf(f) c (k + 1) / (c + k (1 − b + b l / mean l)), of each feature f of each text.

        c is how often f is in the text, l the features of the text, and idf(f) = log(1 + (N − n + ½) / (n + ½)) with n
        of N texts that have it. A feature weighs (k + 1) idf at most. Source: Robertson & Zaragoza, "The probabilistic
        relevance framework: BM25 and beyond" (2009), with the 1 inside the logarithm that keeps it positive, as Lucene
        has it.

        Args:
            saturation: k ≥ 0; at 0 a feature counts once.
            length: b from 0 to 1, how far long texts are marked down.
            parts: by how much the weights of parts are multiplied; at 0 there are none.
            texts: other texts to weigh, such as sentences; by default those that the features were made of.

        Raises:
            OptionError: for a k, b or factor out of range.

        >>> TextFeatures([["mean"], ["value"]]).entries(saturation=0.0).weight
        tensor([0.6931, 0.6931])
        """
        if saturation < 0 or not 0 <= length <= 1 or parts < 0:
            raise OptionError(
                f"saturation and parts must be at least 0 and length from 0 to 1, not {saturation}, {parts}, {length}."
            )
        counted = self._own if texts is None else self._counted(texts)
        factor = torch.ones(self.size)
        factor[len(self.vocabulary) : self.unknown] = parts
        weights = []
        kinds = [kind for kind in ("words", "parts") if parts or kind == "words"]
        for kind in kinds:
            feature, text, count, sizes = counted[kind]
            norm = saturation * (1 - length + length * sizes / sizes.mean().clamp_min(1))
            weights.append(factor[feature] * self.idf[feature] * count * (saturation + 1) / (count + norm[text]))
        return Entries(
            torch.cat([counted[kind].feature for kind in kinds]), torch.cat([counted[kind].text for kind in kinds]),
            torch.cat(weights), factor * (saturation + 1) * self.idf,
        )  # fmt: skip

    def _counted(self, texts: Sequence[Sequence[str]]) -> dict[str, _Counted]:
        found = {}
        for kind, numbers in (("words", self.words), ("parts", self.parts)):
            each = [Counter(numbers(text)) for text in texts]
            rows = [(name, row, float(count)) for row, one in enumerate(each) for name, count in one.items()]
            feature, text, count = zip(*rows, strict=True) if rows else ((), (), ())
            sizes = torch.tensor([float(sum(one.values())) for one in each])
            found[kind] = _Counted(
                torch.tensor(feature, dtype=torch.int64), torch.tensor(text, dtype=torch.int64),
                torch.tensor(count, dtype=torch.float32), sizes.float(),
            )  # fmt: skip
        return found


class _Counted(NamedTuple):
    """How often each feature (E,) is in each text (E,), `times` (E,), and the number of features of each text."""

    feature: Tensor
    text: Tensor
    times: Tensor
    sizes: Tensor

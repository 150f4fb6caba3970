"""BLEU of translations, as sacrebleu computes it, with intervals over pages.

Legend: N sentences, G groups of sentences, R draws of the bootstrap.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lowland.errors import ShapeError
from lowland.evaluation.success import Interval

ORDER = 4
"""The longest n-gram."""
_RULES = (
    (re.compile(r"([\{-\~\[-\` -\&\(-\+\:-\@\/])"), r" \1 "),
    (re.compile(r"([^0-9])([\.,])"), r"\1 \2 "),
    (re.compile(r"([\.,])([^0-9])"), r" \1 \2"),
    (re.compile(r"([0-9])(-)"), r"\1 \2 "),
)
_ENTITIES = (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))


class Bleu(NamedTuple):
    """`score` from 0 to 100; the `brevity` penalty, and the `length` of the answers as a share of the references'."""

    score: float
    brevity: float
    length: float


def tokenised(line: str) -> list[str]:
    """The words and signs of a line by the rules "13a" of the WMT, which are those of mteval-v13a.

    >>> tokenised('Press "OK", then 1.5 or F-1.')
    ['Press', '"', 'OK', '"', ',', 'then', '1.5', 'or', 'F-1', '.']
    """
    line = line.replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    for entity, sign in _ENTITIES:
        line = line.replace(entity, sign)
    line = f" {line} "
    for pattern, replacement in _RULES:
        line = pattern.sub(replacement, line)
    return line.split()


def bleu_counts(answers: Sequence[str], references: Sequence[str]) -> npt.NDArray[np.int64]:
    """What BLEU needs of each sentence, (N, 10): n-grams that are right and all n-grams, n = 1 … 4, and both lengths.

    An n-gram is right at most as often as it is in the reference.

    Raises:
        ShapeError: unless there are as many answers as references.
    """
    if len(answers) != len(references):
        raise ShapeError(
            f"BLEU compares answers with references one by one, not {len(answers)} with {len(references)}."
        )
    rows = np.zeros((len(answers), 2 * ORDER + 2), dtype=np.int64)
    for row, pair in enumerate(zip(answers, references, strict=True)):
        ours, theirs = (tokenised(line) for line in pair)
        for n in range(1, ORDER + 1):
            mine, right = (Counter(zip(*(words[k:] for k in range(n)), strict=False)) for words in (ours, theirs))
            rows[row, n - 1] = (mine & right).total()
            rows[row, ORDER + n - 1] = max(0, len(ours) - n + 1)
        rows[row, -2:] = len(ours), len(theirs)
    return rows


def bleu_of_counts(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """BLEU from sums of `bleu_counts` over sentences, (..., 10) → (...).

    BLEU = 100 · min(1, exp(1 − r/c)) · exp(¼ Σ_n log p_n), p_n the share of n-grams that are right, c and r the lengths
    of answers and references (Papineni et al., "BLEU: a method for automatic evaluation of machine translation", 2002).
    The k-th p_n without a right n-gram is 1 / (2^k · all n-grams), the smoothing "exp" of sacrebleu. Without any right
    word, or without n-grams of some length, BLEU is 0.
    """
    right, every = counts[..., :ORDER].astype(float), counts[..., ORDER : 2 * ORDER].astype(float)
    none = right == 0
    halved = 0.5 ** none.cumsum(axis=-1)
    share = np.where(none, halved, right) / np.maximum(every, 1)
    ours, theirs = counts[..., -2], counts[..., -1]
    brevity = np.exp(np.minimum(0.0, 1 - theirs / np.maximum(ours, 1)))
    score = 100 * brevity * np.exp(np.log(share).mean(axis=-1))
    return np.where((every == 0).any(axis=-1) | none.all(axis=-1), 0.0, score)


def corpus_bleu(answers: Sequence[str], references: Sequence[str]) -> Bleu:
    """BLEU of answers, with one reference each.

    Raises:
        ShapeError: unless there are as many answers as references.

    >>> round(corpus_bleu(["the red car stops here"], ["the red car stops there"]).score, 2)
    66.87
    """
    sums = bleu_counts(answers, references).sum(axis=0)
    ours, theirs = int(sums[-2]), int(sums[-1])
    brevity = float(np.exp(min(0.0, 1 - theirs / max(ours, 1)))) if ours else 0.0
    return Bleu(float(bleu_of_counts(sums)), brevity, ours / max(theirs, 1))


def bleu_interval(
    counts: npt.NDArray[np.int64], groups: Sequence[str], rng: np.random.Generator, draws: int = 1000,
    less: npt.NDArray[np.int64] | None = None,
) -> Interval:  # fmt: skip
    """BLEU, or by how much it is above another one, with the percentile interval for 95 % over groups drawn anew.

    Source: Koehn, "Statistical significance tests for machine translation evaluation" (2004), with whole groups, since
    sentences of a page are alike.

    Args:
        counts: of `bleu_counts`, (N, 10).
        groups: of each sentence, N names.
        rng: of the draws.
        draws: R.
        less: counts of other answers to the same sentences.

    Raises:
        ShapeError: unless each sentence has a group.

    >>> counts = bleu_counts(["a b c d e", "a b c x y"], ["a b c d e"] * 2)
    >>> found = bleu_interval(counts, ["one", "two"], np.random.default_rng(0))
    >>> found.low < found.value < found.high
    True
    """
    if len(groups) != len(counts) or not len(groups):
        raise ShapeError(f"Each sentence needs a group: there are {len(counts)} sentences and {len(groups)} groups.")
    _, number = np.unique(np.asarray(groups), return_inverse=True)
    many = int(number.max()) + 1
    times_RG = rng.multinomial(many, np.full(many, 1 / many), size=draws)
    value, drawn = 0.0, np.zeros(draws)
    for sign, own in ((1, counts), (-1, less)):
        if own is None:
            continue
        sums = np.zeros((many, own.shape[1]), dtype=np.int64)
        np.add.at(sums, number, own)
        value += sign * float(bleu_of_counts(sums.sum(axis=0)))
        drawn += sign * bleu_of_counts(times_RG @ sums)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(value, float(low), float(high))

"""How well unusual lines of a log are found: planted faults, the choice of a score, and what people use instead.

Shape letters: N lines, F faulty lines.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Sequence
from itertools import combinations, pairwise
from typing import NamedTuple

import numpy as np
import torch

from lowland.data.log_tokens import tokens_of
from lowland.data.simulated_log import LabelledLog
from lowland.errors import DataError
from lowland.evaluation.energy_gap import auroc
from lowland.evaluation.success import wilson
from lowland.training.line_scoring import WAYS, LineScore, LineScorer, scaled

PLANTED = ("words", "number", "corrupted", "shuffled")
"""Faults that can be planted into any line: a word of another line, a number of up to eight digits in place of another,
letters overwritten or the rest cut off, words in another order."""
TFIDF, BIGRAM, FOREST = "TF-IDF and nearest neighbour", "bigrams", "isolation forest"
OURS, NOTHING = "energy", "nothing"
_TIMED, _MARKED = 200, 600
_GARBLE = "#~^@%&XQZ]{|"


def plant(lines: Sequence[str], share: float, seed: int) -> LabelledLog:
    """The lines, of which a share was made faulty, equally of all kinds in `PLANTED` as far as a line allows it.

    >>> log = plant(["opened session 12 for root", "closed session 13 for alice"] * 50, 0.1, seed=0)
    >>> len(log.texts), sum(kind != "" for kind in log.kinds)
    (100, 10)
    """
    draw = np.random.default_rng(seed)
    texts, kinds = list(lines), [""] * len(lines)
    words = sorted({token.word for line in lines for token in tokens_of(line) if token.word[0].isalpha()})
    chosen = draw.permutation(len(lines))[: max(1, round(share * len(lines)))]
    for number, row in enumerate(chosen.tolist()):
        for kind in (PLANTED[number % len(PLANTED)], "corrupted"):  # a line without a number or of one word is garbled
            changed = _changed(texts[row], kind, words, draw)
            if [one.word for one in tokens_of(changed)] != [one.word for one in tokens_of(texts[row])]:
                texts[row], kinds[row] = changed, kind
                break
    return LabelledLog(texts, kinds)


def _changed(line: str, kind: str, words: Sequence[str], draw: np.random.Generator) -> str:
    tokens = tokens_of(line)
    if kind == "number":
        places = [token for token in tokens if line[token.begin : token.end].isdecimal()]
        if not places:
            return line
        token = places[int(draw.integers(len(places)))]
        return f"{line[: token.begin]}{draw.integers(10**3, 10**8)}{line[token.end :]}"
    if kind == "words":
        places = [token for token in tokens if token.word[0].isalpha()]
        # The later place first, or the earlier one would move it.
        picked = sorted((places[k] for k in draw.permutation(len(places))[:2]), key=lambda token: -token.begin)
        for token in picked if words else ():
            line = f"{line[: token.begin]}{words[int(draw.integers(len(words)))]}{line[token.end :]}"
        return line
    if kind == "shuffled":
        parts = line.split()
        return " ".join(parts[k] for k in draw.permutation(len(parts)))
    place = int(draw.integers(1, max(2, len(line))))
    if draw.random() < 0.5 and place < len(line):
        return line[:place]
    size = min(len(line), 8)
    place = int(draw.integers(0, len(line) - size + 1))
    return line[:place] + "".join(_GARBLE[k] for k in draw.integers(len(_GARBLE), size=size)) + line[place + size :]


def average_precision(scores: Sequence[float], faulty: Sequence[bool]) -> float:
    """Σ over faults, from the highest score down, of the precision there, / F; equal scores count as one step.

    Raises:
        DataError: if there is no faulty or no normal line.

    >>> average_precision([0.1, 0.9, 0.8, 0.2], [False, True, False, True])
    0.8333333333333333
    """
    if not any(faulty) or all(faulty):
        raise DataError("Average precision needs both normal and faulty lines.")
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(np.array(faulty), np.array(scores)))


def found_row(scores: Sequence[float], kinds: Sequence[str]) -> dict[str, float]:
    """AUC and average precision over all lines, and the average precision of each kind of fault among normal lines.

    >>> found_row([0.0, 1.0, 2.0], ["", "", "order"])
    {'AUC': 1.0, 'average precision': 1.0, 'order': 1.0}
    """
    values = torch.tensor(scores, dtype=torch.float64)
    faulty = [kind != "" for kind in kinds]
    row = {"AUC": auroc(values[~torch.tensor(faulty)], values[torch.tensor(faulty)])}
    row["average precision"] = average_precision(scores, faulty)
    for kind in dict.fromkeys(kind for kind in kinds if kind):
        part = [(score, one == kind) for score, one in zip(scores, kinds, strict=True) if one in ("", kind)]
        row[kind] = average_precision(*zip(*part, strict=True))
    return row


def choose_ways(scorer: LineScorer, log: LabelledLog) -> dict[str, float]:
    """Set `scorer.ways` to the one or two ways of most average precision on labelled validation lines.

    Returns the average precision of each choice.
    """
    values = scorer.values(log.texts)
    normal = [one for one, kind in zip(values, log.kinds, strict=True) if not kind]
    faulty = [kind != "" for kind in log.kinds]
    found: dict[str, float] = {}
    best: tuple[float, dict[str, list[float]]] = (-1.0, {})
    for ways in [*combinations(WAYS, 1), *combinations(WAYS, 2)]:
        scorer.ways = scaled(normal, ways)
        value = average_precision(scorer.combined(values), faulty)
        found[" + ".join(ways)] = value
        if value > best[0]:
            best = value, scaled(normal, ways)
    scorer.ways = best[1]
    return found


def rivals(train: Sequence[str], test: Sequence[str], seed: int = 0) -> dict[str, list[float]]:
    """Scores of test lines by what people use, each on the same masked tokens, higher for unusual lines.

    The distance to the nearest normal line in TF-IDF, over words and pairs of words, those of the test lines too, so
    that a new word counts; the mean −log p of a word after
    the one before it, with 0.1 added to each count; scikit-learn's isolation forest on TF-IDF.
    """
    from sklearn.ensemble import IsolationForest
    from sklearn.feature_extraction.text import TfidfVectorizer

    old, new = ([[token.word for token in tokens_of(line)] for line in lines] for lines in (train, test))
    vectors = TfidfVectorizer(token_pattern=r"\S+", lowercase=False, ngram_range=(1, 2), sublinear_tf=True)
    distinct, tested = sorted({" ".join(line) for line in old}), [" ".join(line) for line in new]
    vectors.fit([*distinct, *tested])
    known, asked = vectors.transform(distinct), vectors.transform(tested)
    near = np.concatenate([(asked[k : k + 256] @ known.T).max(axis=1).toarray()[:, 0] for k in range(0, len(new), 256)])
    forest = IsolationForest(random_state=seed).fit(vectors.transform([" ".join(line) for line in old]))
    return {
        TFIDF: (1 - near).round(9).tolist(),
        BIGRAM: bigrams(old, new),
        FOREST: (-forest.score_samples(asked)).tolist(),
    }


def bigrams(old: Sequence[Sequence[str]], new: Sequence[Sequence[str]], added: float = 0.1) -> list[float]:
    """Mean over the tokens of −log p(token | the one before), with `added` to each count.

    >>> low, high = bigrams([["a", "b"]] * 9, [["a", "b"], ["b", "a"]])
    >>> low < high
    True
    """
    pairs = Counter(pair for line in old for pair in zip(["", *line], [*line, ""], strict=True))
    first = Counter(one for line in old for one in ["", *line])
    kinds = len({word for line in old for word in line}) + 2
    found = []
    for line in new:
        costs = [
            -math.log((pairs[pair] + added) / (first[pair[0]] + added * kinds))
            for pair in zip(["", *line], [*line, ""], strict=True)
        ]
        found.append(math.fsum(costs) / len(costs))
    return found


class Judged(NamedTuple):
    """What a scorer does on a test.

    `rows` are numbers by method and measure, `least` the least score of an unusual line, `mark` the least excess of a
    token that is named, `scores` (N,) of the test lines, `choices` the validation precision of each way to score, and
    `milliseconds` the median time of a line of a stream.
    """

    rows: dict[str, dict[str, float]]
    least: float
    mark: float
    scores: list[float]
    choices: dict[str, float]
    milliseconds: float


def judge(
    scorer: LineScorer, train: Sequence[str], validation: LabelledLog, test: LabelledLog, alarms: float, seed: int = 0
) -> Judged:
    """Choose how to score on validation lines, and where to draw the line; then measure it on test lines, with rivals.

    Args:
        scorer: of a trained network; its `ways` are set.
        train: normal lines, from which the rivals learn.
        validation, test: labelled lines in their order.
        alarms: share of the normal validation lines that may be called unusual.
        seed: of the isolation forest.
    """
    choices = choose_ways(scorer, validation)
    chosen, scores = (scorer.combined(scorer.values(log.texts)) for log in (validation, test))
    mark = _quantile([max(one.excess, default=0.0) for one in _normal(scorer, validation)], 1 - alarms)
    both = rivals(train, [*validation.texts, *test.texts], seed)
    both = {OURS: [*chosen, *scores], **both, NOTHING: [0.0] * (len(chosen) + len(scores))}
    rows, least = dict[str, dict[str, float]](), 0.0
    for name, values in both.items():
        old, new = values[: len(chosen)], values[len(chosen) :]
        bound = _quantile([score for score, kind in zip(old, validation.kinds, strict=True) if not kind], 1 - alarms)
        least = bound if name == OURS else least
        rows[name] = found_row(new, test.kinds) | _caught(new, test.kinds, bound)
    began = [time.perf_counter()]
    began += [time.perf_counter() for _ in scorer.stream(test.texts[:_TIMED])]
    times = sorted(late - early for early, late in pairwise(began))
    return Judged(rows, least, mark, scores, choices, 1000 * times[len(times) // 2])


def _normal(scorer: LineScorer, log: LabelledLog) -> list[LineScore]:
    """A part of the validation lines that is enough for a quantile, without the faulty ones."""
    found = zip(scorer.stream(log.texts[:_MARKED]), log.kinds, strict=False)
    return [one for one, kind in found if not kind]


def _quantile(values: Sequence[float], share: float) -> float:
    """The least number above that share of the values."""
    ordered = sorted(values)
    place = min(len(ordered) - 1, math.ceil(share * len(ordered)))
    return math.nextafter(ordered[place], math.inf)


def _caught(scores: Sequence[float], kinds: Sequence[str], least: float) -> dict[str, float]:
    """Faulty lines that are called unusual, and normal ones, both in percent, with Wilson's intervals for 95 %."""
    row = {}
    for name, wanted in (("caught", True), ("false alarms", False)):
        some = [score >= least for score, kind in zip(scores, kinds, strict=True) if (kind != "") == wanted]
        part = wilson(sum(some), len(some))
        row |= {name: 100 * part.value, f"{name} low": 100 * part.low, f"{name} high": 100 * part.high}
    return row

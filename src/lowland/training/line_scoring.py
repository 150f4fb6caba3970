"""Scores of the lines of a log, one by one or many at once: which are unlike the normal ones, and which tokens of them.

Shape letters: N lines, T tokens, L earlier lines, K words, W ways to look at a line.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lowland.data.log_tokens import Token, Vocabulary, tokens_of
from lowland.nn.cloze import ClozeTransformer

VIEWS = ("others", "before")
"""From what each word is predicted: all other words of the line and the lines before; or only what stands before it."""
POOLS = ("mean", "sum", "max")
COUNTS = ("cost", "excess")
"""What counts of a word: its energy −log p, or by how much that is above the least energy of any word there."""
WAYS = tuple(f"{count} {view} {pool}" for count in COUNTS for view in VIEWS for pool in POOLS)
"""W numbers of a line, of which a score is made."""
_TOGETHER = 64


class LineScore(NamedTuple):
    """What is said of a line: its score, and for each of its tokens by how much it is above what is likeliest there."""

    score: float
    tokens: list[Token]
    excess: list[float]


class LineScorer:
    """Scores lines in their order: the mean, over some ways to look at a line, of (value − mean) / deviation.

    Lines longer than the network are scored in pieces, of which no token is left out.

    Args:
        network: predicts words.
        vocabulary: numbers of words.
        ways: which of `WAYS`, each with the mean and the standard deviation that it has on normal lines.

    >>> network, words = ClozeTransformer(8, 4, 2, 8, heads=2), Vocabulary(["a", "b"])
    >>> scorer = LineScorer(network, words, {"cost others max": (0.0, 1.0)})
    >>> found = list(scorer.stream(["a b a b a", "b"]))
    >>> [len(one.tokens) for one in found], found[0].score > 0
    ([5, 1], True)
    """

    def __init__(self, network: ClozeTransformer, vocabulary: Vocabulary, ways: Mapping[str, Sequence[float]]) -> None:
        self.network, self.vocabulary = network.eval(), vocabulary
        self.ways: Mapping[str, Sequence[float]] = dict(ways)

    def stream(self, lines: Iterable[str]) -> Iterator[LineScore]:
        """Scores of lines, each as soon as it comes; the lines before it are those of this stream."""
        past: deque[list[int]] = deque(maxlen=self.network.before)
        for line in lines:
            tokens = tokens_of(line)
            numbers = [self.vocabulary.number(token.word) for token in tokens]
            values, excess = self._looked([numbers], [list(past)])
            past.append(numbers)
            yield LineScore(self.combined(values)[0], tokens, excess[0])

    def values(self, lines: Sequence[str]) -> list[list[float]]:
        """The W numbers of each line of a log, N lists, many lines at once."""
        ready = [self.vocabulary.numbers(line) for line in lines]
        found: list[list[float]] = [[] for _ in lines]
        order = sorted(range(len(ready)), key=lambda row: len(ready[row]))
        for first in range(0, len(order), _TOGETHER):
            rows = order[first : first + _TOGETHER]
            before = [ready[max(0, row - self.network.before) : row] for row in rows]
            for row, one in zip(rows, self._looked([ready[row] for row in rows], before)[0], strict=True):
                found[row] = one
        return found

    def combined(self, values: Sequence[Sequence[float]]) -> list[float]:
        """Scores from the W numbers of each line."""
        places = [(WAYS.index(way), mean, deviation) for way, (mean, deviation) in self.ways.items()]
        return [sum((one[place] - mean) / scale for place, mean, scale in places) / len(places) for one in values]

    @torch.no_grad()
    def _looked(
        self, lines: Sequence[list[int]], before: Sequence[list[list[int]]]
    ) -> tuple[list[list[float]], list[list[float]]]:
        length = self.network.length
        pieces = [(row, line[k : k + length]) for row, line in enumerate(lines) for k in range(0, len(line), length)]
        costs: list[list[list[float]]] = [[[] for _ in COUNTS + VIEWS] for _ in lines]
        if pieces:
            y = padded([piece for _, piece in pieces])
            x = contexts([before[row] for row, _ in pieces], self.network.before, length)
            for part, shown in enumerate((y >= 0, torch.zeros_like(y, dtype=torch.bool))):
                chances = self.network(y, x, shown).log_softmax(dim=2)
                cost = -chances.gather(2, y.clamp_min(0)[..., None])[..., 0]
                excess = (cost + chances.amax(dim=2)).tolist()
                for (row, piece), one, two in zip(pieces, cost.tolist(), excess, strict=True):
                    costs[row][part] += one[: len(piece)]
                    costs[row][2 + part] += two[: len(piece)]
        values = [[_pooled(part, pool) for part in one for pool in POOLS] for one in costs]
        return values, [[max(a, b) for a, b in zip(one[2], one[3], strict=True)] for one in costs]


def _pooled(values: Sequence[float], pool: str) -> float:
    if not values:
        return 0.0
    return max(values) if pool == "max" else math.fsum(values) / (len(values) if pool == "mean" else 1)


def padded(lines: Sequence[list[int]], width: int = 0) -> Tensor:
    """Lists of numbers as (N, T) int64, −1 behind their ends; T is the longest, or `width`."""
    width = width or max(1, *map(len, lines)) if lines else 1
    return torch.tensor([line + [-1] * (width - len(line)) for line in lines])


def contexts(before: Sequence[list[list[int]]], count: int, length: int) -> Tensor:
    """The `count` lines before each, (N, L, T) int64: the first `length` numbers of each, the last line last."""
    rows = [[[]] * (count - len(lines)) + [line[:length] for line in lines] for lines in before]
    width = max([1, *(len(line) for lines in rows for line in lines)])
    return padded([line for lines in rows for line in lines], width).reshape(len(rows), count, width)


def scaled(values: Sequence[Sequence[float]], ways: Iterable[str]) -> dict[str, list[float]]:
    """Mean and standard deviation of some ways on normal lines, as `LineScorer` takes them.

    >>> scaled([[0.0] * 12, [2.0] * 12], ["cost others mean"])
    {'cost others mean': [1.0, 1.0]}
    """
    found: dict[str, Any] = {}
    for way in ways:
        column = [one[WAYS.index(way)] for one in values]
        mean = math.fsum(column) / len(column)
        found[way] = [mean, max(1e-6, math.sqrt(math.fsum((one - mean) ** 2 for one in column) / len(column)))]
    return found


def marked(line: str, found: LineScore, least: float, signs: tuple[str, str] = ("«", "»")) -> str:
    """The line with its offending tokens between signs: those with an excess of `least`, or else the worst one.

    >>> marked("a b c", LineScore(2.0, tokens_of("a b c"), [0.0, 3.0, 0.1]), least=1.0)
    'a «b» c'
    """
    bound = min(least, max(found.excess, default=0.0))
    spans: list[list[int]] = []
    for token, excess in zip(found.tokens, found.excess, strict=True):
        if excess < bound:
            continue
        if spans and not line[spans[-1][1] : token.begin].strip():
            spans[-1][1] = token.end
        else:
            spans.append([token.begin, token.end])
    for begin, end in reversed(spans):
        line = f"{line[:begin]}{signs[0]}{line[begin:end]}{signs[1]}{line[end:]}"
    return line

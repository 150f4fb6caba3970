"""How well lines are read: answers, how sure they are, and what is rejected so that few are wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lowland.energies.lattice import Lattice
from lowland.errors import DomainError, OptionError, ShapeError
from lowland.evaluation.success import wilson
from lowland.nn.layers import evaluating
from lowland.tensors import take, tree_leaves


class Reading(NamedTuple):
    """What was read of N lines.

    `answers` are lists of letters, `confidence` (N,) is log p(answer | line), at most 0.
    """

    answers: list[list[int]]
    confidence: Tensor


@torch.no_grad()
def read_lines(energy: Lattice, x: Any, batch: int = 64) -> Reading:
    """ŷ, ẑ = argmin E(x, y, z) of each line, and log p(ŷ | x) = −F_1(x, ŷ) − log Z(x).

    A line that has no answer at all is read as empty, with the confidence −∞.

    Args:
        energy: trained; it is put into evaluation mode while it reads, so that a line does not depend on its
            neighbours.
        x: of N lines.
        batch: lines that are read at once.

    Raises:
        DomainError: for a network that gives NaN.
    """
    answers, sure = [], []
    with evaluating(energy):
        for rows in torch.arange(len(tree_leaves(x, "x")[0])).split(batch):
            encoded = energy.encode(take(x, rows))
            minimiser = energy.structure(("y", "z"), encoded, None, None).minimiser
            assert minimiser is not None
            y = minimiser()[:, : energy.cells]
            answers += energy.letters(y)
            sure.append(energy.log_likelihood(encoded, y, possible=False))
    confidence = torch.cat(sure)
    if bool(confidence.isnan().any()):
        raise DomainError(f"Line {int(confidence.isnan().nonzero()[0])} gets NaN from the network: train it anew.")
    return Reading(answers, confidence)


def edit_distance(one: Sequence[Any], other: Sequence[Any]) -> int:
    """Fewest insertions, deletions and substitutions that turn one sequence into the other (Levenshtein 1966).

    >>> edit_distance("12.50", "1250"), edit_distance("", "ab")
    (1, 2)
    """
    row = np.arange(len(other) + 1)
    places = np.arange(len(other) + 1)
    number: dict[Any, int] = {}
    letters = np.array([number.setdefault(letter, len(number)) for letter in other], dtype=np.int64)
    for i, letter in enumerate(one, 1):
        fresh = np.minimum(row[1:] + 1, row[:-1] + (letters != number.get(letter, -1)))
        # An insertion adds 1 to what stands to the left, over and over.
        row = np.minimum.accumulate(np.concatenate([[i], fresh]) - places) + places
    return int(row[-1])


def label_errors(answers: Sequence[Sequence[int]], truths: Sequence[Sequence[int]]) -> dict[str, float]:
    """Errors of labelled sequences, place by place, in percent: "labels" of all labels, "whole" of all sequences.

    Raises:
        ShapeError: for an answer that is longer or shorter than the truth.

    >>> label_errors([[1, 2], [3, 0]], [[1, 2], [3, 4]])
    {'labels': 25.0, 'whole': 50.0}
    """
    odd = next((i for i, (one, other) in enumerate(zip(answers, truths, strict=True)) if len(one) != len(other)), None)
    if odd is not None:
        raise ShapeError(f"Answer {odd} has {len(answers[odd])} labels, but {len(truths[odd])} are right.")
    wrong = [sum(a != b for a, b in zip(one, other, strict=True)) for one, other in zip(answers, truths, strict=True)]
    labels = sum(map(len, truths))
    return {"labels": 100 * sum(wrong) / labels, "whole": 100 * sum(map(bool, wrong)) / len(wrong)}


def threshold(confidence: Tensor, right: Tensor, most: float) -> float:
    """The least confidence that may be accepted so that at most a share of all lines is wrong and accepted.

    Chosen on lines whose right answer is known, and to be judged on others.

    Args:
        confidence: (N,).
        right: (N,) of booleans.
        most: share of all lines that may be wrong, in [0, 1].

    Raises:
        OptionError: for a share outside [0, 1].

    >>> threshold(torch.tensor([-0.1, -0.2, -0.3, -0.4]), torch.tensor([True, True, False, True]), most=0.0)
    -0.20000000298023224
    """
    if not 0 <= most <= 1:
        raise OptionError(f"The share of wrong lines must lie in [0, 1], but it is {most}.")
    order = confidence.argsort(descending=True, stable=True)
    levels, wrong = confidence[order], (~right[order]).cumsum(0)
    # Lines of one confidence are accepted together.
    last = torch.cat([levels[1:] < levels[:-1], torch.ones(1, dtype=torch.bool)])
    good = (wrong <= most * len(right)) & last
    return float(levels[good.nonzero()[-1]]) if bool(good.any()) else float("inf")


def rejection(confidence: Tensor, right: Tensor, least: float) -> dict[str, float]:
    """Shares of all lines, in percent: read correctly, rejected, and wrong, with the interval of the wrong ones.

    >>> found = rejection(torch.tensor([-0.1, -0.2, -0.3, -0.4]), torch.tensor([True, True, False, True]), -0.25)
    >>> found["correct"], found["rejected"], found["wrong"]
    (50.0, 50.0, 0.0)
    """
    taken, count = confidence >= least, len(right)
    wrong = wilson(int((taken & ~right).sum()), count)
    return {
        "correct": 100 * float((taken & right).sum()) / count, "rejected": 100 * float((~taken).sum()) / count,
        "wrong": 100 * wrong.value, "low": 100 * wrong.low, "high": 100 * wrong.high,
    }  # fmt: skip

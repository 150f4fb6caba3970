"""How well boxes or masks are found: average precision, and the share found at so many false ones an image.

A thing counts as found by the surest answer that overlaps it enough and has no better thing to find; every further
answer is false. The rules are those of the COCO challenge (Lin et al., "Microsoft COCO", 2014).

Shape letters: I images, N answers and M things of an image, T answers of all images.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lowland.errors import DataError, ShapeError

_RECALLS = np.linspace(0, 1, 101)
STRICTER = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
"""Least overlaps over which the challenge takes the mean."""


class Judged(NamedTuple):
    """Answers of all images, the surest first.

    `scores` (T,); `right` (T,) of booleans; `things` and `images`, how many there are; and for each image `pairs` (N,),
    the row of the thing that each of its answers finds, −1 for none, in the order in which they were given.
    """

    scores: NDArray[np.float64]
    right: NDArray[np.bool_]
    things: int
    images: int
    pairs: list[NDArray[np.int64]]


def judge(scores: Sequence[Tensor], overlaps: Sequence[Tensor], least: float = 0.5) -> Judged:
    """Which answers are right.

    Args:
        scores: of each image, (N,).
        overlaps: of each image, intersection over union of each answer with each thing, (N, M).
        least: overlap of an answer that is right.

    Raises:
        ShapeError: where scores and overlaps do not belong together.
        DataError: if there is nothing to find in any image.

    >>> judged = judge([torch.tensor([0.4, 0.9])], [torch.tensor([[0.7], [0.8]])])
    >>> judged.right.tolist(), judged.pairs[0].tolist()
    ([True, False], [-1, 0])
    """
    if len(scores) != len(overlaps) or any(len(one) != len(other) for one, other in zip(scores, overlaps, strict=True)):
        raise ShapeError("Each image needs one score for each of its answers, and a row of overlaps for each.")
    things = sum(table.shape[1] for table in overlaps)
    if not things:
        raise DataError("There is nothing to find in any of the images, so that no share of it can be found.")
    pairs = [_matched(one, table, least) for one, table in zip(scores, overlaps, strict=True)]
    every = np.concatenate([one.double().cpu().numpy() for one in scores])
    order = np.argsort(-every, kind="stable")
    return Judged(every[order], np.concatenate(pairs)[order] >= 0, things, len(scores), pairs)


def _matched(scores_N: Tensor, overlaps_NM: Tensor, least: float) -> NDArray[np.int64]:
    table, found = overlaps_NM.double().cpu().numpy().copy(), np.full(len(scores_N), -1)
    if not table.shape[1]:
        return found
    for row in np.argsort(-scores_N.double().cpu().numpy(), kind="stable"):
        # Of equal overlaps the last one, as in the challenge's own code.
        best = table.shape[1] - 1 - int(np.argmax(table[row, ::-1]))
        if table[row, best] >= min(least, 1 - 1e-10):
            found[row] = best
            table[:, best] = -1.0
    return found


def average_precision(judged: Judged) -> float:
    """The mean, over the recalls 0, 0.01 … 1, of the largest precision at that recall or a higher one.

    >>> average_precision(judge([torch.tensor([0.9, 0.4])], [torch.tensor([[0.0, 0.1], [0.0, 0.8]])]))
    0.2524752475247525
    """
    right = np.cumsum(judged.right)
    precision = right / np.arange(1, len(right) + 1)
    envelope = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    return float(envelope[np.searchsorted(right / judged.things, _RECALLS, side="left")].mean())


def mean_precision(scores: Sequence[Tensor], overlaps: Sequence[Tensor]) -> float:
    """The mean of average precision over the least overlaps 0.5, 0.55 … 0.95: COCO's AP.

    >>> round(mean_precision([torch.tensor([0.9])], [torch.tensor([[0.72]])]), 6)
    0.5
    """
    return float(np.mean([average_precision(judge(scores, overlaps, least)) for least in STRICTER]))


def found_curve(judged: Judged) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """False answers an image, and the share of things found, at each score at which an answer is accepted, from none.

    >>> [part.tolist() for part in found_curve(judge([torch.tensor([0.9, 0.4])], [torch.tensor([[0.0], [0.8]])]))]
    [[0.0, 1.0, 1.0], [0.0, 0.0, 1.0]]
    """
    ends = np.append(np.flatnonzero(np.diff(judged.scores)), len(judged.scores) - 1) if len(judged.scores) else []
    rows = np.asarray(ends, dtype=int)  # answers of one score are accepted together
    right = np.cumsum(judged.right)[rows]
    return np.append(0.0, (rows + 1 - right) / judged.images), np.append(0.0, right / judged.things)


def found_at(judged: Judged, false: float) -> float:
    """The largest share of things found with at most so many false answers an image.

    >>> found_at(judge([torch.tensor([0.9, 0.4])], [torch.tensor([[0.0], [0.8]])]), 0.5)
    0.0
    """
    wrong, found = found_curve(judged)
    return float(found[wrong <= false].max())


def angle_errors(judged: Judged, told: Sequence[Tensor], true: Sequence[Tensor]) -> Tensor:
    """The angle between what was told and what is, of each thing that was found, in degrees.

    Args:
        told, true: angles of the answers and of the things of each image, in radians.

    >>> judged = judge([torch.tensor([0.9])], [torch.tensor([[0.8]])])
    >>> angle_errors(judged, [torch.tensor([0.1])], [torch.tensor([0.1 + 2 * torch.pi])]).abs().max() < 1e-4
    tensor(True)
    """
    errors = [torch.zeros(0)]
    for pairs, own, right in zip(judged.pairs, told, true, strict=True):
        rows = torch.from_numpy(np.flatnonzero(pairs >= 0))
        apart = own[rows].double() - right[torch.from_numpy(pairs)[rows]].double()
        errors.append(torch.remainder(apart + math.pi, 2 * math.pi).sub(math.pi).abs().rad2deg().float())
    return torch.cat(errors)

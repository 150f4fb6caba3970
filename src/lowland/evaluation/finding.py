"""What a finder finds in scenes, and how good that is, beside an answer that does not look at the image.

Shape letters: N answers of a scene, S pixels along the side of a mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lowland.data.boxes import mask_overlaps, overlaps
from lowland.data.pasted import Scene
from lowland.energies.box_finder import BoxFinder
from lowland.energies.masks import Masks
from lowland.evaluation.detection import (
    Judged,
    angle_errors,
    average_precision,
    found_at,
    judge,
    mean_precision,
)
from lowland.nn.boxes import paste_masks
from lowland.training.finding import inside_boxes

FALSE = (0.5, 1.0, 1.28)
"""False answers an image at which the share that is found is told; the published figures have 0.5 and 1.28."""


class Answers(NamedTuple):
    """Answers to several scenes.

    Of each scene `boxes` (N, 4), `scores` (N,), `angles` (N,) or (0,); and, where there are masks, `masks`, their
    overlaps with the masks of the things.
    """

    boxes: list[Tensor]
    scores: list[Tensor]
    angles: list[Tensor]
    masks: list[Tensor]


@torch.no_grad()
def answer(finder: BoxFinder, scenes: Sequence[Scene], masks: Masks | None = None) -> Answers:
    """What a finder finds in each scene, with the masks in these boxes if `masks` are given."""
    images = torch.stack([scene.image for scene in scenes])
    found = finder.find(images)
    tables = []
    if masks is not None:
        for scene, own in zip(scenes, found, strict=True):
            told = mask_values(masks, finder, scene.image, own.boxes)
            tables.append(mask_overlaps(told > 0.5, scene.masks))
    boxes, scores, angles = ([getattr(own, name) for own in found] for name in ("boxes", "scores", "angles"))
    return Answers(boxes, scores, angles, tables)


@torch.no_grad()
def mask_values(masks: Masks, finder: BoxFinder, image: Tensor, boxes_N4: Tensor) -> Tensor:
    """How likely each pixel of an image belongs to the thing in each box, (N, H, W)."""
    side = finder.cells.side
    if not len(boxes_N4):
        return torch.zeros(0, side, side)
    inside = inside_boxes(finder, image[None], [boxes_N4], masks.domain("y").shape[0])
    return paste_masks(masks.encode(inside).sigmoid().cpu(), boxes_N4, side)


def without_looking(train: Sequence[Scene], count: int) -> Answers:
    """The same box for each of so many scenes: the mean of all boxes of other scenes, and their mean angle.

    >>> scene = Scene(torch.zeros(1, 4, 4), torch.tensor([[0.0, 0, 2, 2]]), torch.zeros(1), torch.zeros(1, 4, 4) > 0)
    >>> without_looking([scene], 2).boxes
    [tensor([[0., 0., 2., 2.]]), tensor([[0., 0., 2., 2.]])]
    """
    box = torch.cat([scene.boxes for scene in train]).mean(dim=0, keepdim=True)
    angle = torch.cat([scene.angles for scene in train]).mean(dim=0, keepdim=True)
    return Answers([box] * count, [torch.ones(1)] * count, [angle] * count, [])


def blind_measures(train: Sequence[Scene], scenes: Sequence[Scene]) -> dict[str, float]:
    """The `measures` of `without_looking`, with the error of the mean angle over all things, since it finds few."""
    answers = without_looking(train, len(scenes))
    apart = torch.cat([scene.angles for scene in scenes]) - answers.angles[0]
    return measures(answers, scenes) | {"angle": float(apart.abs().rad2deg().median())}


def judged_answers(answers: Answers, scenes: Sequence[Scene], least: float = 0.5) -> Judged:
    """Which boxes are right: those that overlap a thing by at least so much, see `detection.judge`."""
    return judge(answers.scores, _tables(answers, scenes), least)


def measures(answers: Answers, scenes: Sequence[Scene]) -> dict[str, float]:
    """Average precision and shares of things found, in percent, and the median error of angles in degrees.

    "ap50" at an overlap of a half, "ap" the mean from 0.5 to 0.95, "found at 1" with at most one false answer an image;
    "mask ap50" and "mask ap" where there are masks, and "angle" where there are angles.
    """
    tables = _tables(answers, scenes)
    judged = judge(answers.scores, tables)
    numbers = {"ap50": 100 * average_precision(judged), "ap": 100 * mean_precision(answers.scores, tables)}
    numbers |= {f"found at {false:g}": 100 * found_at(judged, false) for false in FALSE}
    if answers.masks:
        numbers["mask ap50"] = 100 * average_precision(judge(answers.scores, answers.masks))
        numbers["mask ap"] = 100 * mean_precision(answers.scores, answers.masks)
    if any(len(own) for own in answers.angles):
        errors = angle_errors(judged, answers.angles, [scene.angles for scene in scenes])
        if len(errors):
            numbers["angle"] = float(errors.median())
    return numbers


def threshold(answers: Answers, scenes: Sequence[Scene], false: float = 1.0) -> float:
    """The least score at which there is at most so many false answers an image: of validation scenes."""
    judged = judged_answers(answers, scenes)
    wrong = (~judged.right).cumsum() / judged.images
    within = judged.scores[wrong <= false]
    over = judged.scores[wrong > false]
    return float(within[within > over.max(initial=0.0)].min(initial=1.0))


class Sure(NamedTuple):
    """What is accepted in a scene: `boxes` (N, 4), whether each is `right`, and the boxes of what was `missed`."""

    boxes: Tensor
    right: list[bool]
    missed: Tensor


def sure_answers(answers: Answers, scenes: Sequence[Scene], least: float) -> list[Sure]:
    """The answers of at least this score, scene by scene."""
    judged, found = judged_answers(answers, scenes), []
    for number, scene in enumerate(scenes):
        sure = answers.scores[number] >= least
        pairs = torch.from_numpy(judged.pairs[number])[sure]
        missed = [row for row in range(len(scene.boxes)) if row not in pairs.tolist()]
        found.append(Sure(answers.boxes[number][sure], (pairs >= 0).tolist(), scene.boxes[missed]))
    return found


def accepted(answers: Answers, scenes: Sequence[Scene], least: float) -> dict[str, float]:
    """Of the answers of at least this score: the share of things "found", in percent, and "false" ones an image."""
    judged = judged_answers(answers, scenes)
    taken = judged.right[judged.scores >= least]
    return {"found": float(100 * taken.sum() / judged.things), "false": float((~taken).sum() / judged.images)}


def _tables(answers: Answers, scenes: Sequence[Scene]) -> list[Tensor]:
    return [overlaps(boxes, scene.boxes) for boxes, scene in zip(answers.boxes, scenes, strict=True)]

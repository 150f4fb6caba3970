"""What is measured of a finder, with answers that are known."""

from __future__ import annotations

import math

import pytest
import torch

from lowland.data.pasted import Scene
from lowland.energies.box_finder import BoxFinder
from lowland.energies.masks import Masks
from lowland.evaluation.finding import (
    Answers,
    accepted,
    answer,
    blind_measures,
    mask_values,
    measures,
    sure_answers,
    threshold,
    without_looking,
)


def scene(*boxes: list[float], angle: float = 0.5) -> Scene:
    masks = torch.zeros(len(boxes), 32, 32, dtype=torch.bool)
    for mask, (left, top, right, bottom) in zip(masks, boxes, strict=True):
        mask[int(top) : int(bottom), int(left) : int(right)] = True
    return Scene(torch.zeros(1, 32, 32), torch.tensor(boxes), torch.full((len(boxes),), angle), masks)


SCENES = [scene([0.0, 0, 10, 10], [20.0, 20, 30, 30]), scene([4.0, 4, 16, 16])]


def right_answers(scores: list[list[float]], angle: float = 0.5) -> Answers:
    told = [torch.tensor(own) for own in scores]
    tables = [torch.eye(len(one.boxes)) for one in SCENES]
    return Answers([one.boxes for one in SCENES], told, [torch.full((len(own),), angle) for own in told], tables)


def test_right_answers_are_perfect() -> None:
    found = measures(right_answers([[0.9, 0.8], [0.7]]), SCENES)
    for name in ("ap50", "ap", "found at 0.5", "found at 1", "found at 1.28", "mask ap50", "mask ap"):
        assert found[name] == 100, name
    assert found["angle"] == pytest.approx(0, abs=1e-4)


def test_masks_are_judged_by_themselves() -> None:
    answers = right_answers([[0.9, 0.8], [0.7]])._replace(masks=[torch.zeros(2, 2), torch.eye(1)])
    found = measures(answers, SCENES)
    assert found["ap50"] == 100
    assert 0 < found["mask ap50"] < 50


def test_the_threshold_is_the_least_with_so_few_false_answers() -> None:
    """Two scenes, so at most two false answers: the third one, at 0.3, is too many, and so is all below it."""
    wrong = torch.tensor([[0.0, 20, 4, 30]])
    answers = Answers(
        [torch.cat([SCENES[0].boxes, wrong, wrong]), torch.cat([SCENES[1].boxes, wrong])],
        [torch.tensor([0.9, 0.35, 0.8, 0.3]), torch.tensor([0.6, 0.7])], [torch.zeros(0)] * 2, [],
    )  # fmt: skip
    least = threshold(answers, SCENES)
    assert least == pytest.approx(0.35)
    found = accepted(answers, SCENES, least)
    assert found == {"found": 100.0, "false": 1.0}
    first, second = sure_answers(answers, SCENES, 0.65)
    assert (first.right, second.right) == ([True, False], [False])
    assert torch.equal(first.missed, SCENES[0].boxes[1:])
    assert torch.equal(second.missed, SCENES[1].boxes)
    assert accepted(answers, SCENES, 0.75) == {"found": pytest.approx(100 / 3), "false": 0.5}


def test_no_threshold_is_low_enough_where_all_is_false() -> None:
    wrong = torch.tensor([[0.0, 20, 4, 30]]).expand(5, -1)
    answers = Answers([wrong, wrong], [torch.full((5,), 0.4)] * 2, [torch.zeros(0)] * 2, [])
    least = threshold(answers, SCENES)
    assert accepted(answers, SCENES, least) == {"found": 0.0, "false": 0.0}


def test_what_does_nothing_is_the_mean_box() -> None:
    blind = without_looking(SCENES, 2)
    assert torch.equal(blind.boxes[0], torch.cat([one.boxes for one in SCENES]).mean(dim=0, keepdim=True))
    assert measures(blind, SCENES)["ap50"] < 50
    turned = [SCENES[0]._replace(angles=torch.tensor([0.2, 0.2])), SCENES[1]._replace(angles=torch.tensor([-0.1]))]
    # The mean is 0.1, so the errors are 0.1, 0.1 and 0.2.
    assert blind_measures(turned, turned)["angle"] == pytest.approx(math.degrees(0.1), rel=1e-5)


def test_answers_of_a_finder_have_the_shapes_that_are_judged() -> None:
    finder, masks = BoxFinder(32, 1, widths=(4, 8), features=4), Masks(5, 8, 4)
    found = answer(finder, SCENES, masks)
    for boxes, scores, table, one in zip(found.boxes, found.scores, found.masks, SCENES, strict=True):
        assert len(boxes) == len(scores) <= 50
        assert table.shape == (len(boxes), len(one.masks))
    values = mask_values(masks, finder, SCENES[0].image, SCENES[0].boxes)
    assert values.shape == (2, 32, 32)
    assert bool((values[0][11:] == 0).all())
    assert mask_values(masks, finder, SCENES[0].image, torch.zeros(0, 4)).shape == (0, 32, 32)

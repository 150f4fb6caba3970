"""Average precision against slow references and pycocotools, and shares found against false answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from lowland.data.boxes import overlaps
from lowland.errors import DataError, ShapeError
from lowland.evaluation.detection import (
    STRICTER,
    angle_errors,
    average_precision,
    found_at,
    found_curve,
    judge,
    mean_precision,
)


def scene(generator: torch.Generator, most: int, answers: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Boxes of things, answers near some of them and elsewhere, and scores of which some are equal."""
    things = _boxes(int(torch.randint(most + 1, (), generator=generator)), generator)
    near = things[torch.randint(len(things), (answers // 2,), generator=generator)] if len(things) else things
    moved = near + 3 * torch.randn(near.shape, generator=generator)
    moved[:, 2:] = torch.maximum(moved[:, 2:], moved[:, :2] + 1)
    told = torch.cat([moved, _boxes(answers - len(moved), generator)])
    scores = (torch.rand(len(told), generator=generator) * 50).round() / 50
    return things, told, scores


def _boxes(count: int, generator: torch.Generator) -> torch.Tensor:
    corners = 80 * torch.rand(count, 2, generator=generator)
    return torch.cat([corners, corners + 8 + 20 * torch.rand(count, 2, generator=generator)], dim=1)


def slow_precision(scenes: list[Any], least: float) -> float:
    """From the definition: at each recall, the largest precision of any prefix that reaches it."""
    rows = []
    for number, (things, told, scores) in enumerate(scenes):
        taken: set[int] = set()
        for row in sorted(range(len(told)), key=lambda row: (-float(scores[row]), row)):
            best, size = -1, least
            for thing in range(len(things)):
                own = float(overlaps(told[row : row + 1], things[thing : thing + 1]))
                if thing not in taken and own >= size:
                    best, size = thing, own
            taken |= {best} - {-1}
            rows.append((-float(scores[row]), number, best >= 0))
    rows.sort(key=lambda row: row[:2])
    total = sum(len(things) for things, _, _ in scenes)
    points, right = [], 0
    for count, (_, _, good) in enumerate(rows, 1):
        right += good
        points.append((right / total, right / count))
    return float(
        np.mean([max((p for r, p in points if r >= recall), default=0.0) for recall in np.linspace(0, 1, 101)])
    )


@pytest.mark.parametrize("seed", range(4))
def test_average_precision_equals_the_slow_one(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    scenes = [scene(generator, 5, 8) for _ in range(6)]
    scores = [own for _, _, own in scenes]
    tables = [overlaps(told, things) for things, told, _ in scenes]
    for least in (0.3, 0.5, 0.75):
        found = average_precision(judge(scores, tables, least))
        assert found == pytest.approx(slow_precision(scenes, least), abs=1e-12)
        assert 0 < average_precision(judge(scores, tables, 0.3)) < 1


def test_average_precision_equals_pycocotools(capsys: pytest.CaptureFixture[str]) -> None:
    """Fifty images with up to nine things each; both count the same fractions, so only rounding may differ."""
    cocotools: Any = pytest.importorskip("pycocotools.coco")
    evaluation: Any = pytest.importorskip("pycocotools.cocoeval")
    generator = torch.Generator().manual_seed(11)
    scenes = [scene(generator, 9, 20) for _ in range(50)]
    truth, rows = [], []
    for number, (things, told, scores) in enumerate(scenes, 1):
        for left, top, right, bottom in things.double().tolist():
            box = [left, top, right - left, bottom - top]
            truth.append({
                "id": len(truth) + 1, "image_id": number, "category_id": 1, "bbox": box, "area": box[2] * box[3],
                "iscrowd": 0,
            })  # fmt: skip
        for (left, top, right, bottom), score in zip(told.double().tolist(), scores.double().tolist(), strict=True):
            box = [left, top, right - left, bottom - top]
            rows.append({"image_id": number, "category_id": 1, "bbox": box, "score": score})
    known = cocotools.COCO()
    images = [{"id": number} for number in range(1, 51)]
    known.dataset = {"images": images, "annotations": truth, "categories": [{"id": 1}], "info": {}}
    known.createIndex()
    judged = evaluation.COCOeval(known, known.loadRes(rows), "bbox")
    judged.evaluate()
    judged.accumulate()
    judged.summarize()
    capsys.readouterr()
    scores = [own for _, _, own in scenes]
    tables = [overlaps(told.double(), things.double()) for things, told, _ in scenes]
    assert mean_precision(scores, tables) == pytest.approx(judged.stats[0], abs=1e-9)
    assert average_precision(judge(scores, tables, 0.5)) == pytest.approx(judged.stats[1], abs=1e-9)
    assert average_precision(judge(scores, tables, 0.75)) == pytest.approx(judged.stats[2], abs=1e-9)
    assert 0.05 < judged.stats[0] < 0.95
    assert np.allclose(STRICTER, judged.params.iouThrs)


def test_each_thing_is_found_once() -> None:
    table = torch.tensor([[0.9, 0.6], [0.8, 0.1], [0.7, 0.55]])
    judged = judge([torch.tensor([0.9, 0.8, 0.7])], [table])
    assert judged.pairs[0].tolist() == [0, -1, 1]
    assert judged.right.tolist() == [True, False, True]


def test_found_against_false_answers() -> None:
    scores = [torch.tensor([0.9, 0.5, 0.5]), torch.tensor([0.7])]
    tables = [torch.tensor([[0.8], [0.0], [0.0]]), torch.tensor([[0.1]])]
    judged = judge(scores, tables)
    wrong, found = found_curve(judged)
    # At 0.9 one is found; at 0.7 one answer in two images is false; at 0.5 two more come together.
    assert wrong.tolist() == [0.0, 0.0, 0.5, 1.5]
    assert found.tolist() == [0.0, 0.5, 0.5, 0.5]
    assert [found_at(judged, false) for false in (0.0, 1.0, 9.0)] == [0.5, 0.5, 0.5]


def test_no_answers_find_nothing() -> None:
    judged = judge([torch.zeros(0)], [torch.zeros(0, 3)])
    assert average_precision(judged) == 0
    assert found_at(judged, 1.0) == 0


def test_answers_that_are_all_right_have_one_whole() -> None:
    assert average_precision(judge([torch.tensor([0.2, 0.1])], [torch.eye(2)])) == 1
    assert mean_precision([torch.tensor([0.2, 0.1])], [torch.eye(2)]) == 1


def test_angles_of_what_was_found_alone() -> None:
    judged = judge([torch.tensor([0.9, 0.8])], [torch.tensor([[0.9, 0.0], [0.0, 0.2]])])
    errors = angle_errors(judged, [torch.tensor([3.1, 0.0])], [torch.tensor([-3.1, 1.0])])
    assert errors.tolist() == pytest.approx([np.degrees(2 * np.pi - 6.2)], abs=1e-3)


def test_what_cannot_be_judged() -> None:
    with pytest.raises(DataError, match="nothing to find in any of the images"):
        judge([torch.tensor([0.5])], [torch.zeros(1, 0)])
    for scores in ([], [torch.zeros(2)]):
        with pytest.raises(ShapeError, match="one score for each of its answers"):
            judge(scores, [torch.zeros(1, 1)])

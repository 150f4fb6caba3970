"""Thresholds of rejection and distances of texts."""

from __future__ import annotations

import pytest
import torch

from lowland.errors import OptionError, ShapeError
from lowland.evaluation.reading import edit_distance, label_errors, rejection, threshold


def test_a_threshold_holds_on_the_lines_it_was_chosen_on() -> None:
    drawn = torch.Generator().manual_seed(0)
    sure = torch.rand(500, generator=drawn).log()
    right = torch.rand(500, generator=drawn) < sure.exp()
    for most in (0.0, 0.01, 0.1, 1.0):
        found = rejection(sure, right, threshold(sure, right, most))
        assert found["wrong"] <= 100 * most
        assert found["correct"] + found["rejected"] + found["wrong"] == pytest.approx(100)
        looser = sure[sure < threshold(sure, right, most)]
        if len(looser):
            assert rejection(sure, right, float(looser.max()))["wrong"] > 100 * most


def test_lines_of_one_confidence_are_taken_together() -> None:
    sure, right = torch.tensor([-0.5, -0.5, -0.5, -1.0]), torch.tensor([True, False, True, True])
    assert threshold(sure, right, 0.2) == float("inf")
    assert rejection(sure, right, threshold(sure, right, 0.2))["rejected"] == 100.0
    with pytest.raises(OptionError, match="share of wrong lines"):
        threshold(sure, right, 1.5)


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [("kitten", "sitting", 3), ("", "", 0), ("abc", "", 3), ("", "abc", 3), ("abcd", "bcda", 2), ([1, 2], [2, 1], 2)],
)
def test_edit_distance(one: str, other: str, distance: int) -> None:
    assert edit_distance(one, other) == distance


def test_labels_are_compared_place_by_place() -> None:
    found = label_errors([[1, 2, 3], [4], [5, 6]], [[1, 2, 3], [9], [6, 5]])
    assert found == {"labels": 50.0, "whole": pytest.approx(200 / 3)}
    with pytest.raises(ShapeError, match="Answer 1 has 1 labels, but 2 are right"):
        label_errors([[1], [2]], [[1], [2, 3]])

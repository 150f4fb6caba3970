"""The recipe `labels`: the same labels for all rows, intervals over pairs, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from lowland.data import digits
from lowland.errors import CollapseError, OptionError
from lowland.recipes.base import execute, load, start
from lowland.recipes.joint.labels.recipe import FROZEN, PRETRAINED, ROWS, SCRATCH, TUNED, LabelsRecipe

SMALL: dict[str, Any] = {
    "data": "digits", "methods": ("vicreg",), "maps": (4,), "fractions": (0.1, 1.0), "seeds": 2, "tuned": (2, 2),
    "rates": (0.003,), "tuned_rates": (0.001, 0.0001),
}  # fmt: skip


def _recipe() -> LabelsRecipe:
    recipe = load("labels").from_options(SMALL)
    assert isinstance(recipe, LabelsRecipe)
    return recipe


def test_a_draw_of_the_labels_is_stratified_and_is_that_of_its_seed() -> None:
    recipe, labels = _recipe(), digits().train_labels
    rows = recipe._drawn(labels, 0.1, 0)
    assert len(rows) == 120
    # 120 of 1200 images of ten classes, the classes themselves being equal up to a few images.
    assert torch.bincount(labels[rows]).tolist() == pytest.approx([12] * 10, abs=1)
    assert torch.equal(rows, recipe._drawn(labels, 0.1, 0))
    assert not torch.equal(rows, recipe._drawn(labels, 0.1, 1))
    assert len(recipe._drawn(labels, 1.0, 3)) == len(labels)


def test_all_rows_are_measured_and_the_better_one_is_chosen_on_validation() -> None:
    recipe, data = _recipe(), digits()
    found = recipe._compare(recipe.network(data, 0), data, 0.1, 0, steps=2, first=None)
    assert set(found["found"]) == set(ROWS)
    assert found["labels"] == 120
    rows = found["found"]
    assert rows[PRETRAINED]["validation"] == max(rows[FROZEN]["validation"], rows[TUNED]["validation"])
    assert rows[PRETRAINED]["test"] == rows[found["better"]]["test"]
    assert [(views, rate) for views, rate, _ in rows[TUNED]["tried"]] == [
        (views, rate) for views in recipe.tuned_views for rate in recipe.tuned_rates
    ]
    assert rows[TUNED]["validation"] == max(value for *_, value in rows[TUNED]["tried"])


def test_later_draws_keep_what_the_first_one_chose() -> None:
    recipe, data = _recipe(), digits()
    chosen = {TUNED: {"rate": 0.0001, "views": "upright"}, SCRATCH: {"rate": 0.003, "views": "none"}}
    rows = recipe._compare(recipe.network(data, 0), data, 0.1, 1, steps=2, first={"found": chosen})["found"]
    for name, setting in chosen.items():
        assert [tuple(one[:2]) for one in rows[name]["tried"]] == [(setting["views"], setting["rate"])]


def test_a_page_without_a_method_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def collapse(*args: Any, **options: Any) -> None:
        raise CollapseError("The embeddings collapsed: all are one point.")

    monkeypatch.setattr("lowland.recipes.joint.common.fit", collapse)
    recipe = _recipe()
    run = execute(recipe, start(recipe, tmp_path, "cpu"))
    page = (run.folder / "report.html").read_text()
    assert run.results == []
    assert "all are one point" in page
    assert "No method of pretraining finished" in run.found


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"fractions": (0.1, 0.01)}, "fractions must rise"),
        ({"fractions": (0.1,)}, "its own number of steps in tuned"),
        ({"methods": ()}, "methods must name at least one"),
        ({"rates": ()}, "rates must name at least one"),
        ({"tuned_views": ()}, "tuned_views must name at least one"),
        ({"tuned_rates": (0.1, -1.0)}, "tuned_rates"),
        ({"fractions": (0.1, 2.0)}, "fractions"),
        ({"tuned_views": ("upside",)}, "'upside'"),
    ],
)
def test_options_that_do_not_fit_together(options: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        load("labels").from_options(SMALL | options)

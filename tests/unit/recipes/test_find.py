"""The recipe `find`: its measures, its pictures, and options that cannot be."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest

from lowland.errors import OptionError
from lowland.recipes.vision.find import recipe as module
from lowland.recipes.vision.find.recipe import BLIND, TASKS, FindRecipe
from lowland.reports.run import Run


def test_measures_and_pictures_are_on_the_page(smoke: Callable[[str], Run]) -> None:
    run = smoke("find")
    for task in TASKS:
        for name in (task, task + BLIND):
            for measure in ("ap50", "ap", "found at 0.5", "found at 1", "found at 1.28"):
                assert 0 <= run.measured.mean(name, measure) <= 100
        assert run.measured.mean(task, "false") >= 0
    assert run.measured.methods("mask ap") == ["stamps"]
    drawn = {path.stem for path in (run.folder / "figures").glob("*.png")}
    assert drawn == {"stamps", "faces", "stamps-heat", "faces-heat", "rates", "training"}
    assert {path.name for path in (run.folder / "checkpoints").glob("*") if (path / "model.safetensors").exists()} >= {
        "stamps", "faces"
    }  # fmt: skip


@pytest.mark.parametrize(("own", "expected"), [(0, [0, 1]), (2, [2000, 2001])])
def test_scenes_take_the_seed_of_the_run(monkeypatch: pytest.MonkeyPatch, own: int, expected: list[int]) -> None:
    class Enough(Exception):
        pass

    seen: list[int] = []

    def scenes(kind: str, seed: int) -> None:
        seen.append(seed)
        raise Enough

    monkeypatch.setattr(module, "scene_sets", scenes)
    for seed in range(2):
        with pytest.raises(Enough):
            FindRecipe(seed=own).measure(cast("Run", None), seed)
    assert seen == expected


@pytest.mark.parametrize("options", [{"data": "photographs"}, {"steps": 0}, {"balance": 0.0}, {"tested": 0}])
def test_options_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        FindRecipe.from_options(options)

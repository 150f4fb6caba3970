"""The recipe `topographic` runs, resumes to the same page, and compares with a shuffled and an untrained map."""

from __future__ import annotations

from pathlib import Path

import pytest

from lowland.errors import OptionError
from lowland.recipes.base import execute, start
from lowland.recipes.topographic import TopographicRecipe


def test_maps_are_compared_with_baselines_also_after_a_resume(tmp_path: Path) -> None:
    config = TopographicRecipe.preset("smoke")
    run = execute(config, start(config, tmp_path, "smoke"))
    agreement = [row["method"] for row in run.results if row["claim"].startswith("agreement")]
    assert {"overlapping pools", "random atoms, untrained (baseline)"} <= set(agreement)
    assert all(1 / 100 <= row["measured"] <= 1 for row in run.results if row["claim"].startswith("largest p"))
    (run.folder / "stages" / "seed-1" / "overlapping-pools.safetensors").unlink()
    again = execute(config, start(config, tmp_path, "smoke", resume=run.folder))
    assert again.results == run.results


@pytest.mark.parametrize("options", [{"side": 5}, {"pool": 1}, {"seeds": 0}, {"components": 144}, {"patches": 5}])
def test_options_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        TopographicRecipe.from_options(options)

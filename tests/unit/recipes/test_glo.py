"""The recipe `glo` runs, resumes to the same page, and puts baselines beside what it claims."""

from __future__ import annotations

from pathlib import Path

import pytest

from lowland.errors import OptionError
from lowland.recipes.base import execute, start
from lowland.recipes.glo import GloRecipe

BASELINES = {"linear encoder (baseline)", "untrained encoder (baseline)", "exact inference"}
STAGE = "test.safetensors"


def test_results_have_baselines_and_survive_a_resume(tmp_path: Path) -> None:
    config = GloRecipe.preset("smoke")
    run = execute(config, start(config, tmp_path, "smoke"))
    methods = {row["method"] for row in run.results}
    assert methods >= BASELINES
    assert all(row["measured"] is not None for row in run.results)
    (run.folder / "stages" / "seed-1" / STAGE).unlink()
    again = execute(config, start(config, tmp_path, "smoke", resume=run.folder))
    assert again.results == run.results


@pytest.mark.parametrize("options", [{"data": "mnist11k"}, {"seeds": 0}, {"images": 5}, {"rate": 0.0}])
def test_options_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        GloRecipe.from_options(options)

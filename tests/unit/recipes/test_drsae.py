"""The recipe `drsae` runs, resumes to the same page, and puts baselines beside what it claims."""

from __future__ import annotations

from pathlib import Path

import pytest

from lowland.errors import OptionError
from lowland.recipes.base import execute, start
from lowland.recipes.drsae import DrsaeRecipe

BASELINES = {"DrSAE", "ReLU, two layers", "LISTA + linear", "most frequent class (baseline)"}
STAGE = "DrSAE.safetensors"


def test_results_have_baselines_and_survive_a_resume(tmp_path: Path) -> None:
    config = DrsaeRecipe.preset("smoke")
    run = execute(config, start(config, tmp_path, "smoke"))
    methods = {row["method"] for row in run.results}
    assert methods >= BASELINES
    assert all(row["measured"] is not None for row in run.results)
    (run.folder / "stages" / "seed-1" / STAGE).unlink()
    again = execute(config, start(config, tmp_path, "smoke", resume=run.folder))
    assert again.results == run.results


@pytest.mark.parametrize("options", [{"data": "mnist11k"}, {"seeds": 0}, {"steps": 5}])
def test_options_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        DrsaeRecipe.from_options(options)

"""The recipe `lqr` runs, resumes to the same page, and its plans meet the exact answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from lowland.errors import OptionError
from lowland.recipes.base import execute, start
from lowland.recipes.lqr import NOTHING, LqrRecipe


def test_plans_meet_the_exact_answer_and_survive_a_resume(tmp_path: Path) -> None:
    config = LqrRecipe.preset("smoke")
    run = execute(config, start(config, tmp_path, "smoke"))
    gap = {row["method"]: row["measured"] for row in run.results}
    assert gap[NOTHING] > 20
    assert max(gap["GradientDescent"], gap["LBFGS"]) < 0.1
    assert max(gap["CEM"], gap["MPPI"]) < 5
    (run.folder / "stages" / "CEM.safetensors").unlink()
    again = execute(config, start(config, tmp_path, "smoke", resume=run.folder))
    assert again.results == run.results


@pytest.mark.parametrize("options", [{"horizon": 0}, {"starts": 0}, {"samples": 8}])
def test_options_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        LqrRecipe.from_options(options)

"""The recipe `pendulum` runs, resumes to the same page, and cuts the region out of the log."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lowland.errors import OptionError
from lowland.recipes.base import execute, start
from lowland.recipes.pendulum import PendulumRecipe, inside, without
from lowland.recipes.pendulum_page import NOTHING, RANDOM


def test_results_have_baselines_and_survive_a_resume(tmp_path: Path) -> None:
    config = PendulumRecipe.preset("smoke")
    run = execute(config, start(config, tmp_path, "smoke"))
    assert {row["method"] for row in run.results} >= {NOTHING, RANDOM}
    assert all(row["measured"] is not None for row in run.results)
    (run.folder / "stages" / "seed-0" / "policy-withheld-careful.safetensors").unlink()
    again = execute(config, start(config, tmp_path, "smoke", resume=run.folder))
    assert again.results == run.results


def test_the_region_is_cut_out_of_the_log() -> None:
    turn = torch.linspace(-3, 3, 61)
    path = {"observation": torch.stack([turn.cos(), turn.sin(), turn], dim=1), "actions": turn[:60, None]}
    segments = without([path])
    assert len(segments) == 2
    assert not any(bool(inside(segment["observation"]).any()) for segment in segments)
    assert sum(len(segment["observation"]) for segment in segments) == int((~inside(path["observation"])).sum())
    for segment in segments:
        torch.testing.assert_close(segment["actions"][:, 0], segment["observation"][:-1, 2])


@pytest.mark.parametrize("options", [{"log": 10}, {"members": 1}, {"uncertainty": 0.0}, {"length": 20}])
def test_options_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        PendulumRecipe.from_options(options)

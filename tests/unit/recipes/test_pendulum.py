"""The recipe `pendulum` cuts the withheld region out of the log, and shows what it trained."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from lowland.data.gym_log import outside
from lowland.data.gym_record import record_gym_log
from lowland.errors import OptionError
from lowland.recipes.base import load
from lowland.recipes.control.pendulum.recipe import WINDOW, inside
from lowland.reports.run import Run


def test_the_page_has_baselines_a_film_and_both_pictures(smoke: Callable[[str], Run]) -> None:
    run = smoke("pendulum")
    assert {row["method"] for row in run.results} >= {"no action (baseline)", "random actions (baseline)"}
    assert [one["file"] for one in run.elements if "file" in one] == [
        "figures/swing-up.mp4", "figures/landscape.png", "figures/region.png"
    ]  # fmt: skip
    assert (run.folder / "figures" / "swing-up.mp4").stat().st_size > 1000


def test_the_region_is_cut_out_of_the_log() -> None:
    log = record_gym_log("Pendulum-v1", 600, seed=3)
    segments = outside(log.paths, inside, WINDOW)
    turn = [torch.atan2(part["observation"][:, 1], part["observation"][:, 0]) for part in segments]
    assert not any(bool(((each > 0.5) & (each < 1.8)).any()) for each in turn)
    assert any(bool(inside(path["observation"]).any()) for path in log.paths)
    assert min(len(part["actions"]) for part in segments) >= WINDOW


def test_an_episode_no_longer_than_a_swing_up_is_refused() -> None:
    with pytest.raises(OptionError, match=r"length must be .* at least 51"):
        load("pendulum").from_options({"length": 50})

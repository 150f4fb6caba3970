"""The recipe `hierarchy` on tiny data: its rows, equal work for all planners, and options that cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from lowland.envs.rooms_trial import Planner
from lowland.envs.two_rooms import opposite_rooms, record_rooms, row_of_rooms
from lowland.errors import OptionError
from lowland.planning.control import Controller
from lowland.planning.hierarchy import Hierarchy
from lowland.recipes.base import execute, load, start
from lowland.training.latent_worlds import upper_world
from lowland.worlds.latent_actions import StepDistance


def test_each_distance_has_a_row_for_each_driver(tmp_path: Path) -> None:
    config = load("hierarchy").preset("smoke").from_options({**load("hierarchy").presets["smoke"], "walls": 2})
    run = execute(config, start(config, tmp_path, "cpu"))
    rows = {(row["method"], row["claim"]): row["measured"] for row in run.results}
    assert len(rows) == 8
    assert all(0 <= value <= 100 for value in rows.values())
    assert {claim for _, claim in rows} == {"goals behind 1 wall reached, %", "goals behind 2 walls reached, %"}


def test_all_planners_spend_the_same_steps_of_a_model() -> None:
    config: Any = load("hierarchy").from_options({"hidden": 8, "upper_hidden": 8, "size": 16})
    log = record_rooms(row_of_rooms, 4, 6, size=16)
    world = config.new_world(log, torch.Generator().manual_seed(0))
    upper = upper_world(world, config.latents, 8, torch.Generator().manual_seed(0))
    tasks = opposite_rooms(row_of_rooms(2, walls=3))
    found = config._drivers(world, upper, StepDistance(config.code), tasks, 0)

    def work(control: Controller) -> int:
        return control.solver.samples * control.solver.max_steps * control.plan.horizon  # pyright: ignore[reportAttributeAccessIssue]

    for name, driver in found.items():
        if isinstance(driver, Planner):
            control = driver.control
            if isinstance(control, Hierarchy):
                spent = work(control.lower) + work(control.upper) / control.stride
            else:
                spent = work(control)
            assert 0.97 * config.calls <= spent <= config.calls, name


def test_an_episode_that_is_too_short_for_the_upper_level_is_refused() -> None:
    with pytest.raises(OptionError, match="does not hold 3 upper steps of 20"):
        load("hierarchy").from_options({"stride": 20})

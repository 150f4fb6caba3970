"""Faults on real processes with real signals.

`python -m lowland.evaluation.averaging_faults` is the long form: eight kills in a minute, a worker stopped for 8 s, a
centre away for 20 s.
"""

from __future__ import annotations

import os

import pytest

from lowland.evaluation.averaging_faults import play_faults


@pytest.fixture(scope="module")
def found() -> dict[str, dict]:
    """What each scene measured."""
    if not hasattr(os, "fork"):
        pytest.skip("processes are forked")
    return play_faults(short=True)


@pytest.mark.parametrize("scene", ["kill", "stop", "away", "crash", "frozen", "storm"])
def test_no_step_of_a_survivor_takes_a_second_more(scene: str, found: dict[str, dict]) -> None:
    assert found[scene]["longest"] < 1.0
    assert found[scene]["missed"] == []


def test_a_killed_worker_is_not_counted_and_a_late_one_starts_at_the_centre(found: dict[str, dict]) -> None:
    assert set(found["kill"]["members"]) >= {2, 3}
    assert found["kill"]["late"] < 0.02, "numbers of a model of its own would differ by 0.2"


def test_a_stopped_worker_is_not_counted_and_starts_from_the_centre_when_it_goes_on(found: dict[str, dict]) -> None:
    assert found["stop"]["members"] == 1
    assert found["stop"]["started_again"]
    assert found["stop"]["members_after"] == 2


def test_a_centre_loses_nothing_over_its_own_restart(found: dict[str, dict]) -> None:
    """Numbers, momentum, clock and run, bit by bit."""
    assert found["away"]["kept"]
    assert found["away"]["back"] < 2
    assert found["away"]["alone"] > 30, "workers train on alone"


def test_a_killed_centre_loses_what_came_after_its_last_snapshot(found: dict[str, dict]) -> None:
    """Workers may not yet have been told of the last meetings, one each."""
    assert -3 <= found["crash"]["lost"] < found["crash"]["clock"], "snapshots are made every second"


def test_in_a_storm_of_kills_the_steps_are_made(found: dict[str, dict]) -> None:
    assert found["storm"]["kills"] == 2
    assert found["storm"]["workers"] == 5
    assert found["storm"]["share"] > 0.85

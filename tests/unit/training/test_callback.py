"""The callback of `fit`: it sees each step of the history, may end the run, and is no part of what a run is."""

from __future__ import annotations

import pytest
import torch

import lowland as ll
from lowland.errors import CheckpointError, OptionError


def test_it_is_told_the_numbers_of_each_row_of_the_history(bowl, mean, points):
    seen = {}
    energy = bowl()
    centres = {}

    def look(step, metrics):
        seen[step] = metrics
        centres[step] = energy.centre.detach().clone()

    result = ll.fit(energy, points, mean(), max_steps=25, log_every=10, validate_every=15, callback=look)
    assert list(seen) == [10, 15, 20, 25]
    assert list(seen[10]) == ["loss/energy", "width"]
    assert list(seen[15]) == ["validation/loss/energy", "validation/width"]
    for name, curve in result.history.items():
        assert [row[name] for row in seen.values() if name in row] == curve.values
    for step, centre in centres.items():
        alone = bowl()
        ll.fit(alone, points, mean(), max_steps=step)
        assert torch.equal(alone.centre, centre), "the weights after that step"


def test_true_stops_after_the_step_and_stays_stopped(bowl, mean, points, tmp_path):
    energy, run = bowl(), tmp_path / "run"
    result = ll.fit(energy, points, mean(), max_steps=50, run=run, callback=lambda step, metrics: step == 12)
    assert (result.steps, result.stopped) == (12, "callback")
    alone = bowl()
    ll.fit(alone, points, mean(), max_steps=12)
    assert torch.equal(alone.centre, energy.centre)
    assert len((run / "metrics.csv").read_text().splitlines()) == 13
    other = bowl()
    again = ll.fit(other, points, mean(), max_steps=50, run=run, resume=True, callback=lambda step, metrics: 1 / 0)
    assert (again.steps, again.stopped) == (12, "callback")
    assert torch.equal(other.centre, energy.centre)


def test_an_error_in_it_ends_the_run_which_can_be_resumed(bowl, mean, points, tmp_path):
    def fails(step, metrics):
        if step == 25:
            raise ZeroDivisionError

    whole, energy = bowl(), bowl()
    expected = ll.fit(whole, points, mean(), max_steps=40)
    with pytest.raises(ZeroDivisionError):
        ll.fit(energy, points, mean(), max_steps=40, run=tmp_path, checkpoint_every=10, callback=fails)
    result = ll.fit(energy, points, mean(), max_steps=40, run=tmp_path, checkpoint_every=10, resume=True)
    assert torch.equal(whole.centre, energy.centre)
    assert result.history == expected.history


@pytest.mark.parametrize("answer", [0.5, "stop", torch.tensor(True)])
def test_any_other_answer_is_refused(answer, bowl, mean, points):
    with pytest.raises(OptionError, match="callback must return True to stop, or False or None"):
        ll.fit(bowl(), points, mean(), max_steps=3, callback=lambda step, metrics: answer)


def test_it_must_be_a_function(bowl, mean, points):
    with pytest.raises(OptionError, match="callback must be a function"):
        ll.fit(bowl(), points, mean(), max_steps=3, callback=3)


def test_a_schedule_goes_on_where_it_was_and_another_is_refused(bowl, mean, points, tmp_path):
    """The rate is a function of the step alone, so a resumed run takes the same steps as an unbroken one."""

    def train(steps, slope, **more):
        energy = bowl()
        ll.fit(energy, points, mean(), steps, lr=0.1, optimiser="sgd", schedule=lambda s: 1 / (1 + slope * s), **more)
        return energy.centre

    train(7, 0.5, run=tmp_path)
    assert torch.equal(train(20, 0.5, run=tmp_path, resume=True), train(20, 0.5))
    with pytest.raises(CheckpointError, match="other learning rates for the first 20 steps"):
        train(30, 0.4, run=tmp_path, resume=True)

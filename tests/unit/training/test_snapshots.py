"""Snapshots hold the weights that a shorter training would have ended with."""

from __future__ import annotations

import pytest
import torch

import lowland as ll
from lowland.errors import OptionError
from lowland.training.snapshots import Snapshots


def test_weights_are_those_of_shorter_trainings(bowl, mean, points):
    energy = bowl()
    kept = Snapshots(energy, (3, 8, 20))
    result = ll.fit(energy, points, mean(), max_steps=20, callback=kept)
    last = energy.centre.detach().clone()
    for step in (3, 8):
        alone = bowl()
        ll.fit(alone, points, mean(), max_steps=step)
        kept.restore(step)
        assert torch.equal(energy.centre, alone.centre)
        row = result.history["loss/energy"].steps.index(step)
        assert kept.metrics[step]["loss/energy"] == result.history["loss/energy"].values[row]
    kept.restore(20)
    assert torch.equal(energy.centre, last)


def test_steps_that_were_not_kept_are_named(bowl):
    with pytest.raises(OptionError, match="no weights after 5 steps: those that were kept are none"):
        Snapshots(bowl(), (4,)).restore(5)
    for steps in ((), (3, 2), (2, 2)):
        with pytest.raises(OptionError, match="rising"):
            Snapshots(bowl(), steps)

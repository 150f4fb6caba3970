from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import distributed

import lowland as ll
from lowland.shaping.processes import as_first, average, gathered, of_first, rank, single_process, world_size
from lowland.training import streams


@pytest.fixture(scope="module")
def found(tmp_path_factory, repository) -> dict:
    """What one process and two, which train as one, came to."""
    if not hasattr(os, "fork") or not distributed.is_gloo_available():
        pytest.skip("two processes need fork and gloo")
    folder = tmp_path_factory.mktemp("processes")
    script = Path(__file__).with_name("processes_script.py")
    environment = os.environ | {"PYTHONPATH": str(repository / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), str(folder)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1]) | {"folder": folder}


def test_two_processes_have_the_loss_and_the_gradients_of_one(found):
    """To 1e-5 of each gradient in float64; where sums are in another order, a few hundred ulps are all that is lost."""
    for one in found["ranks"]:
        assert len(one["methods"]) >= 13
        for name, far in one["methods"].items():
            assert far["one"] < 1e-5, name


def test_queues_memories_and_targets_are_the_same_in_all_processes(found):
    for name, far in found["ranks"][0]["methods"].items():
        assert far["ranks"] == 0, name


def test_fit_in_two_processes_goes_the_way_of_one_also_when_resumed(found):
    for one in found["ranks"]:
        # Sums in another order: an ulp or so of weights below 1 at each of 6 steps.
        np.testing.assert_allclose(one["fit"]["weights"], found["one"]["weights"], rtol=0, atol=1e-14)
    np.testing.assert_allclose(found["ranks"][0]["fit"]["loss"], found["one"]["loss"], rtol=1e-13)
    tables = [(found["folder"] / name / "metrics.csv").read_text().splitlines() for name in ("one", "two")]
    assert len(tables[0]) == len(tables[1]) == 7
    assert len(list((found["folder"] / "two" / "tensorboard").iterdir())) == 2, "one file for each start, not for each"


def test_updates_from_statistics_are_for_one_process(found):
    for one in found["ranks"]:
        assert "train it in one process" in one["update"]


def test_alone_nothing_is_gathered():
    part = torch.rand(3, 2)
    assert (rank(), world_size()) == (0, 1)
    with single_process():
        assert gathered(part) is part
    average([part])
    as_first(torch.nn.Linear(1, 1))
    assert of_first(0.5) == 0.5


def test_a_batch_that_cannot_be_shared_out(monkeypatch):
    monkeypatch.setattr(streams, "rank", lambda: 1)
    monkeypatch.setattr(streams, "world_size", lambda: 3)
    assert streams.own_rows(6) == slice(2, 4)
    with pytest.raises(ll.errors.OptionError, match="a multiple of 3"):
        streams.own_rows(8)

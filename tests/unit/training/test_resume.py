from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lowland.training.logs import Table


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")
def test_ten_kills_lead_to_the_bits_of_an_unbroken_run(tmp_path, repository):
    script = Path(__file__).with_name("resume_script.py")
    environment = os.environ | {"PYTHONPATH": str(repository / "src"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), str(tmp_path)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["kills"] == 10
    assert found["starts"] == 11
    # It goes on: a kill costs no more than two checkpoints, three steps apart, and the step under way.
    assert found["steps"][-1] < 240
    assert 240 <= sum(found["steps"]) <= 240 + 10 * 7
    # The whole tree: weights, both optimisers, buffers, counters, early stopping.
    assert found["equal"] == []
    assert found["leaves"] > 20
    assert found["logs"]
    assert found["rows"] == 241


def test_the_table_drops_later_and_broken_lines_and_takes_new_columns(tmp_path):
    path = tmp_path / "metrics.csv"
    first = Table(path)
    first.append({1: {"a": 0.1}, 2: {"a": 0.2}})
    first.append({3: {"a": 0.3, "b": 1.0}})
    assert path.read_text() == "step,a,b\n1,0.1,\n2,0.2,\n3,0.3,1.0\n"
    with path.open("a") as file:
        file.write("4,0.4,1.\n5,0.")
    second = Table(path, until=2)
    assert second.rows == {1: {"a": 0.1}, 2: {"a": 0.2}}
    second.append({3: {"a": 0.3, "b": 1.0}})
    assert path.read_text() == "step,a,b\n1,0.1,\n2,0.2,\n3,0.3,1.0\n"
    with path.open("a") as file:
        file.write("4,broken,\n")
    assert list(Table(path, until=9).rows) == [1, 2, 3]

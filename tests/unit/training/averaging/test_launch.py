"""A user's script under torchrun, where the first process starts the centre, and one process is killed."""

from __future__ import annotations

import itertools
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lowland.errors import TrainingError, UnsupportedError
from lowland.training.averaging import launch, wire
from lowland.training.averaging.rules import Elastic

PROC = Path("/proc")


def process_of(rank: int, agent: int) -> int | None:
    """The process that an agent of torchrun has started with this rank."""
    for place in PROC.glob("[0-9]*"):
        try:
            child = f"PPid:\t{agent}\n" in (place / "status").read_text()
            if child and f"RANK={rank}" in (place / "environ").read_text().split("\0"):
                return int(place.name)
        except OSError:
            continue
    return None


@pytest.mark.skipif(not PROC.joinpath("self/environ").exists(), reason="finds the process to kill in /proc")
def test_the_example_goes_on_from_the_centre_when_a_process_is_killed(repository: Path, tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(repository / "src"), "OMP_NUM_THREADS": "1"}
    words = [
        "--standalone",
        "--nproc-per-node",
        "2",
        "--max-restarts",
        "1",
        str(repository / "examples" / "averaging.py"),
    ]
    with (tmp_path / "said").open("w") as said:
        agent = subprocess.Popen(
            [sys.executable, "-m", "torch.distributed.run", *words, "6000"], env=environment, stdout=said, stderr=said
        )
    try:
        until = time.monotonic() + 100
        while (tmp_path / "said").read_text().count("joins after") < 2:
            assert time.monotonic() < until, (tmp_path / "said").read_text()
            time.sleep(0.1)
        time.sleep(1.5)  # both meet the centre, and are not at their end
        victim = process_of(1, agent.pid)
        assert victim is not None, "the other process has ended too early"
        os.kill(victim, signal.SIGKILL)
        code = agent.wait(100)
    finally:
        agent.kill()
    text = (tmp_path / "said").read_text()
    assert code == 0, text
    joined = [int(number) for number in re.findall(r"joins after (\d+) meetings", text)]
    assert len(joined) == 4
    assert 0 in joined[:2]
    assert min(joined[2:]) > 0, "the second life starts at the centre of the first"
    assert len(re.findall(r"(?:59\d|600) of the centre's \d+ meetings, error 0\.0", text)) == 2, text


def test_what_torchrun_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "9", "LOCAL_WORLD_SIZE": "2"}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    assert launch.under_torchrun()
    with pytest.raises(TrainingError, match=r"The store of torchrun at 127\.0\.0\.1:9 does not tell of a centre"):
        launch.shared_centre(Elastic(), 0.3)
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert not launch.under_torchrun()
    monkeypatch.delenv("RANK")
    assert not launch.under_torchrun()


def test_each_run_of_a_job_has_a_centre_of_its_own_which_a_restart_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second model was given the numbers of the first."""
    store = wire.open_store("127.0.0.1", 0, {})
    told = {
        "RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port),
        "LOCAL_WORLD_SIZE": "2", "TORCHELASTIC_RESTART_COUNT": "0",
    }  # fmt: skip
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(launch, "_asked", itertools.count())
    monkeypatch.setattr(launch, "_kept", [])
    try:
        first, second = (launch.shared_centre(Elastic(), 10.0) for _ in range(2))
        assert first != second
        monkeypatch.setattr(launch, "_asked", itertools.count())  # as in the processes of a restart
        monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
        assert [launch.shared_centre(Elastic(), 10.0) for _ in range(2)] == [first, second]
    finally:
        for process in launch._kept:
            process.kill()
            process.communicate()


def test_a_rule_of_ones_own_needs_a_centre_of_ones_own() -> None:
    class Own(Elastic):
        pass

    with pytest.raises(UnsupportedError, match="cannot start a centre for a rule of your own, Own: make a Centre"):
        launch._started(Own(), "127.0.0.1", 2)


def test_a_centre_that_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "python").write_text("#!/bin/sh\necho Traceback >&2\necho it is cold outside. >&2\nexit 1\n")
    (tmp_path / "python").chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(TrainingError, match=r"The centre did not start: it is cold outside\."):
        launch._started(Elastic(), "127.0.0.1", 2)


def test_which_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert launch._host("198.51.100.1") == "127.0.0.1"
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert launch._host("198.51.100.1") == "198.51.100.1"
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        assert launch._answers(address)
    assert not launch._answers(address)

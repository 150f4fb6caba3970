"""A run killed at any moment resumes without losing a finished stage, and to the same numbers."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lowland import cli
from lowland.training.checkpoints import read_checkpoint


def _start(runs: Path) -> subprocess.Popen[bytes]:
    code = "import sys; from lowland.cli import main; sys.exit(main(sys.argv[1:]))"
    words = ["run", "one-one-one", "--preset", "smoke", "--runs", str(runs)]
    return subprocess.Popen([sys.executable, "-c", code, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_kill_and_resume_gives_the_numbers_of_an_unbroken_run(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert cli.main(["run", "one-one-one", "--preset", "smoke", "--runs", str(whole)]) == 0
    process = _start(broken)
    latest = broken / "one-one-one" / "latest"
    while process.poll() is None and not list(latest.glob("stages/*.safetensors")):
        time.sleep(0.005)
    process.kill()
    process.wait()
    kept = {path.name: path.stat().st_mtime_ns for path in latest.glob("stages/*.safetensors")}
    assert kept
    assert cli.main(["run", "one-one-one", "--resume", "latest", "--runs", str(broken)]) == 0
    for name, moment in kept.items():
        assert (latest / "stages" / name).stat().st_mtime_ns == moment, "a finished stage was computed again"
    assert (latest / "results.json").read_bytes() == (whole / "one-one-one" / "latest" / "results.json").read_bytes()
    assert (latest / "report.html").is_file()


@pytest.mark.parametrize("lost", [0, 1, 2, 5])
def test_any_set_of_finished_stages_leads_to_the_same_results(smoke: Path, lost: int, tmp_path: Path) -> None:
    """What a kill leaves is a prefix of the stages and, at worst, a part of a file under a temporary name."""
    run = tmp_path / "ellipse" / "20260101-000000"
    shutil.copytree(smoke, run)
    stages = sorted((run / "stages").rglob("*.safetensors"), key=lambda path: path.stat().st_mtime_ns)
    for path in stages[len(stages) - lost :]:
        path.with_name(f".{path.name}.1.tmp").write_bytes(path.read_bytes()[:100])
        path.unlink()
    for name in ("results.json", "report.html", "page.json", "status.json", "metrics.csv"):
        (run / name).unlink()
    assert cli.main(["run", "ellipse", "--resume", str(run)]) == 0
    assert (run / "results.json").read_bytes() == (smoke / "results.json").read_bytes()
    assert len(list((run / "stages").rglob("*.safetensors"))) == len(stages)


def test_ctrl_c_ends_with_130_and_a_command_that_works(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\n"
        "from lowland import cli\n"
        "from lowland.recipes.foundations.one_one_one.recipe import OneOneOneRecipe\n"
        # A shell that starts a job in the background has the signal ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "OneOneOneRecipe._saddle = lambda self, energy: os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.exit(cli.main(sys.argv[1:]))\n"
    )
    words = ["run", "one-one-one", "--preset", "smoke", "--runs", str(tmp_path)]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, env=dict(os.environ))
    assert done.returncode == 130, done.stderr
    command = done.stderr.strip().splitlines()[-1].split("lowland run ")[1]
    assert cli.main(["run", *command.split()]) == 0
    stored = read_checkpoint(tmp_path / "one-one-one" / "latest" / "stages" / "saddle.safetensors")
    assert stored["result"]["loss"] == 1.0

"""A run that is killed at any moment can be gone on with, and one whose input has changed is not."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from lowland import cli
from lowland.errors import CheckpointError, DataError
from lowland.recipes.base import execute, load, start
from lowland.reports import run as module
from lowland.reports.run import Run


@pytest.mark.parametrize("at", ["config.json", "environment.json", "rename", "symlink"])
def test_a_run_that_is_killed_while_it_is_made_is_whole_or_not_there(
    at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process ends at once, as in a kill: nothing is tidied up by it."""

    def end(*args: Any, **options: Any) -> None:
        os._exit(0)

    child = os.fork()
    if child == 0:
        kept = module.write_json

        def write(path: Path, value: Any) -> None:
            kept(path, value)
            if path.name == at:
                end()

        monkeypatch.setattr(module, "write_json", write)
        if at in ("rename", "symlink"):
            monkeypatch.setattr(Path, "symlink_to" if at == "symlink" else "rename", end)
        Run.create(tmp_path, "ellipse", {})
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    for folder in (tmp_path / "ellipse").glob("2*"):
        with Run.open(folder) as run:
            run.stage("one", lambda: 1)
        assert (folder / "report.html").is_file()
    run = Run.create(tmp_path, "ellipse", {})
    assert (tmp_path / "ellipse" / "latest").resolve() == run.folder.resolve()
    assert not list((tmp_path / "ellipse").glob(".*"))


def test_a_run_of_an_earlier_version_that_lost_its_environment_goes_on(tmp_path: Path) -> None:
    config = load("one-one-one").preset("smoke")
    run = start(config, tmp_path, "smoke")
    (run.folder / "environment.json").unlink()
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    (run.folder / f".results.json.{child}.tmp").write_text("[")
    assert (execute(config, start(config, resume=run.folder)).folder / "report.html").is_file()
    assert not list(run.folder.rglob(".*"))


def test_a_log_that_changed_since_its_stage_was_computed_is_noticed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "own.csv"
    lines = [f"{v},{t},{t / 10},{5 + 20 * v + t / 2},1.8,4.5,1.8" for v in range(12) for t in range(60)]
    log.write_text("\n".join(["vehicle,frame,time,x,y,length,width", *lines]))
    words = ["run", "log", "--runs", str(tmp_path / "runs")]
    assert cli.main([*words, "--preset", "smoke", "--tracks", str(log)]) == 0
    latest = tmp_path / "runs" / "log" / "latest"
    good = log.read_bytes()
    log.write_bytes(good.replace(b"4.5", b"4.6", 1))
    page = (latest / "report.html").read_bytes()
    capsys.readouterr()
    assert cli.main([*words, "--resume", "latest"]) == 1
    assert f"{log} (--tracks) has changed since the run began" in capsys.readouterr().err
    assert (latest / "report.html").read_bytes() == page
    log.write_bytes(good)
    assert cli.main([*words, "--resume", "latest"]) == 0


def test_inputs_count_from_the_first_finished_stage(tmp_path: Path) -> None:
    picture, folder = tmp_path / "a.png", tmp_path / "models"
    folder.mkdir()
    run = Run.create(tmp_path / "runs", "x", {})

    def uses() -> None:
        Run.open(run.folder).uses({"image": picture, "models": folder})

    picture.write_bytes(b"one")
    uses()
    picture.write_bytes(b"two")
    uses()
    run.stage("first", lambda: 1)
    (folder / "new").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"models \(--models\) has changed"):
        uses()
    (folder / "new").unlink()
    run.uses({"models": folder})
    picture.write_bytes(b"three")
    with pytest.raises(CheckpointError, match=r"a.png \(--image\) has changed"):
        uses()
    picture.unlink()
    os.mkfifo(picture)
    with pytest.raises(DataError, match="named pipe"):
        uses()
    assert set(json.loads((run.folder / "inputs.json").read_text())) >= {"image", "models"}

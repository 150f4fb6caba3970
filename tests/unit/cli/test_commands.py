"""What each command prints, and that the quick ones import nothing heavy."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest

from lowland import cli
from lowland.recipes.base import execute, load
from lowland.recipes.catalogue import catalogue
from lowland.recipes.foundations.ellipse.recipe import EllipseRecipe

# Tyro, which reads every command line, is not among them: it loads in 50 ms and brings none of them.
HEAVY = {"torch", "numpy", "matplotlib", "lightning", "scipy", "sklearn", "jinja2", "huggingface_hub"}


@pytest.mark.parametrize("words", [["--help"], ["list"], ["list", "--rows"], ["run", "--help"]])
def test_quick_commands_import_nothing_heavy(words: list[str]) -> None:
    code = (
        "import sys; from lowland.cli import main; code = main(sys.argv[1:]); "
        "print(*sys.modules, file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stderr.split())


def test_list_names_every_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in catalogue())


def test_rows_show_what_the_newest_run_measured(smoke: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list", "--rows", "--runs", str(smoke.parent.parent)]) == 0
    shown = capsys.readouterr().out
    assert "not yet" in shown
    (line,) = (line for line in shown.splitlines() if line.startswith(" E4 "))
    assert "not yet" not in line


def test_a_run_leaves_what_the_design_promises(smoke: Path) -> None:
    for name in "config.json environment.json metrics.csv results.json report.html".split():
        assert (smoke / name).is_file(), name
    assert (smoke.parent / "latest").resolve() == smoke.resolve()
    rows = json.loads((smoke / "results.json").read_text())
    assert set(rows[0]) == {"id", "claim", "method", "published", "measured", "sd", "seeds", "data"}


def test_report_builds_the_page_again(smoke: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (smoke / "report.html").read_text()
    (smoke / "report.html").unlink()
    assert cli.main(["report", "ellipse", "--runs", str(smoke.parent.parent)]) == 0
    assert (smoke / "report.html").read_text() == before
    assert "report.html" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["safetensors", "onnx", "program"])
def test_export_writes_a_file(smoke: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["export", str(smoke), "--to", kind]) == 0
    assert Path(capsys.readouterr().out.strip()).stat().st_size > 0


def test_data_list_and_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["data", "list"]) == 0
    assert cli.main(["data", "check", "digits"]) == 0
    assert "1200 train" in capsys.readouterr().out


def _fail(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def run(self: EllipseRecipe, run: object) -> None:
        raise error

    monkeypatch.setattr(EllipseRecipe, "run", run)


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (KeyboardInterrupt(), 130, "Interrupted"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "The disk is full"),
        (OSError(errno.EACCES, "Permission denied", "/somewhere"), 1, "/somewhere cannot be used"),
        (ZeroDivisionError("division by zero"), 1, "This is a bug of Lowland"),
    ],
)
def test_failures_are_one_sentence_and_say_how_to_go_on(
    error: BaseException,
    code: int,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _fail(monkeypatch, error)
    assert cli.main(["run", "ellipse", "--preset", "smoke", "--runs", str(tmp_path)]) == code
    said = capsys.readouterr().err
    assert words in said
    assert "--resume" in said
    assert "Traceback" not in said
    run = tmp_path / "ellipse" / "latest"
    assert type(error).__name__ in (run / "error.log").read_text()
    assert json.loads((run / "status.json").read_text())["status"] != "finished"


def test_debug_lets_the_traceback_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fail(monkeypatch, ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        cli.main(["run", "ellipse", "--preset", "smoke", "--runs", str(tmp_path), "--debug"])


def test_a_bug_outside_a_run_keeps_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("lowland.recipes.catalogue.catalogue", lambda: 1 / 0)
    assert cli.main(["list"]) == 1
    said = capsys.readouterr().err
    log = Path(said.split(" with ")[1].strip().rstrip("."))
    assert "ZeroDivisionError" in log.read_text()
    log.unlink()


def test_options_reach_the_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[EllipseRecipe] = []

    def look(self: EllipseRecipe, run: object) -> None:
        seen.append(self)
        raise KeyboardInterrupt

    monkeypatch.setattr(EllipseRecipe, "run", look)
    words = "run ellipse --preset smoke --seed 7 --radii 3 1.5 --runs".split()
    assert cli.main([*words, str(tmp_path)]) == cli.INTERRUPTED
    assert seen == [EllipseRecipe(seed=7, radii=(3.0, 1.5), points=60, frames=8, resolution=40)]
    assert cli.main(["run", "ellipse", "--resume", "latest", "--runs", str(tmp_path)]) == cli.INTERRUPTED
    assert seen[1] == seen[0]


def test_execute_and_load_are_the_command_line_in_code() -> None:
    assert load("ellipse") is EllipseRecipe
    assert callable(execute)

"""Names are shown and never obeyed, in any encoding; commands can be pasted; tables fit."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lowland import cli, terminal, words
from lowland.cli.commands.list import List
from lowland.recipes.foundations.ellipse.recipe import EllipseRecipe
from lowland.reports.run import Run

NAMES = (
    "plain",
    "two words",
    "it's",
    "$(touch x)",
    "`id`",
    "a\nb",
    "\x1b[31mred",
    "caf\udce9",
    "café",
    "-x",
    "~",
    "*",
    "\\",
)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_shown_is_one_line_that_nothing_obeys(name: str) -> None:
    shown = words.escaped(name)
    assert shown.isprintable()
    # Python's own escapes, so that the name can be had back.
    assert shown.replace("\\\\", "\\") == name if name.isprintable() else shown != name


@pytest.mark.parametrize("name", NAMES)
def test_bash_reads_the_name_that_was_meant(name: str) -> None:
    line = terminal.shell(["printf", "%s", name])
    assert line.isprintable()
    done = subprocess.run(["bash", "-c", line], capture_output=True, check=True)
    assert done.stdout == os.fsencode(name)


def test_an_encoding_without_the_letter_escapes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, io.TextIOWrapper(io.BytesIO(), "ascii"))
    for line in (["list"], ["data", "list"], ["run", "elipsé"], ["--help"], ["run", "ellipse", "--help"]):
        assert cli.main(line) in (0, 2)
    sys.stdout.flush()
    sys.stderr.flush()
    shown = sys.stdout.buffer.getvalue() + sys.stderr.buffer.getvalue()  # pyright: ignore[reportAttributeAccessIssue]
    assert b"likelihood-canyon" in shown
    assert rb"elips\xe9" in shown


@pytest.mark.parametrize("words", [["list"], ["list", "--rows"], ["data", "list"]])
def test_tables_fit_eighty_columns(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert cli.main(words) == 0
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert max(map(len, lines)) <= 80
    # What names a line is never broken, and no column has less room than its longest word of usual length.
    heads = next(line for line in lines if line)
    assert len(heads.split()) >= 4
    if words == ["list"]:
        assert any(line.startswith(" likelihood-canyon ") for line in lines)
        shows = heads.index("shows"), heads.index("systems")
        assert shows[1] - shows[0] >= 30


def test_a_warning_of_the_library_does_not_reach_the_terminal_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.prepare()
    assert logging.lastResort is not None
    record = logging.LogRecord("lowland.data", logging.WARNING, "", 0, "%s is odd", ("\x1b[2J",), None)
    assert logging.lastResort.format(record) == r"lowland: \x1b[2J is odd"


def test_a_run_in_a_folder_of_any_name_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    def stop(self: EllipseRecipe, run: Run) -> None:
        assert run.stage("one", lambda: 1) == 1
        raise KeyboardInterrupt

    monkeypatch.setattr(EllipseRecipe, "run", stop)
    for runs in ("-x", "a b; touch y", "caf\udce9\x1b[31m"):
        assert cli.main(["run", "ellipse", "--preset", "smoke", f"--runs={runs}"]) == cli.INTERRUPTED
        said = capsys.readouterr().err
        command = said.split("Go on with: ")[1].strip()
        # `echo` in place of the command: the shell hands over the words that name the run.
        done = subprocess.run(["bash", "-c", f"printf '%s\\n' {command}"], capture_output=True, check=True)
        *_, option, folder = done.stdout.decode("utf-8", "surrogateescape").splitlines()
        assert option == "--resume"
        assert (Path(folder) / "config.json").is_file()
        assert not folder.startswith("-")
    assert not (tmp_path / "y").exists()


def test_without_a_temporary_folder_an_error_is_still_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/proc/nowhere"])

    def fail(*_: object) -> int:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(List, "run", fail)
    assert cli.main(["list"]) == cli.FAILURE
    said = capsys.readouterr().err
    assert "ZeroDivisionError: division by zero" in said
    assert "--debug" in said
    monkeypatch.setattr(List, "run", lambda _: int(bool(tempfile.mkdtemp())))
    assert cli.main(["list"]) == cli.FAILURE
    assert "set TMPDIR to a folder that can be written" in capsys.readouterr().err

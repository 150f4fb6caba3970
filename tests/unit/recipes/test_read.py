"""`lowland read`: from a folder of lines to a reader that needs no Lowland, and every mistake as one sentence."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors import safe_open

from lowland import cli
from lowland.data.line_samples import sample_lines
from lowland.errors import OptionError
from lowland.recipes.vision.read.recipe import ReadRecipe


@pytest.fixture
def say(tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Callable[..., str]:
    """Run `lowland read` and give what it said on standard error."""

    def run(*words: object, code: int = 0) -> str:
        found = cli.main(["read", *map(str, words), "--runs", str(tmp_path / "runs")])
        said = capsys.readouterr()
        assert found == code, said
        assert "Traceback" not in said.err
        return said.err + caplog.text

    return run


def table(run: Path) -> dict[str, list[str]]:
    rows = list(csv.reader((run / "read.csv").read_text().splitlines()))
    assert rows[0] == ["file", "text", "confidence", "accepted"]
    return {row[0]: row[1:] for row in rows[1:]}


def test_a_folder_becomes_a_reader_without_lowland(say: Callable[..., str], tmp_path: Path) -> None:
    folder = sample_lines(tmp_path / "lines", 40, "17", longest=3)
    (folder / "0003.txt").write_text("\n")
    (folder / "0005.txt").write_text("1" * 60)
    said = say(folder, "--steps", 40, "--wrong", 20, "--onnx")
    assert "2 files could not be used" in said
    run = (tmp_path / "runs" / "read" / "latest").resolve()
    skipped = (run / "skipped.txt").read_text()
    assert "0003.png\thas an empty transcript" in skipped
    assert "0005.png\tis too narrow" in skipped
    found = table(run)
    assert {"0040.png", "0041.png", "0042.png", "0043.png"} < set(found)
    assert len(found) == 4 + 6
    files = [str(folder / name) for name in found]
    for script, without in (("read.py", "lowland"), ("read_onnx.py", "torch")):
        code = [sys.executable, "-I", "-c", f"import sys; sys.modules['{without}'] = None; import runpy; "
                "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"]  # fmt: skip
        words = [*code, str(run / "reader" / script), files[0], str(run / "values.json"), *files[1:]]
        alone = subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)
        assert alone.returncode == 1
        assert "values.json cannot be read" in alone.stderr
        assert "Traceback" not in alone.stderr
        rows = {Path(row[0]).name: row[1:] for row in csv.reader(alone.stdout.splitlines()[1:])}
        assert {name: row[0] for name, row in rows.items()} == {name: row[0] for name, row in found.items()}
        for name, row in rows.items():
            assert float(row[1]) == pytest.approx(float(found[name][1]), abs=2e-3)
    assert len({row[0] for row in found.values()}) > 1
    rows = {row["method"]: row for row in json.loads((run / "results.json").read_text()) if row["id"] == "V5"}
    assert any("does nothing" in name for name in rows)


def test_a_grammar_limits_what_is_read(say: Callable[..., str], tmp_path: Path) -> None:
    folder = sample_lines(tmp_path / "lines", 24, "17", longest=3)
    words = tmp_path / "words.txt"
    words.write_text("11\n77\n")
    say(folder, "--steps", 2, "--grammar", words)
    run = (tmp_path / "runs" / "read" / "latest").resolve()
    assert {row[0] for row in table(run).values()} <= {"11", "77"}
    assert (
        "this code does not: its texts may differ, and the figures below are those without it"
        in (run / "reader" / "README.md").read_text()
    )
    values = json.loads((run / "values.json").read_text())
    assert "refuses" in json.dumps(values)
    card = json.loads(safe_open(run / "reader" / "reader.safetensors", "pt").metadata()["card"])
    # The figures taken away are those of reading without the grammar.
    assert card["measured"]["characters"] == values["results"]["without grammar"]["characters"][0]
    assert card["measured"]["characters"] != values["results"]["reader"]["characters"][0]


def test_lines_that_were_drawn_in_part_are_drawn_anew(say: Callable[..., str], tmp_path: Path) -> None:
    say("--lines", 20, "--steps", 2, code=2)  # a FOLDER is needed
    assert cli.main(["run", "read", "--lines", "24", "--steps", "2", "--runs", str(tmp_path / "runs")]) == 0
    run = (tmp_path / "runs" / "read" / "latest").resolve()
    assert len(list((run / "lines").glob("*.png"))) == 24 + 2
    assert not (run / "lines.part").exists()


def test_mistakes_are_one_sentence(say: Callable[..., str], tmp_path: Path) -> None:
    folder = sample_lines(tmp_path / "lines", 10, "17", longest=3)
    assert "at least 20 lines" in say(folder, code=1)
    assert "needs the FOLDER" in say(code=2)
    assert "does not exist" in say(tmp_path / "none", code=1)
    assert "no file" in say(folder, "--transcripts", "none.csv", code=1)
    for place in folder.glob("*.txt"):
        place.unlink()
    assert "no transcript of any" in say(folder, code=1)


@pytest.mark.parametrize("options", [{"wrong": 101.0}, {"steps": -1}, {"steps": 3, "minutes": 1.0}])
def test_options_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        ReadRecipe.from_options(options)

"""`lowland lines`: from a log to a model, new lines, a stream, and every mistake as one sentence."""

from __future__ import annotations

import csv
import io
import json
import types
from collections.abc import Callable
from pathlib import Path

import pytest

from lowland import cli
from lowland.data.simulated_log import simulated_log
from lowland.errors import OptionError
from lowland.recipes.sequences.lines.recipe import LinesRecipe

Say = Callable[..., tuple[str, str]]


@pytest.fixture
def say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Say:
    """Run `lowland lines` and give what it said."""

    def run(*words: object, code: int = 0) -> tuple[str, str]:
        found = cli.main(["lines", *map(str, words), "--runs", str(tmp_path / "runs")])
        said = capsys.readouterr()
        assert found == code, said
        assert "Traceback" not in said.err
        return said.out, said.err

    return run


def test_a_log_becomes_a_model_of_a_stream(say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = simulated_log(500, 0).texts
    (tmp_path / "a.log").write_text("\n".join(lines))
    odd = "%%% panic zebra zebra zebra %%%"
    (tmp_path / "b.log").write_bytes("\n".join([*lines[:9], odd, ""]).encode() + b"gr\xfcn\n")
    say(tmp_path / "a.log", "--new", tmp_path / "b.log", "--steps", 30)
    run = (tmp_path / "runs" / "lines" / "latest").resolve()
    rows = list(csv.DictReader((run / "scored.csv").read_text().splitlines()))
    assert [row["line"] for row in rows] == [*map(str, range(1, 11)), "11"]
    scores = {row["line"]: float(row["score"]) for row in rows}
    assert max(scores, key=lambda line: scores[line]) == "10"
    assert rows[9]["unusual"] == "yes"
    assert "«" in rows[9]["text"]
    assert "not UTF-8" in json.dumps(json.loads((run / "values.json").read_text())["shown"]["notes"])

    def stream(text: bytes, *words: object, code: int = 0) -> tuple[str, str]:
        monkeypatch.setattr("sys.stdin", types.SimpleNamespace(buffer=io.BytesIO(text)))
        return say("--model", *words, code=code)

    text = (tmp_path / "b.log").read_bytes()
    flagged = [row for row in rows if row["unusual"] == "yes"]
    for model in (run, "latest", run / "lines" / "lines.safetensors"):
        out, _ = stream(text, model)
        assert [line.split()[0] for line in out.splitlines()] == [f"{float(row['score']):.2f}" for row in flagged]
    out, _ = stream(text, run, "--all", "--least", 1000)
    assert len(out.splitlines()) == 11
    assert "!" not in {line[0] for line in out.splitlines()}
    assert stream(b"", run) == ("", "")
    assert "binary" in stream(b"ok\n\x00\x01", run, code=1)[1]
    assert "There is no lines.safetensors" in stream(b"", tmp_path / "none", code=1)[1]


def test_mistakes_are_one_sentence(say: Say, tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    assert "needs the FILE" in say(code=2)[1]
    assert "No such file" in say(log, code=1)[1]
    cases = {
        "is empty": b"",
        "at least 100 normal lines": b"a b c\n" * 60,
        "is not text": b"\x00\x01\x02",
        "two are needed": b"again\n" * 200,
        "has more than": b"a" * 40_000,
    }
    for words, payload in cases.items():
        log.write_bytes(payload)
        assert words in say(log, code=1)[1]


@pytest.mark.parametrize("options", [{"alarms": 0.0}, {"steps": -1}, {"seeds": -1}, {"planted": 0.6}, {"before": 0}])
def test_options_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        LinesRecipe.from_options(options)

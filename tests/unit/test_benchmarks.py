"""Benchmarks say how they are used, and RESULTS.md is what they measured.

Nothing is timed in a test; their rivals are not installed here.
"""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
REPORT = ROOT / "benchmarks" / "report.py"
SCRIPTS = sorted({*(ROOT / "benchmarks").glob("*.py")} - {REPORT})


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_help(script: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """In this process, since each of its own would import torch anew; scripts find each other in their folder."""
    monkeypatch.syspath_prepend(script.parent)
    monkeypatch.setattr(sys, "argv", [str(script), "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(script), run_name="__main__")
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert "--quick" in shown
    assert "--json" in shown


def test_results_are_what_the_script_writes() -> None:
    """From the JSON of the benchmarks and the records of the recipes; `python benchmarks/report.py` writes it anew."""
    written = runpy.run_path(str(REPORT))["markdown"]()
    assert (ROOT / "benchmarks" / "RESULTS.md").read_text(encoding="utf-8") == written


def test_a_later_run_keeps_title_and_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "core.json"
    monkeypatch.setattr(sys, "argv", ["/somewhere/core.py", "--threads", "1", "--json", str(file)])
    write = runpy.run_path(str(REPORT))["write"]
    write(file, "First title", "a machine", "torch 2", [{"case": "a", "ours": 1.0, "device": "cpu"}])
    values = json.loads(file.read_text())
    assert values["command"] == "python benchmarks/core.py --threads 1"
    assert values["rows"] == [{"case": "a", "ours": 1.0}]
    file.write_text(json.dumps({**values, "title": "Speed", "note": "Measured at night."}))
    write(file, "First title", "a machine", "torch 2", [{"case": "a", "ours": 2.0}])
    values = json.loads(file.read_text())
    assert (values["title"], values["note"], values["rows"][0]["ours"]) == ("Speed", "Measured at night.", 2.0)

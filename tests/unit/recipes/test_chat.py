"""The recipe `chat` and its command, on small folders."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lowland import cli
from lowland.errors import OptionError
from lowland.recipes.sequences.chat.recipe import ChatRecipe
from lowland.reports.run import Run


def test_every_method_is_measured(smoke: Callable[[str], Run]) -> None:
    run = smoke("chat")
    methods = {"chance", "tfidf", "bm25", "parts", "vectors", "whole"}
    for kind in ("heading", "cloze"):
        assert set(run.measured.methods(f"{kind} rank")) == methods
        assert run.measured.mean("chance", f"{kind} rank") < run.measured.mean("bm25", f"{kind} rank")
    assert run.measured.mean("whole", "answered") > 0
    assert {path.stem for path in (run.folder / "figures").glob("*.png")} == {"heading", "cloze", "threshold"}


def test_a_small_folder_is_asked_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, runs = tmp_path / "texts", ["--runs", str(tmp_path / "runs")]
    folder.mkdir()
    (folder / "a.md").write_text("# Fruit\nApples grow on trees. Bananas grow on plants.\n")
    (folder / "b.bin").write_bytes(b"\x00")
    assert cli.main(["chat", str(folder), "--ask", "Where do bananas grow?", *runs]) == 0
    assert "Bananas grow on plants. (a.md, line 2; energy" in capsys.readouterr().out
    page = (tmp_path / "runs" / "chat" / "latest" / "report.html").read_text()
    assert "b.bin" in page
    assert cli.main(["chat", "--model", "latest", "--ask", "apples?", *runs]) == 0
    assert "Apples grow on trees." in capsys.readouterr().out
    monkeypatch.setattr(sys, "stdin", io.StringIO("\nQuantum?\nbananas\n"))
    assert cli.main(["chat", "--model", "latest", *runs]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line.split(".")[0] for line in said] == [
        "no word of the question stands in these documents", "Bananas grow on plants"
    ]  # fmt: skip


def test_what_cannot_be_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["chat", str(tmp_path), "--runs", str(tmp_path / "runs")]) != 0
    assert "has no document in it" in capsys.readouterr().err
    assert cli.main(["chat", "--model", str(tmp_path)]) != 0
    assert "no memory of passages" in capsys.readouterr().err
    with pytest.raises(OptionError, match="folder of documents"):
        ChatRecipe.from_options({"packages": ()})

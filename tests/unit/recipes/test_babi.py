"""The recipe `babi` on a few stories, its own and those of files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lowland.data.stories import Draw, told
from lowland.data.story_puzzles import WORLDS
from lowland.errors import DataError, OptionError
from lowland.recipes.base import execute, start
from lowland.recipes.sequences.babi.recipe import BabiRecipe
from lowland.reports.run import Run

NETWORKS = ("question", "BoW", "PE", "PE LS RN", "1 hop")


def test_every_network_is_measured(smoke: Callable[[str], Run]) -> None:
    run = smoke("babi")
    for measure in ("mean", "kind 1", "kind 16", "failed"):
        assert set(run.measured.methods(measure)) == {"most frequent", *NETWORKS}
    for name in NETWORKS:
        both = [run.measured.mean(name, f"kind {kind}") for kind in (1, 16)]
        assert run.measured.mean(name, "mean") == pytest.approx(sum(map(float, filter(None, both))) / 2)
    assert {path.stem for path in (run.folder / "figures").glob("*.png")} == {"attention-1"}
    assert json.loads((run.folder / "page.json").read_text())["stand_ins"]


def test_published_files_are_read(tmp_path: Path) -> None:
    draw = Draw(torch.Generator().manual_seed(0))
    for part, count in (("train", 8), ("test", 2)):
        text = "".join(told(WORLDS[1][1](draw)) for _ in range(count))
        (tmp_path / f"qa1_single-supporting-fact_{part}.txt").write_text(text)
    options = {"kinds": [1], "data_dir": str(tmp_path), "restarts": 1, "epochs": 1}
    config = BabiRecipe.from_options(options)
    run = execute(config, start(config, tmp_path / "runs", "smoke"))
    assert not run.stand_ins
    assert (run.measured.mean("BoW", "kind 1") or 0.0) * 10 / 100 % 1 == pytest.approx(0, abs=1e-5)  # of 10 questions
    config = BabiRecipe.from_options(options | {"kinds": [2]})
    run = start(config, tmp_path / "runs", "smoke")
    with pytest.raises(DataError, match="no files qa2_"):
        execute(config, run)


@pytest.mark.parametrize("options", [{"kinds": [21]}, {"questions": 3}, {"restarts": 0}])
def test_options_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        BabiRecipe.from_options(options)

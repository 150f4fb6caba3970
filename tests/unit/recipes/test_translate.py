"""The recipe `translate` on made sentences and on files of a user."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lowland.errors import LowlandError
from lowland.evaluation.translation import baseline_answers
from lowland.recipes.base import execute, start
from lowland.recipes.sequences.translate.recipe import TranslateRecipe
from lowland.reports.run import Run


def test_every_network_and_baseline_is_measured(smoke: Callable[[str], Run]) -> None:
    run = smoke("translate")
    models = {
        f"{kind} {way}" for kind in ("lstm", "convolutions", "transformer") for way in ("greedy", "beam", "rewarded")
    }
    assert set(run.measured.methods("bleu")) == models | {"copy", "nearest", "by word"}
    assert run.measured.mean("by word", "bleu") > run.measured.mean("copy", "bleu")
    assert run.measured.mean("lstm", "steps") == 3
    assert {"length", "training", "attention-1", "attention-2", "attention-3"} == {
        path.stem for path in (run.folder / "figures").glob("*.png")
    }


def test_files_and_a_sentence_of_the_user(tmp_path: Path) -> None:
    for name, word in (("en.txt", "The house"), ("de.txt", "Das Haus")):
        (tmp_path / name).write_text("".join(f"{word} {row * row}.\n" for row in range(400)))
    options = TranslateRecipe.presets["smoke"] | {
        "source": str(tmp_path / "en.txt"), "target": str(tmp_path / "de.txt"), "translate": "The house 25 *now*.",
    }  # fmt: skip
    config = TranslateRecipe.from_options(options)
    run = execute(config, start(config, tmp_path, "smoke"))
    assert run.shown["own"] == "The house 25 *now*."
    (own,) = (one for one in run.elements if one.get("name") == "own")
    assert [row[0] for row in own["rows"]] == ["LSTM", "ConvS2S", "transformer"]
    assert not run.stand_ins


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"source": "en.txt"}, "belong together"), ({"width": 10}, "multiple of 4"), ({"rewards": ()}, "at least one"),
        ({"pieces": 200}, "pieces"), ({"data": "news"}, "data must be"), ({"left_out": 1.0}, "left_out"),
    ],
)  # fmt: skip
def test_options_that_cannot_be(options: dict[str, object], wrong: str) -> None:
    with pytest.raises(LowlandError, match=wrong):
        TranslateRecipe.from_options(options)


def test_a_sentence_that_is_too_long_is_refused_before_training(tmp_path: Path) -> None:
    options = TranslateRecipe.presets["smoke"] | {"translate": "word " * 100}
    config = TranslateRecipe.from_options(options)
    with pytest.raises(LowlandError, match="give one sentence"):
        execute(config, start(config, tmp_path, "smoke"))


def test_baselines_need_no_network() -> None:
    text = TranslateRecipe.from_options({"data": "made"})._text()
    assert set(baseline_answers(text, text.source[:2])) == {"copy", "nearest", "by word"}

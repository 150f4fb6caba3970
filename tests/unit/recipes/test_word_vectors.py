"""The recipe `word-vectors` on a small text, and on one of a user's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lowland.data.similar_words import SimilarWords
from lowland.energies.word_pairs import WordPairs
from lowland.errors import DataError, OptionError
from lowland.recipes.base import execute, start
from lowland.recipes.sequences.word_vectors import recipe as module
from lowland.recipes.sequences.word_vectors.recipe import WordVectorsRecipe
from lowland.reports.run import Run
from lowland.training.export import load_energy


def test_all_is_measured(smoke: Callable[[str], Run]) -> None:
    run = smoke("word-vectors")
    assert run.measured.methods("related pairs") == ["random", "sampling", "matched", "parts", "closed form"]
    assert run.measured.mean("parts", "related pairs") > run.measured.mean("sampling", "related pairs")
    assert {path.stem for path in (run.folder / "figures").glob("*.png")} == {"map"}
    energy = load_energy(run.folder / "checkpoints" / "words")
    assert isinstance(energy, WordPairs)
    assert energy.table().shape == (len(energy.words), 8)


def test_a_text_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "similar_words", lambda: SimilarWords({"WordSim-353": [], "SimLex-999": []}))
    path = tmp_path / "own.txt"
    path.write_text("the cat sits on the mat\nthe dog sits on the rug\n" * 40)
    options = {
        "text": str(path),
        "features": 3,
        "buckets": 10,
        "frequent": 0.0,
        "seeds": 1,
        "epochs": 1,
        "ask": ("cat",),
    }
    run = execute(config := WordVectorsRecipe.from_options(options), start(config, tmp_path / "runs"))
    assert run.shown["asked"] == ["cat"]
    assert run.shown["words"] == 7
    with pytest.raises(OptionError, match="features must be less than the 7 words"):
        execute(config := WordVectorsRecipe.from_options(options | {"features": 9}), start(config, tmp_path / "runs"))
    path.write_bytes(b"\xff")
    with pytest.raises(DataError, match="is not text in UTF-8"):
        execute(config := WordVectorsRecipe.from_options(options), start(config, tmp_path / "runs"))


@pytest.mark.parametrize("options", [{"window": 0}, {"features": 1}, {"data": "other"}, {"frequent": -1.0}])
def test_options_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(OptionError, match=next(iter(options))):
        WordVectorsRecipe.from_options(options)

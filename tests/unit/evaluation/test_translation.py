"""Baselines of translation, examples by their BLEU, and gains of one method over another."""

from __future__ import annotations

import pytest
import torch

from lowland.data.byte_pairs import BytePairs
from lowland.data.parallel_text import ParallelText
from lowland.errors import DataError, OptionError
from lowland.evaluation.translation import (
    baseline_answers,
    by_length,
    gains,
    looked_at,
    model_answers,
    ranked_rows,
    translation_rows,
)
from lowland.evaluation.translation_baselines import WordTranslation, nearest_translations
from lowland.training.translation import KINDS, Kind, numbered, translation_energy

TEXT = ParallelText(
    ("the red car stops here", "the old house stands there", "a dog waits"),
    ("das rote Auto hält hier", "das alte Haus steht dort", "ein Hund wartet"), ("1", "2", "2"),
)  # fmt: skip


def test_words_are_found_by_where_they_stand_together() -> None:
    english = ["the house", "the car", "a house", "a car", "the dog"]
    german = ["das Haus", "das Auto", "ein Haus", "ein Auto", "der Hund"]
    model = WordTranslation(english, german, rounds=30)
    assert model.translate("a house , a car 7") == "ein Haus , ein Auto 7"
    with pytest.raises(OptionError, match="one round"):
        WordTranslation(english, german, rounds=0)
    with pytest.raises(DataError, match="No pair"):
        WordTranslation(["a b c"], ["d"], longest=2)


def test_the_nearest_sentence() -> None:
    answers = nearest_translations(TEXT.source, TEXT.target, ["an old house", "dog", "zebra"])
    assert answers == [TEXT.target[1], TEXT.target[2], TEXT.target[0]]
    with pytest.raises(DataError, match="no word"):
        nearest_translations([""], [""], ["x"])


def test_rows_of_baselines() -> None:
    answers = baseline_answers(TEXT, TEXT.source) | {"right": list(TEXT.target)}
    rows = translation_rows(answers, TEXT)
    assert rows["right"]["bleu"] == rows["nearest"]["bleu"] == pytest.approx(100)
    assert rows["copy"]["bleu"] == 0
    assert rows["copy"]["length"] == 100
    assert gains(answers, [("right", "copy")], TEXT)[0][2:] == pytest.approx([100, 100, 100])
    assert ranked_rows([*TEXT.target[:1], "das alte Haus dort steht", "x"], TEXT) == [1, 0]
    assert by_length({"right": TEXT.target}, TEXT, 4) == {"right": ([8.0], [pytest.approx(100)])}


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_model_writes_and_looks_at(kind: Kind) -> None:
    pieces = BytePairs.learn([*TEXT.source, *TEXT.target], 280)
    numbers = numbered(TEXT, pieces, 30)
    energy = translation_energy(kind, len(pieces), 30, width=8, depth=2)
    found = model_answers(energy, pieces, numbers, TEXT.target, numbers, 2, (0.0, 0.5))
    assert all(len(found[way]) == 3 for way in ("greedy", "beam", "rewarded"))
    assert set(found["validation"]) == {"greedy", "0", "0.5"}
    share, read, written = looked_at(energy, pieces, TEXT.source[0], TEXT.target[0])
    assert "".join(read) == TEXT.source[0]
    assert len(written) == len(share)  # a letter may be two pieces
    assert share.shape == tuple(len(pieces.encode(side[0])) for side in (TEXT.target, TEXT.source))
    sums = share.sum(dim=1)
    assert bool((sums <= 1 + 1e-5).all())
    if kind != "transformer":
        torch.testing.assert_close(sums, torch.ones_like(sums))

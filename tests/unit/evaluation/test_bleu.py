"""BLEU beside sacrebleu 2.6.0, whose figures are pinned: `corpus_bleu(answers, [references])`, by its defaults."""

from __future__ import annotations

import numpy as np
import pytest

from lowland.errors import ShapeError
from lowland.evaluation.bleu import bleu_counts, bleu_interval, corpus_bleu, tokenised
from lowland.evaluation.captions import bleu

CASES = {
    "german": (
        [
            "Klicken Sie auf OK, um das Fenster zu schließen.", "Öffnet den Dialog Zeichen.", "Ergibt 1,5 % (z. B.)",
        ],
        [
            "Klicken Sie auf „OK“, um den Dialog zu schließen.", "Öffnet den Dialog Zeichen.",
            "Ergibt 1,5 % der Summe, z. B. 3-4.",
        ],
        36.658472, 0.818731,
    ),
    "short": (["the cat", "sat there"], ["the cat sat on the mat", "it sat there"], 0.0, 0.286505),
    "smoothed": (["a b c d e", "x y z w"], ["a b q d e", "x q z w"], 22.957488, 1.0),
    "nothing right": (["a b c d"], ["e f g h"], 0.0, 1.0),
    "too short": (["one two three"], ["one two three"], 0.0, 1.0),
    "clipped": (["the the the the the the the"], ["the cat is on the mat"], 7.80985, 1.0),
    "signs": (
        ['E = mc^2 &amp; "x" <b> 1.000,5-3 {y}'], ['E = mc^2 & "x" <b> 1.000,5-4 {y} !'], 79.406932, 0.945959,
    ),
    "empty": (["", "a b c d e"], ["one two", "a b c d e"], 67.032005, 0.67032),
}  # fmt: skip
LINES = {
    "1.000,5-3 a-b x.y 3.": ["1.000,5", "-", "3", "a-b", "x", ".", "y", "3", "."],
    "don't {a} [b] ~c` 5-6": ["don't", "{", "a", "}", "[", "b", "]", "~", "c", "`", "5", "-", "6"],
    "&lt;tag&gt; & ¡hola! – „Zitat“ …": ["<", "tag", ">", "&", "¡hola", "!", "–", "„Zitat“", "…"],
    "a,b 1,2 ,3 4.": ["a", ",", "b", "1,2", ",", "3", "4", "."],
}


@pytest.mark.parametrize("case", CASES)
def test_as_sacrebleu(case: str) -> None:
    answers, references, score, brevity = CASES[case]
    found = corpus_bleu(answers, references)
    assert (found.score, found.brevity) == pytest.approx((score, brevity), abs=5e-7)


@pytest.mark.parametrize("line", LINES)
def test_tokens_are_those_of_sacrebleu(line: str) -> None:
    assert tokenised(line) == LINES[line]


def test_as_bleu_of_captions_where_nothing_is_smoothed() -> None:
    answers, references, *_ = CASES["german"]
    words = [[tokenised(line) for line in lines] for lines in (answers, references)]
    assert corpus_bleu(answers, references).score == pytest.approx(bleu(words[0], [[own] for own in words[1]]))


def test_intervals_over_groups() -> None:
    good, bad = "a b c d e f", "a b x d e y"
    counts, less = bleu_counts([good, bad] * 10, [good] * 20), bleu_counts([bad] * 20, [good] * 20)
    rng = np.random.default_rng
    found = bleu_interval(counts, [f"{row}" for row in range(20)], rng(0))
    assert found.low < found.value < found.high
    same = bleu_interval(counts, [f"{row // 2}" for row in range(20)], rng(0))  # each group has one of either kind
    assert same.low == pytest.approx(same.high)
    gain = bleu_interval(counts, [f"{row}" for row in range(20)], rng(0), less=less)
    assert gain.value == pytest.approx(found.value - bleu_interval(less, ["one"] * 20, rng(0)).value)
    assert gain.low > 0
    with pytest.raises(ShapeError, match="needs a group"):
        bleu_interval(counts, ["one"], rng(0))
    with pytest.raises(ShapeError, match="not 1 with 2"):
        bleu_counts(["a"], ["a", "b"])

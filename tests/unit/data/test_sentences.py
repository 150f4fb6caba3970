"""Texts as sentences, rated pairs of words, and words that stand near each other."""

from __future__ import annotations

import collections
import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from lowland.data import brown as module
from lowland.data.brown import brown, plain_sentences
from lowland.data.sentences import described, own_sentences, plurals
from lowland.data.similar_words import rated_pairs, similar_words
from lowland.data.word_pairs import NumberedText, drawn_pairs, pair_counts
from lowland.errors import DataError, OptionError

TEXT = [["a", "b", "c", "a"], ["c", "a"], ["rare"], [], ["b", "a", "b"]]


def test_the_corpus_is_read_without_tags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TEXTS", {"a": 2})
    (tmp_path / "ca01").write_text("\n\tThe/at 1961/cd and\\/or/cc Jury/nn's/x ''/'' ./.\n\n\n")
    (tmp_path / "ca02").write_text("Well/uh ,/, no/uh ./.\n")
    assert brown(tmp_path).words == (["the", "and\\/or", "jury/nn's"], ["well", "no"])
    assert brown(tmp_path).summary == "2 sentences of 5 words"
    (tmp_path / "ca02").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match="ca02 of the Brown corpus is not plain text"):
        brown(tmp_path)
    for name in ("ca01", "ca02"):
        (tmp_path / name).write_text("1/cd\n")
    with pytest.raises(DataError, match="hold no words with tags"):
        brown(tmp_path)


def test_a_word_without_a_tag_is_none() -> None:
    assert plain_sentences("word other/nn\n") == [["other"]]


def test_a_text_of_ones_own_is_cut_at_lines_and_at_forty_words(tmp_path: Path) -> None:
    path = tmp_path / "own.txt"
    path.write_text("Größe, the well-known 3rd!\n\n" + "word " * 90, encoding="utf-8")
    found = own_sentences(path)
    assert found.words[0] == ["größe", "the", "well-known", "rd"]
    assert [len(piece) for piece in found.words[1:]] == [40, 40, 10]


@pytest.mark.parametrize(
    ("content", "said"), [(b"\xff\xfe\x00", "is not text in UTF-8"), (b"1 2 3\n", "holds no words"), (b"", "no words")]
)
def test_what_is_no_text_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "own.txt").write_bytes(content)
    with pytest.raises(DataError, match=said):
        own_sentences(tmp_path / "own.txt")
    with pytest.raises(DataError, match=r"other\.txt"):
        own_sentences(tmp_path / "other.txt")


def test_the_stand_in_has_pairs_of_both_kinds() -> None:
    ratings = [rating for *_, rating in plurals(described())]
    assert ratings.count(10.0) > 20
    assert ratings.count(0.0) == ratings.count(10.0) - 1


def test_lists_of_rated_words_are_read(tmp_path: Path) -> None:
    (tmp_path / "wordsim353.tsv").write_text("# a comment\nTiger\tcat\t7.35\n\n")
    (tmp_path / "simlex999.txt").write_text("old\tnew\t1.58\n")
    found = similar_words(tmp_path)
    assert found.lists == {"WordSim-353": [("tiger", "cat", 7.35)], "SimLex-999": [("old", "new", 1.58)]}
    assert found.summary == "1 pairs of WordSim-353, 1 pairs of SimLex-999"


@pytest.mark.parametrize("line", ["tiger\tcat", "tiger cat 7.35", "tiger\tcat\tmuch", "tiger\tcat\t11", "a\tb\tnan"])
def test_other_lines_are_refused_by_number(line: str) -> None:
    with pytest.raises(DataError, match=r"Line 2 of list\.tsv is not two words and a number"):
        rated_pairs(f"love\tsex\t6.77\n{line}\n".encode(), "list.tsv")


def test_words_are_numbered_by_frequency_and_pairs_stay_in_sentences() -> None:
    text = NumberedText.of(TEXT, least=2)
    assert text.words == ("a", "b", "c")
    assert text.counts.tolist() == [4, 3, 2]
    assert text.numbers.tolist() == [0, 1, 2, 0, 2, 0, 1, 0, 1]
    counted: collections.Counter[tuple[int, int]] = collections.Counter()
    for sentence in TEXT:
        numbers = ["abc".index(word) for word in sentence if word in "abc"]
        for one, other in itertools.permutations(range(len(numbers)), 2):
            if abs(one - other) <= 2:
                counted[numbers[one], numbers[other]] += 1
    expected = np.array([[counted[i, j] for j in range(3)] for i in range(3)], dtype=float)
    assert np.array_equal(pair_counts(text, 2).toarray(), expected)
    with pytest.raises(DataError, match="1 of 4 words occur 4 times or more"):
        NumberedText.of(TEXT, least=4)


def test_drawn_pairs_have_the_frequencies_of_a_random_reach() -> None:
    """A distance d counts with probability (W − d + 1) / W: over 4,000 copies of a sentence within four deviations."""
    copies = 4000
    text = NumberedText.of([["a", "b", "c", "d"]] * copies, least=1)
    drawn = drawn_pairs(text, 3, 0.0, torch.Generator().manual_seed(0))
    for one, other in itertools.permutations(range(4), 2):
        share = (4 - abs(one - other)) / 3
        found = int(((drawn[:, 0] == one) & (drawn[:, 1] == other)).sum())
        assert abs(found - share * copies) <= 4 * (copies * share * (1 - share)) ** 0.5


def test_frequent_words_are_partly_left_out() -> None:
    """Here a has 3/4 of the text: it stays with √(t/p) + t/p = .1156 + .0133 at t = .01."""
    text = NumberedText.of([["a", "a", "a", "b"]] * 5000, least=1)
    drawn = drawn_pairs(text, 1, 0.01, torch.Generator().manual_seed(0))
    beside = int(((drawn[:, 0] == 1) & (drawn[:, 1] == 0)).sum())
    kept_b, kept_a = (0.04**0.5 + 0.04), (0.01 / 0.75) ** 0.5 + 0.01 / 0.75
    expected = 5000 * kept_b * (1 - (1 - kept_a) ** 3)
    assert abs(beside - expected) < 4 * expected**0.5
    for window, frequent in ((0, 0.0), (1, -1.0)):
        with pytest.raises(OptionError, match="Pairs need a window"):
            drawn_pairs(text, window, frequent, torch.Generator())

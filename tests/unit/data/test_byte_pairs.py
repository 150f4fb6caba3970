"""Byte pairs: what they learn, and that they lose nothing."""

from __future__ import annotations

import itertools
import re
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lowland.data.byte_pairs import BYTES, BytePairs, words_of
from lowland.errors import DataError, OptionError

TEXTS = ["the lowest of the low, 42 times", "the newest of the new: Größe", "slow, slower, slowest; _x_ %ä%"]
PAIRS = BytePairs.learn(TEXTS, 300)


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_read_back_as_it_was(text: str) -> None:
    assert "".join(words_of(text)) == text
    assert PAIRS.decode(PAIRS.encode(text)) == text


def test_each_merge_is_the_most_frequent_pair() -> None:
    """Beside a count of all pairs anew after each merge, of equally frequent ones the smaller numbers."""
    words = Counter(word for text in TEXTS for word in words_of(text))
    split = {word: list(word.encode()) for word in words}
    for number, merge in enumerate(PAIRS.merges, start=BYTES):
        counts: Counter[tuple[int, int]] = Counter()
        for word, tokens in split.items():
            for pair in itertools.pairwise(tokens):
                counts[pair] += words[word]
        assert merge == min(counts, key=lambda pair: (-counts[pair], pair))
        for word, tokens in split.items():
            text = ",".join(map(str, tokens))
            joined = re.sub(rf"(?<!\d){merge[0]},{merge[1]}(?!\d)", str(number), text)
            split[word] = [int(token) for token in joined.split(",")]
    assert len(PAIRS) <= 300
    assert all(len(PAIRS.encode(text)) < len(text.encode()) for text in TEXTS)


def test_no_merge_crosses_a_word() -> None:
    assert all(len(words_of(piece.decode())) == 1 for piece in PAIRS.pieces[BYTES:] if b"\xc3" not in piece)


def test_long_lines_without_spaces_and_bytes_that_are_no_text() -> None:
    assert PAIRS.decode(PAIRS.encode("a" * 100_000)) == "a" * 100_000
    assert PAIRS.decode([0xC3]) == "�"


def test_what_is_no_token_or_merge() -> None:
    with pytest.raises(DataError, match="9999 is no token"):
        PAIRS.decode([9999])
    with pytest.raises(DataError, match="Merge 256 joins 300 and 1"):
        BytePairs([(300, 1)])
    with pytest.raises(OptionError, match="at least 256"):
        BytePairs.learn(TEXTS, 255)
    assert len(BytePairs.learn([""], 300)) == BYTES

"""Languages of counting: their words, and what of them can be known."""

from __future__ import annotations

import re

import pytest
import torch

from lowland.data.counting import LANGUAGES, counting_stream, counting_trials, language
from lowland.errors import OptionError


def spelled(name: str, size: int, seed: int = 0) -> tuple[str, int]:
    word, free = language(name).draw(size, torch.Generator().manual_seed(seed))
    return "".join(language(name).symbols[symbol] for symbol in word), free


def test_words_belong_to_their_language() -> None:
    assert spelled("anbn", 3) == ("aaabbb", 4)
    assert spelled("anbncn", 2) == ("aabbcc", 3)
    for seed in range(5):
        word, free = spelled("anbmcnm", 7, seed)
        parts = re.fullmatch(r"(a+)(b+)(c+)", word)
        assert parts is not None
        assert len(parts[1]) + len(parts[2]) == len(parts[3]) == 7
        assert word[:free] == parts[1] + parts[2] + "c"


@pytest.mark.parametrize("name", LANGUAGES)
def test_tests_judge_what_follows(name: str) -> None:
    trials = counting_trials(name, [2, 5], 4, torch.Generator().manual_seed(0))
    for row, size in enumerate((2, 5)):
        judged = trials.symbols[row][trials.judged[row]].tolist()
        length = {"anbn": size - 1, "anbncn": 2 * size - 1, "anbmcnm": size - 1}[name]
        assert len(judged) == length + 1
        assert judged[-1] == 0
        assert 0 not in judged[:-1]


def test_streams_depend_on_the_generator_alone() -> None:
    one, other = (counting_stream("anbn", 5, 40, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one, other)
    assert len(one) == 40


def test_what_cannot_be_drawn() -> None:
    with pytest.raises(OptionError, match="anbn, anbncn"):
        counting_stream("abab", 3, 5, torch.Generator())
    with pytest.raises(OptionError, match="at least 2"):
        counting_stream("anbmcnm", 1, 5, torch.Generator())
    with pytest.raises(OptionError, match="not 1"):
        counting_trials("anbmcnm", [1], 5, torch.Generator())

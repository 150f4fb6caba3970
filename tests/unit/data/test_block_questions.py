"""Questions about scenes of blocks."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from lowland.data.block_programs import Facts, execute, outcome, parsed, spelled
from lowland.data.block_questions import KINDS, ask
from lowland.data.block_scenes import Scene, draw_blocks
from lowland.errors import OptionError


@pytest.fixture(scope="module")
def scenes() -> tuple[Scene, ...]:
    return draw_blocks(40, torch.Generator().manual_seed(0)).scenes


def test_questions_have_the_answers_of_their_programs(scenes: tuple[Scene, ...]) -> None:
    asked = ask(scenes, 150, torch.Generator().manual_seed(1))
    assert all(execute(question.program, scenes[question.scene]) == question.answer for question in asked)
    assert Counter(question.kind for question in asked) == dict.fromkeys(KINDS, 30)
    assert Counter(question.depth for question in asked) == {0: 50, 1: 50, 2: 50}
    answers = Counter(question.answer for question in asked if question.kind == "exist")
    assert max(answers.values()) <= 17


def test_a_relation_behind_the_noun_of_one_block_is_needed(scenes: tuple[Scene, ...]) -> None:
    asked = [one for one in ask(scenes, 60, torch.Generator().manual_seed(2), (1,)) if one.kind == "query"]
    for question in asked:
        text = spelled(question.program)
        at = min(text.find(word) for word in ("relate", "same", "and") if word in text)
        alone = parsed(f"{text[:at]}scene")
        assert outcome(alone, Facts(scenes[question.scene]))[0] is None


def test_the_same_generator_asks_the_same(scenes: tuple[Scene, ...]) -> None:
    first, again = (ask(scenes, 20, torch.Generator().manual_seed(3)) for _ in range(2))
    assert first == again


@pytest.mark.parametrize(("count", "depths"), [(0, (0,)), (5, ()), (5, (5,))])
def test_counts_and_depths_that_cannot_be(scenes: tuple[Scene, ...], count: int, depths: tuple[int, ...]) -> None:
    with pytest.raises(OptionError, match="count of at least 1"):
        ask(scenes, count, torch.Generator(), depths)


def test_scenes_without_such_questions_are_named() -> None:
    scenes = draw_blocks(2, torch.Generator().manual_seed(0), 1, 1).scenes
    with pytest.raises(OptionError, match="No question of depth 4"):
        ask(scenes, 5, torch.Generator().manual_seed(0), (4,))

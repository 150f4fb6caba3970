"""What questions are answered rightly."""

from __future__ import annotations

import pytest
import torch

from lowland.data.block_programs import ANSWERS, parsed
from lowland.data.block_questions import BlockQuestion
from lowland.data.block_scenes import Block
from lowland.errors import DataError, ShapeError
from lowland.evaluation.question_programs import (
    answer_row,
    asked,
    depths,
    frequent_answers,
    listed_programs,
    seen_rightly,
)
from lowland.training.question_programs import QuestionSet, program_energy, question_set

ONE, TWO = (Block(0, 0, 0, 0, 1, 5),), (Block(0, 0, 0, 0, 1, 5), Block(1, 2, 0, 1, 2, 3))
SCENES = [ONE, TWO]
WORDS = ["how", "many", "any"]


def of(*rows: tuple[str, str, int]) -> QuestionSet:
    questions = [BlockQuestion(("how", "many"), tuple(parsed(text)), answer, scene) for text, answer, scene in rows]
    return question_set(questions, SCENES, WORDS)


def test_rows_count_answers_by_depth() -> None:
    test = of(
        ("count scene", "2", 1), ("exist scene", "yes", 1), ("count relate[left] unique filter[sphere] scene", "1", 1)
    )
    deep = of(("count scene", "1", 0))
    said = {
        "test": torch.tensor([ANSWERS.index("2"), -1, ANSWERS.index("0")]),
        "deep": torch.tensor([ANSWERS.index("1")]),
    }
    row = answer_row(said, {"test": test, "deep": deep}, {"test": test.program, "deep": deep.program})
    assert row["right"] == pytest.approx(100 / 3)
    assert row["none"] == pytest.approx(100 / 3)
    assert (row["depth 0"], row["depth 1"], row["deep"], row["written"]) == (50.0, 0.0, 100.0, 100.0)
    assert depths(test).tolist() == [0, 0, 1]
    row = answer_row({**said, "validation": said["deep"]}, {"test": test, "deep": deep, "validation": deep})
    assert row["validation"] == 100.0


def test_the_most_frequent_answers() -> None:
    train = of(("count scene", "2", 1), ("count scene", "2", 1), ("exist scene", "yes", 0), ("exist scene", "yes", 1))
    train = train._replace(answer=torch.tensor([4, 4, 0, 0]))
    test = of(("exist scene", "yes", 0), ("count scene", "2", 1))
    rows = frequent_answers({"train": train, "test": test, "deep": test})
    assert rows["most frequent"]["right"] == 50.0
    assert rows["by kind"]["right"] == 100.0


def test_what_is_seen() -> None:
    assert seen_rightly([ONE, ONE], [ONE, TWO]) == {"blocks": pytest.approx(200 / 3), "scenes": 50.0}
    with pytest.raises(ShapeError, match="cannot be compared"):
        seen_rightly([], [ONE])


def test_listed_programs_are_in_order_and_their_parts_add_up() -> None:
    data = of(("count scene", "2", 1))
    energy = program_energy(len(WORDS), width=8, mismatch=7.0)
    with torch.no_grad():  # count, scene and the end are likely, everywhere
        energy.proposal.network.out.bias[[*parsed("count scene"), -1]] = 5.0
    found = listed_programs(energy, data, 0, torch.Generator().manual_seed(0), most=4)
    energies = [one["proposal"] + one["mismatch"] for one in found]
    assert energies == sorted(energies)
    assert {one["program"]: one["answer"] for one in found}["count scene"] == "2"
    assert all(one["mismatch"] == pytest.approx(0.0 if one["answer"] == "2" else 7.0, abs=1e-4) for one in found)
    with pytest.raises(DataError, match="no question 5"):
        listed_programs(energy, data, 5, torch.Generator())


def test_questions_are_written_with_their_mark() -> None:
    assert asked(BlockQuestion(("how", "many"), (0,), "1", 0)) == "how many?"
    assert asked(BlockQuestion(("count", "them"), (0,), "1", 0)) == "count them."

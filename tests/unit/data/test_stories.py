"""Stories: the format of the published files, and worlds whose answers follow from what was told."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lowland.data.stories import Ask, Draw, Question, load_stories, read_stories, told, write_stories
from lowland.data.story_puzzles import WORLDS
from lowland.errors import DataError, OptionError

RECORDS = """1 Mary moved to the bathroom.
2 John went to the hallway.
3 Where is Mary? \tbathroom\t1
4 Daniel went back to the hallway.
5 Sandra got the milk there.
6 What is Sandra carrying?\tmilk,apple\t5 4
1 The office is north of the kitchen.
2 What is north of the kitchen?\toffice\t1
"""
WHERE = {kind: world for kind, (_, world) in WORLDS.items()}


def test_records_are_read() -> None:
    first, second, third = read_stories(RECORDS)
    assert first == Question(
        (("mary", "moved", "to", "the", "bathroom"), ("john", "went", "to", "the", "hallway")),
        ("where", "is", "mary"), "bathroom", (0,),
    )  # fmt: skip
    assert (len(second.story), second.answer, second.support) == (4, "milk,apple", (3, 2))
    assert third.story == (("the", "office", "is", "north", "of", "the", "kitchen"),)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("Mary moved to the bathroom.", "Line 1 of the text"),
        ("1 Mary moved.\n3 Where is Mary?\thome\t1", "Line 2"),
        ("1 Mary moved.\n2 Where is Mary?\t\t1", "without an answer"),
        ("1 Mary moved.\n2 Where is Mary?\thome\t2", "not told"),
        ("1 Mary moved.\n2 Where is Mary?\thome\tone", "Line 2"),
        ("1 ...\n2 Where?\thome", "no words"),
        ("1 Mary moved.", "no question"),
        ("", "no question"),
    ],
)
def test_what_is_no_story_is_refused(text: str, match: str) -> None:
    with pytest.raises(DataError, match=match):
        read_stories(text)


def test_files_are_found(tmp_path: Path) -> None:
    (tmp_path / "qa1_single-supporting-fact_train.txt").write_text(RECORDS)
    (tmp_path / "qa11_basic-coreference_train.txt").write_text("1 x")
    assert load_stories(tmp_path, 1, "train") == read_stories(RECORDS)
    with pytest.raises(DataError, match="no files qa1_"):
        load_stories(tmp_path, 1, "test")
    with pytest.raises(DataError, match="qa11_basic-coreference_train"):
        load_stories(tmp_path, 11, "train")
    (tmp_path / "qa1_other_train.txt").write_text(RECORDS)
    with pytest.raises(DataError, match="2 files"):
        load_stories(tmp_path, 1, "train")
    (tmp_path / "qa2_two_train.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot be read as text"):
        load_stories(tmp_path, 2, "train")


@pytest.mark.parametrize("kind", WORLDS)
def test_worlds_write_what_is_read(kind: int) -> None:
    generator = torch.Generator().manual_seed(kind)
    asked = write_stories(WHERE[kind], 60, generator)
    assert len(asked) == 60
    assert len({one.answer for one in asked}) > 1
    assert all(one.support and max(one.support) < len(one.story) for one in asked)
    assert asked == write_stories(WHERE[kind], 60, torch.Generator().manual_seed(kind))
    assert asked != write_stories(WHERE[kind], 60, torch.Generator().manual_seed(kind + 1))


def last_place(name: str, question: Question) -> str:
    return next(sentence[-1] for sentence in reversed(question.story) if sentence[0] == name)


def afraid(question: Question) -> str:
    many = {"wolves": "wolf", "mice": "mouse", "cats": "cat", "sheep": "sheep"}
    kinds = {s[0]: s[3] for s in question.story if s[1] == "is"}
    fears = {many[s[0]]: many[s[4]] for s in question.story if s[1] == "are"}
    return fears[kinds[question.words[2]]]


def colour(question: Question) -> str:
    kinds = {s[0]: s[3] for s in question.story if len(s) == 4}
    colours = {s[0]: s[2] for s in question.story if len(s) == 3}
    return next(colours[name] for name in colours if kinds[name] == kinds[question.words[3]])


def north(question: Question) -> str:
    """Facts as (a, way, b), a lies to the way of b, both ways round."""
    back = {"north": "south", "south": "north", "east": "west", "west": "east"}
    facts = {(s[1], s[3], s[6]) for s in question.story}
    facts |= {(b, back[way], a) for a, way, b in facts}
    words = question.words
    if words[3] == "of":  # what is WAY of the ROOM
        return next(a for a, way, b in facts if (way, b) == (words[2], words[5]))
    return next(b for a, way, b in facts if (a, way) == (words[3], words[4]))


def fits(question: Question) -> str:
    pairs = set()
    for sentence in question.story:
        text = " ".join(sentence)
        small, large = (
            re.fullmatch(r"the (.*) fits inside the (.*)", text),
            re.fullmatch(r"the (.*) is bigger than the (.*)", text),
        )
        pairs.add((small[1], small[2]) if small else (large[2], large[1]) if large else ("", ""))
    for _ in range(5):
        pairs |= {(a, d) for a, b in pairs for c, d in pairs if b == c}
    asked = re.fullmatch(
        r"(?:does the (.*) fit in the (.*)|is the (.*) bigger than the (.*))", " ".join(question.words)
    )
    assert asked is not None
    return "yes" if ((asked[1], asked[2]) if asked[1] else (asked[4], asked[3])) in pairs else "no"


def way(question: Question) -> str:
    """Follows the answer through the rooms; all that lead to the goal in two steps are right, and there is one."""
    back, doors = {"north": "south", "south": "north", "east": "west", "west": "east"}, {}
    for s in question.story:
        doors[s[6], s[3][0]] = s[1]
        doors[s[1], back[s[3]][0]] = s[6]
    start, goal = question.words[6], question.words[9]
    found = [
        f"{one},{two}" for one in "nsew" for two in "nsew" if doors.get((doors.get((start, one), ""), two)) == goal
    ]
    assert len(found) == 1
    return found[0]


SOLVERS: dict[int, Callable[[Question], str]] = {
    1: lambda question: last_place(question.words[2], question),
    4: north,
    15: afraid,
    16: colour,
    18: fits,
    19: way,
}


@pytest.mark.parametrize("kind", SOLVERS)
def test_answers_follow_from_what_was_told(kind: int) -> None:
    """By a solver that reads the sentences, and does not know the world that wrote them."""
    for question in write_stories(WHERE[kind], 80, torch.Generator().manual_seed(kind)):
        assert SOLVERS[kind](question) == question.answer, question


def test_support_is_enough_for_a_place() -> None:
    for question in write_stories(WHERE[2], 80, torch.Generator().manual_seed(0)):
        taken, where = (question.story[place] for place in question.support)
        thing = question.words[-1]
        assert {taken[-1], where[-1]} >= {question.answer} or where[-1] == thing
        assert question.answer in (taken[-1], where[-1])


def test_no_questions_cannot_be_written() -> None:
    with pytest.raises(OptionError, match="not 0"):
        write_stories(WHERE[1], 0, torch.Generator())


def test_told_is_read_again() -> None:
    lines = WHERE[7](Draw(torch.Generator().manual_seed(0)))
    asked = [line for line in lines if isinstance(line, Ask)]
    assert [one.answer for one in read_stories(told(lines))] == [one.answer for one in asked]

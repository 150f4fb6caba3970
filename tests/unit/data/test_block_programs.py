"""Programs about scenes of blocks: what they answer, and what is wrong with those that answer nothing."""

from __future__ import annotations

import pytest

from lowland.data.block_programs import Facts as _Facts
from lowland.data.block_programs import chain, execute, outcome, parsed, spelled, tree
from lowland.data.block_scenes import Block
from lowland.errors import DataError

# A large red metal cube on the left at the back, a small grey rubber sphere, and a large grey metal cube on the right.
SCENE = (Block(0, 0, 0, 0, 1, 2), Block(1, 5, 1, 1, 4, 8), Block(0, 5, 0, 0, 7, 5))


@pytest.mark.parametrize(
    ("program", "answer"),
    [
        ("count scene", "3"),
        ("count filter[grey] scene", "2"),
        ("exist filter[cylinder] scene", "no"),
        ("query[material] unique filter[sphere] scene", "rubber"),
        ("query[colour] unique filter[cube] relate[left] unique filter[sphere] scene", "red"),
        ("count relate[right] unique filter[red] scene", "2"),
        ("count relate[front] unique filter[red] scene", "2"),
        ("count relate[behind] unique filter[sphere] scene", "2"),
        ("count same[colour] unique filter[sphere] scene", "1"),
        ("count same[shape] unique filter[red] scene", "1"),
        ("count and filter[grey] scene filter[cube] scene", "1"),
        ("count or filter[red] scene filter[sphere] scene", "2"),
        ("greater count filter[cube] scene count filter[sphere] scene", "yes"),
        ("less count filter[cube] scene count filter[sphere] scene", "no"),
        ("less count filter[cube] scene count filter[grey] scene", "no"),
        ("equal count filter[cube] scene count filter[grey] scene", "yes"),
        ("equal[size] query[size] unique filter[red] scene query[size] unique filter[sphere] scene", "no"),
    ],
)
def test_answers(program: str, answer: str) -> None:
    assert execute(parsed(program), SCENE) == answer


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("count filter[red]", "needs blocks, but is followed by nothing"),
        ("count scene scene", "leaves 2 results"),
        ("filter[red] scene", "ends in blocks"),
        ("", "leaves 0 results"),
        ("query[size] unique filter[grey] scene", "needs exactly one block"),
        ("query[size] scene", "needs block, but is followed by blocks"),
        ("greater count scene exist scene", "needs number and number, but is followed by number and truth"),
    ],
)
def test_programs_that_are_ill_formed_say_why(program: str, why: str) -> None:
    with pytest.raises(DataError, match=why):
        execute(parsed(program), SCENE)


def test_a_number_that_is_no_function() -> None:
    assert outcome([99], _Facts(SCENE)) == (None, "there is no function with the number 99")


def test_unknown_functions_are_refused() -> None:
    with pytest.raises(DataError, match="no function 'filter\\[pink\\]'"):
        parsed("count filter[pink] scene")


def test_trees() -> None:
    program = parsed("equal count relate[left] unique same[size] unique filter[red] scene count scene")
    assert chain(tree(program)) == 2
    assert spelled([*program, 99]).endswith("scene 99")
    with pytest.raises(DataError, match="2 trees"):
        tree(parsed("count scene scene"))
    with pytest.raises(DataError, match="lacks an argument"):
        tree(parsed("count"))

"""Sudokus have one solution, and the conclusions of singles are sound."""

from __future__ import annotations

import pytest
import torch

from lowland.data.scopes import exact_cover
from lowland.data.sudoku import singles, sudokus
from lowland.errors import OptionError


def _solutions(clues: list[int], block: int, most: int = 2) -> list[list[int]]:
    """All solutions up to a number, by a search that knows rows, columns and blocks in another way: by differences."""
    values = block**2
    found: list[list[int]] = []

    def meets(a: int, b: int) -> bool:
        (ra, ca), (rb, cb) = divmod(a, values), divmod(b, values)
        return ra == rb or ca == cb or (ra // block == rb // block and ca // block == cb // block)

    def search(grid: list[int]) -> None:
        if len(found) >= most:
            return
        empty = [cell for cell, value in enumerate(grid) if value < 0]
        if not empty:
            found.append(list(grid))
            return
        allowed = {
            cell: set(range(values))
            - {grid[other] for other in range(values**2) if other != cell and meets(cell, other)}
            for cell in empty
        }
        cell = min(empty, key=lambda one: len(allowed[one]))
        for value in allowed[cell]:
            search([*grid[:cell], value, *grid[cell + 1 :]])

    search(clues)
    return found


@pytest.mark.parametrize(("block", "clues"), [(2, 6), (3, 40)])
def test_puzzles_have_the_one_solution_that_is_claimed(block: int, clues: int) -> None:
    made = sudokus(4, block, clues, torch.Generator().manual_seed(1), grids=3)
    values = block**2
    for x, y in zip(made.x.view(4, -1, values), made.y.view(4, -1, values), strict=True):
        given = torch.where(x.any(dim=1), x.argmax(dim=1), -1).tolist()
        assert sum(value >= 0 for value in given) == clues
        assert _solutions(given, block) == [y.argmax(dim=1).tolist()]


def test_fewer_clues_need_more_rounds() -> None:
    easy, hard = (sudokus(40, 2, clues, torch.Generator().manual_seed(0), grids=5).rounds for clues in (10, 6))
    assert easy.double().mean() + 0.5 < hard.double().mean()


def test_every_entry_is_in_four_sets_and_solutions_cover_each_set_once() -> None:
    sets = exact_cover(3).free[:, :, 0]
    assert torch.equal(sets.flatten().bincount(), torch.full((729,), 4))
    made = sudokus(2, 3, 50, torch.Generator().manual_seed(0), grids=2)
    assert bool((made.y[:, sets].sum(dim=2) == 1).all())
    assert sets[:81].tolist() == torch.arange(729).view(81, 9).tolist()  # the first are the cells


def test_singles_keep_every_solution_of_a_puzzle_with_several() -> None:
    grids = [[0, 1, 2, 3, 2, 3, 0, 1, 1, 0, 3, 2, 3, 2, 1, 0]]
    open_board = [-1] * 16
    open_board[0] = 0
    solutions = _solutions(open_board, 2, most=100)
    assert grids[0] in solutions
    possible = torch.ones(1, 16, 4, dtype=torch.bool)
    possible[0, 0] = torch.tensor([True, False, False, False])
    left, rounds = singles(possible.flatten(1), 2)
    for solution in solutions:
        assert bool(left.view(16, 4)[torch.arange(16), torch.tensor(solution)].all())
    assert int(left.sum()) > 16
    assert int(rounds) == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [((0, 3, 40), "count"), ((1, 4, 40), "block"), ((1, 2, 17), "from 1 to 16"), ((1, 2, 1), "more clues")],
)
def test_bad_options_are_named(options: tuple[int, int, int], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        sudokus(*options, torch.Generator().manual_seed(0), grids=1)

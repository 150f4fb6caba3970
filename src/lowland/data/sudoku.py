"""Sudokus with one solution, made here: how long a chain of conclusions they need depends on the number of clues.

Shape letters: B puzzles, k the side of a block (3 in newspapers), N = k² values, N³ entries "cell c holds value v".
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from lowland.data.scopes import exact_cover
from lowland.errors import OptionError

_CHUNK = 256
"""Puzzles drawn at a time."""


class Sudokus(NamedTuple):
    """Puzzles, their solutions and how hard they are.

    Attributes:
        x: (B, N³), 1 for each clue "cell c holds value v", else 0.
        y: (B, N³), 1 for each true entry, else 0.
        rounds: (B,) rounds of singles that solve it, each of which draws all conclusions at once.
    """

    x: Tensor
    y: Tensor
    rounds: Tensor


def sudokus(count: int, block: int, clues: int, generator: torch.Generator, grids: int | None = None) -> Sudokus:
    """Puzzles with so many clues at random cells, of which those are kept that singles alone solve.

    So each has one solution. Grids are filled by a search with values in random order; a puzzle takes one of them and
    renames its values. Of 9 × 9 puzzles with 45 random clues about 6 in 10 are kept, with 36 clues one in 6.

    Args:
        count: B.
        block: k, 2 or 3.
        clues: given cells, from 1 to N².
        generator: draws everything.
        grids: filled grids to choose from; by default as many as puzzles, and 400 at most.

    Raises:
        OptionError: for a count or grids below 1, another block, or clues outside their range or so few that of 5,000
            drawn puzzles none is kept.

    >>> made = sudokus(3, 2, 9, torch.Generator().manual_seed(0), grids=4)
    >>> made.x.shape, made.x.sum(dim=1), bool((made.y >= made.x).all())
    (torch.Size([3, 64]), tensor([9., 9., 9.]), True)
    """
    grids = min(count, 400) if grids is None else grids
    if count < 1 or grids < 1 or block not in (2, 3):
        raise OptionError(
            f"Sudokus need a count and grids of at least 1 and a block of 2 or 3, not {count}, {grids}, {block}."
        )
    values = block**2
    if not 1 <= clues <= values**2:
        raise OptionError(f"clues must be from 1 to {values**2}, but they are {clues}.")
    filled = torch.stack([_filled(block, generator) for _ in range(grids)])
    found: list[tuple[Tensor, Tensor, Tensor]] = []
    kept = drawn = 0
    while kept < count:
        chosen = filled[torch.randint(grids, (_CHUNK,), generator=generator)]
        names = torch.rand(_CHUNK, values, generator=generator).argsort(dim=1)
        truth = functional.one_hot(names.gather(1, chosen), values).bool()
        given = torch.rand(_CHUNK, values**2, generator=generator).argsort(dim=1).argsort(dim=1) < clues
        possible, rounds = singles((truth | ~given[:, :, None]).flatten(1), block)
        solved = possible.sum(dim=1) == values**2
        found.append(((truth & given[:, :, None]).flatten(1)[solved], truth.flatten(1)[solved], rounds[solved]))
        kept, drawn = kept + int(solved.sum()), drawn + _CHUNK
        if not kept and drawn > 5000:
            raise OptionError(f"Of {drawn} puzzles with {clues} clues singles solve none. Ask for more clues.")
    x, y, rounds = (torch.cat(parts)[:count] for parts in zip(*found, strict=True))
    return Sudokus(x.float(), y.float(), rounds)


def singles(possible: Tensor, block: int, most: int = 60) -> tuple[Tensor, Tensor]:
    """What is left of the possible entries after rounds of naked and hidden singles, until nothing changes.

    An entry is certain if it is the only one left in its cell, or the only place left for its value in a row, a
    column or a block; the others in its four sets are then impossible. The conclusions are sound: no solution is lost.

    Args:
        possible: (B, N³) bool.
        block: k.
        most: rounds at most.

    Returns:
        possible (B, N³), N² entries where it is solved, and rounds (B,) after which a puzzle no longer changed.

    >>> truth = torch.eye(4).bool()[torch.tensor([0, 1, 2, 3, 2, 3, 0, 1, 1, 0, 3, 2, 3, 2, 1, 0])]
    >>> open_cells = torch.zeros(16, 1, dtype=torch.bool)
    >>> open_cells[:3] = True
    >>> left, rounds = singles((truth | open_cells).flatten()[None], 2)
    >>> bool((left == truth.flatten()).all()), rounds
    (True, tensor([1]))
    """
    sets = exact_cover(block).free[:, :, 0]
    values = sets.shape[1]
    member = sets.flatten().argsort(stable=True).reshape(-1, 4) // values  # (N³, 4), the sets of an entry
    rounds = torch.zeros(len(possible), dtype=torch.long)
    for _ in range(most):
        alone = possible[:, sets].sum(dim=2) == 1
        certain = possible & alone[:, member].any(dim=2)
        taken = certain[:, sets].any(dim=2)
        left = possible & (certain | ~taken[:, member].any(dim=2))
        changed = (left != possible).any(dim=1)
        if not changed.any():
            break
        rounds, possible = rounds + changed, left
    return possible, rounds


def _filled(block: int, generator: torch.Generator) -> Tensor:
    """A filled grid, the values (N²,): depth-first search of the cell with fewest values left, in random order."""
    values = block**2
    grid, free = [-1] * values**2, {"row": [2**values - 1] * values}
    free |= {kind: list(free["row"]) for kind in ("column", "block")}

    def places(cell: int) -> tuple[tuple[str, int], ...]:
        row, column = divmod(cell, values)
        return ("row", row), ("column", column), ("block", row // block * block + column // block)

    def left(cell: int) -> int:
        row, column, own = (free[kind][place] for kind, place in places(cell))
        return row & column & own

    def fill() -> bool:
        empty = [cell for cell, value in enumerate(grid) if value < 0]
        if not empty:
            return True
        cell = min(empty, key=lambda one: left(one).bit_count())
        allowed = left(cell)
        for value in torch.randperm(values, generator=generator).tolist():
            if not allowed >> value & 1:
                continue
            grid[cell] = value
            for kind, place in places(cell):
                free[kind][place] ^= 1 << value
            if fill():
                return True
            grid[cell] = -1
            for kind, place in places(cell):
                free[kind][place] ^= 1 << value
        return False

    fill()
    return torch.tensor(grid)

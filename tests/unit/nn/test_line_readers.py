"""Readers of lines: a line is read the same alone and beside a longer one."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from lowland.nn.line_readers import CellCosts, FrameReader, PieceReader


def lines() -> dict[str, Tensor]:
    """A short and a long line, with paper behind."""
    image = torch.rand(2, 1, 32, 160, generator=torch.Generator().manual_seed(0))
    image[0, :, :, 60:], image[1, :, :, 150:] = 0.0, 0.0
    return {"image": image}


@pytest.mark.parametrize("kind", ["frames", "pieces"])
def test_a_line_does_not_depend_on_its_neighbours(kind: str) -> None:
    x = lines()
    if kind == "frames":
        reader, x["cells"] = FrameReader(32, 160, letters=3, maps=(4, 4, 8)), torch.tensor([15.0, 38.0])
    else:
        reader = PieceReader(32, 160, cells=5, letters=3, longest=3, maps=(4, 4, 8))
        x |= {"cells": torch.tensor([3.0, 5.0])}
        x["cuts"] = torch.tensor([[2.0, 20, 40, 60, 60, 60], [3.0, 30, 60, 90, 120, 150]])
    with torch.no_grad():
        for _ in range(3):
            reader(x)  # batch normalisation gets to know the lines
        reader.eval()
        both = reader(x)
        for row in range(2):
            alone = reader({name: part[row : row + 1] for name, part in x.items()})
            cells = int(x["cells"][row])
            torch.testing.assert_close(both[row : row + 1, :cells], alone[:, :cells], rtol=1e-4, atol=1e-5)


def test_pieces_that_are_not_there_cost_infinitely_much() -> None:
    x = lines() | {"cells": torch.tensor([3.0, 3.0])}
    x["cuts"] = torch.tensor([[2.0, 10, 40, 60], [3.0, 10, 20, 30]])
    reader = PieceReader(32, 160, cells=3, letters=3, longest=2, widest=32, maps=(4, 4, 8))
    there = torch.isfinite(reader(x)).all(dim=3)
    assert there.tolist() == [
        [[True, False], [True, False], [True, False]],  # two cells together are too wide
        [[True, False], [True, True], [True, True]],
    ]
    assert torch.equal(reader.there(x), there)


def test_normalised_costs_leave_room_for_rubbish() -> None:
    x = lines() | {"cells": torch.tensor([2.0, 2.0]), "cuts": torch.tensor([[2.0, 10, 40], [3.0, 10, 20]])}
    reader = PieceReader(32, 160, cells=2, letters=3, longest=1, rubbish=True, normalised=True, maps=(4, 4, 8))
    with torch.no_grad():
        total = reader(x).neg().exp().sum(dim=3)
        chances = reader.scores(x)[0].softmax(dim=3)
    torch.testing.assert_close(total, 1 - chances[..., 3])
    assert float(total.max()) < 1.0
    assert math.isfinite(float(total.min()))


def test_cells_are_judged_alone_and_only_where_they_are() -> None:
    network, cell = torch.nn.Linear(3, 5), torch.rand(2, 4, 3, generator=torch.Generator().manual_seed(0))
    cell[1, 2:] = math.nan  # behind the end of the second sample
    costs = CellCosts(network, 4, (3,))({"cell": cell, "cells": torch.tensor([4.0, 2.0])})
    torch.testing.assert_close(costs[0], -network(cell[0]))
    torch.testing.assert_close(costs[1, :2], -network(cell[1, :2]))
    assert not bool(costs[1, 2:].any())

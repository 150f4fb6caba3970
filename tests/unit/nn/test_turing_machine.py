"""The neural Turing machine: addresses, and what it writes and reads."""

from __future__ import annotations

import pytest
import torch

from lowland.errors import OptionError
from lowland.nn.turing_machine import TuringMachine


def machine() -> TuringMachine:
    return TuringMachine(4, 3, hidden=6, cells=5, width=4, copies=2)


def drawn() -> torch.Tensor:
    return torch.rand(2, 3, 7, 4, generator=torch.Generator().manual_seed(0))


def test_addresses_are_shares_of_the_cells() -> None:
    scores, written, read = machine().trace(drawn())
    assert scores.shape == (2, 3, 7, 3)
    for address in (written, read):
        assert bool((address >= 0).all())
        torch.testing.assert_close(address.sum(dim=3), torch.ones(2, 3, 7))


def test_sequences_and_copies_do_not_know_of_each_other() -> None:
    x = drawn()
    whole = machine()(x)
    changed = x.clone()
    changed[0, 1] += 1
    other = machine()(changed)
    same = torch.ones(2, 3, dtype=torch.bool)
    same[0, 1] = False
    torch.testing.assert_close(other[same], whole[same])
    assert not torch.allclose(other[0, 1], whole[0, 1])


def test_a_head_told_to_move_moves_by_one_cell() -> None:
    """With the gate shut, a place is kept and moved; biases alone tell so, and a large p keeps it sharp."""
    network = TuringMachine(1, 1, hidden=2, cells=5, width=3)
    with torch.no_grad():
        network.act_weight.zero_()
        told = torch.zeros(2, network.head)
        told[:, network.width + 1] = -30.0
        told[0, network.width + 4], told[1, network.width + 2] = 30.0, 30.0
        network.act_bias[0, 0, : 2 * network.head] = told.flatten()
        _, written, read = network.trace(torch.zeros(1, 1, 6, 1))
    assert written[0, 0].argmax(dim=1).tolist() == [1, 2, 3, 4, 0, 1]
    assert read[0, 0].argmax(dim=1).tolist() == [4, 3, 2, 1, 0, 4]


@pytest.mark.parametrize("options", [{"cells": 2}, {"width": 0}, {"copies": 0}])
def test_sizes_that_cannot_be(options: dict[str, int]) -> None:
    with pytest.raises(OptionError, match="at least"):
        TuringMachine(2, 2, **options)

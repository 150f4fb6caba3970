"""What a lattice refuses, and what it does with answers that cannot be."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

import lowland as ll
from lowland.automata import Automaton, chain, frames, pieces, spelling, union
from lowland.energies.lattice import Lattice
from lowland.energies.piece_labels import PieceLabels
from lowland.errors import DomainError, OptionError, ShapeError, UnsupportedError
from lowland.nn.line_readers import FrameCosts, FrameReader, PieceReader
from lowland.shaping import Batch, HingePair
from lowland.shaping.contrastive.points import LeastAnswer


def small(cells: int = 4, lengths: bool = False) -> Lattice:
    return Lattice(FrameCosts(cells, 3, labels=3), frames(2), cells, lengths)


def test_an_impossible_answer_has_infinite_energy_and_no_gradient() -> None:
    """Three letters, two of them alike, need four frames; x has three."""
    energy = small(lengths=True)
    y = energy.transcripts([[0, 0, 1], [0, 1]])
    x = {"input": torch.zeros(2, 4, 3), "cells": torch.tensor([3.0, 3.0])}
    assert energy.possible(x, y).tolist() == [False, True]
    for beta in (1.0, math.inf):
        value = ll.free_energy(energy, y, x, beta=beta).value
        assert value[0] == math.inf
        assert bool(torch.isfinite(value[1]))
    (slope,) = torch.autograd.grad(value[1], energy.network.bias)
    assert bool(torch.isfinite(slope).all())


@pytest.mark.parametrize("beta", [0.0, -1.0])
def test_alignments_are_not_averaged(beta: float) -> None:
    energy = small()
    with pytest.raises(UnsupportedError, match="sums over the alignments of an answer"):
        ll.free_energy(energy, energy.transcripts([[0]]), torch.zeros(1, 4, 3), beta=beta)


def test_likelihood_does_not_redraw_the_letters() -> None:
    """Letters are numbers, not grey values: p(y | x) of all answers sums to 1."""
    energy = small(3)
    x = torch.randn(1, 3, 3, generator=torch.Generator().manual_seed(0))
    answers = [(), (0,), (1,), (0, 1), (1, 0), (0, 0), (1, 1), (0, 1, 0), (1, 0, 1)]
    losses = [
        ll.shaping.MaximumLikelihood()(energy, Batch(energy.transcripts([answer]), x)).losses["energy"]
        for answer in answers
    ]
    assert torch.stack(losses).neg().exp().sum().item() == pytest.approx(1.0, abs=1e-5)


def test_the_energy_of_paths() -> None:
    """Broken paths are impossible, and the energy of a whole one is the sum of its costs."""
    energy = Lattice(FrameCosts(2, 2, labels=2), pieces(2), cells=2)
    energy.network.weight.data.copy_(torch.eye(2))
    x = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]).expand(4, -1, -1)
    z = torch.tensor([[0.0, 1.0], [1.0, 1.0], [-1.0, 1.0], [1.0, -1.0]])
    y = torch.tensor([[0.0, 1.0], [1.0, 1.0], [1.0, -1.0], [1.0, -1.0]])
    assert energy(x, y, z).tolist() == [-5.0, -6.0, math.inf, math.inf]
    assert energy(x[:1], y[1:2], z[:1]).item() == math.inf  # the path writes something else


def test_weights_belong_to_an_automaton() -> None:
    other = Lattice(FrameCosts(4, 3, labels=3), frames(2).take(*masks(frames(2))), 4)
    with pytest.raises(OptionError, match="with another automaton"):
        other.load_state_dict(small().state_dict())


def masks(automaton: Automaton) -> tuple[Tensor, Tensor]:
    arcs = torch.ones(automaton.arcs, dtype=torch.bool)
    arcs[0] = False
    return arcs.numpy(), torch.ones(automaton.states, dtype=torch.bool).numpy()


def test_what_is_refused() -> None:
    with pytest.raises(OptionError, match="no path that writes a letter"):
        Lattice(FrameCosts(4, 3, labels=3), Automaton.of([(0, 0, 1)], [0], [2]), 4)
    with pytest.raises(OptionError, match="has no `shape`"):
        Lattice(torch.nn.Linear(3, 3), frames(2), 4)
    with pytest.raises(DomainError, match="Answer 1 has 5 letters"):
        small().transcripts([[0], [0, 1, 0, 1, 0]])
    with pytest.raises(DomainError, match="must be numbers of letters from 0 to 1"):
        small().transcripts([[2]])
    with pytest.raises(ShapeError, match="at least 3"):
        Lattice(FrameCosts(4, 3, labels=2), frames(2), 4)(torch.zeros(1, 4, 3), *paths(4))
    with pytest.raises(DomainError, match="Sample 0 has 5 cells"):
        small(lengths=True).encode({"input": torch.zeros(1, 4, 3), "cells": torch.tensor([5.0])})
    with pytest.raises(OptionError, match="no path that writes a letter"):
        small().constrained(spelling([0, 1, 1])).constrained(spelling([1]))
    energy = small(2)
    encoded = energy.encode(torch.zeros(1, 2, 3))
    with pytest.raises(DomainError, match="has 5 answers, but 6 are wanted"):
        energy.answers(encoded, 6)


def paths(cells: int) -> tuple[Tensor, Tensor]:
    return torch.full((1, cells), -1.0), torch.full((1, cells), -1.0)


def test_more_that_is_refused() -> None:
    energy, x = small(), torch.zeros(1, 4, 3)
    both = union(spelling([0]), spelling([0]))
    with pytest.raises(OptionError, match="in two ways"):
        energy.constrained(both)
    with pytest.raises(OptionError, match="writes letters that this lattice does not"):
        energy.constrained(Automaton.of([(0, 0, 1, 0.0, 7)], [0], [1]))
    with pytest.raises(DomainError, match="letters are whole numbers below 2, with −1 behind"):
        ll.free_energy(energy, torch.tensor([[0.0, -1.0, 1.0, -1.0]]), x, beta=1.0)
    with pytest.raises(DomainError, match="must be numbers of letters"):
        energy.transcripts(["ab"])  # pyright: ignore[reportArgumentType]
    with pytest.raises(DomainError, match="Sample 0 of the batch has an answer that no path can write"):
        ll.shaping.MaximumLikelihood()(energy, Batch(energy.transcripts([[0, 0, 0]]), x))
    with pytest.raises(OptionError, match="pass lengths=True"):
        Lattice(FrameReader(8, 16, letters=2, maps=(2, 2, 4)), frames(2), 4)
    energy.network.bias.data.fill_(-1e10)
    with pytest.raises(DomainError, match="whose sums have no digits left"):
        energy(x, *paths(4))


def test_weights_belong_to_the_costs_of_an_automaton() -> None:
    costly = Lattice(FrameCosts(3, 2, labels=2), chain(2, np.array([[0.0, 5.0], [5.0, 0.0]])), 3)
    with pytest.raises(OptionError, match="whose costs differ"):
        costly.load_state_dict(Lattice(FrameCosts(3, 2, labels=2), chain(2), 3).state_dict())


def test_a_masked_score_is_impossible_in_sums_and_paths() -> None:
    energy = small()
    energy.network.bias.data[2] = torch.finfo(torch.float32).min
    y = energy.transcripts([[1]])
    for beta in (1.0, math.inf):
        assert ll.free_energy(energy, y, torch.zeros(1, 4, 3), beta=beta).value.item() == math.inf


def test_a_path_behind_the_cells_is_none() -> None:
    energy = Lattice(FrameCosts(4, 3, labels=3), pieces(3), 4, lengths=True)
    x = {"input": torch.zeros(1, 4, 3), "cells": torch.tensor([2.0])}
    z = torch.tensor([[0.0, 1.0, 1.0, 0.0]])
    assert energy(x, torch.tensor([[0.0, 1.0, -1.0, -1.0]]), z).item() == math.inf


def test_a_pair_loss_says_which_sample_cannot_be_what_it_is_said_to_be() -> None:
    energy = Lattice(FrameCosts(2, 1, labels=3), frames(2), 2)
    y = torch.tensor([[0.0, 1.0], [1.0, 1.0]])  # two equal letters need a blank between them
    with pytest.raises(DomainError, match=r"Sample 1 of the batch has the energy \+∞.*leave such samples out"):
        HingePair(LeastAnswer(), margin=0.0, beta=math.inf)(energy, Batch(y, torch.zeros(2, 2, 1)))


def test_numbers_of_arcs_that_half_precision_does_not_have_are_refused() -> None:
    energy = Lattice(FrameCosts(2, 1, labels=40).bfloat16(), chain(40), 2)
    with pytest.raises(UnsupportedError, match=r"torch.bfloat16 cannot count 1640 arcs: use a lattice of float32"):
        ll.infer(energy, torch.zeros(1, 2, 1, dtype=torch.bfloat16), over=("y", "z"))


def test_a_label_that_the_reader_does_not_know() -> None:
    energy = PieceLabels(PieceReader(8, 16, cells=2, letters=3, longest=2, maps=(2, 2, 4)))
    x = {"image": torch.zeros(1, 1, 8, 16), "cuts": torch.tensor([[2.0, 6, 12]]), "cells": torch.tensor([2.0])}
    with pytest.raises(DomainError, match="label 3, but the reader knows 3, from 0 on"):
        energy.energy(energy.encode(x), torch.tensor([[0.0, -1, -1, 3]]), None)

"""Sums over paths against enumeration, torch's CTC, and the product of matrices of a chain."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

import lowland as ll
from lowland.automata import Automaton, chain, frames, pieces, regular
from lowland.energies.lattice import Lattice
from lowland.energies.paths import Group, best_path, soft_path, soft_path_in_torch
from lowland.nn.line_readers import FrameCosts
from lowland.shaping import Batch
from lowland.shaping.contrastive.points import LeastAnswer, WrongAnswers

Path = list[tuple[int, int]]


class Given(torch.nn.Module):
    """Costs that are x itself."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        return x


def every_path(cost: Any, cells: int, automaton: Automaton, weight: Any) -> list[tuple[float, Path]]:
    """Cost and (last cell, arc) of each path."""
    found: list[tuple[float, Path]] = []

    def go(cell: int, state: int, spent: float, path: Path) -> None:
        if cell == cells:
            if math.isfinite(automaton.final[state]):
                found.append((spent + automaton.final[state], path))
            return
        for arc in np.flatnonzero(automaton.source == state):
            for piece in range(min(cost.shape[1], cells - cell)):
                end = cell + piece
                more = cost[end, piece, automaton.label[arc]] + weight[arc]
                go(end + 1, automaton.target[arc], spent + more, [*path, (end, int(arc))])

    for state in np.flatnonzero(np.isfinite(automaton.start)):
        go(0, int(state), automaton.start[state], [])
    return found


def random_automaton(rng: np.random.Generator) -> Automaton:
    states, arcs = rng.integers(1, 4), rng.integers(1, 7)
    ends = np.where(rng.random((2, states)) < 0.6, rng.normal(size=(2, states)), np.inf)
    source, target = rng.integers(0, states, (2, arcs))
    return Automaton(source, rng.integers(0, 3, arcs), target, rng.normal(size=arcs), *ends)


@pytest.mark.parametrize("way", [soft_path, soft_path_in_torch])
def test_sums_and_least_paths_of_random_automata(way: Any) -> None:
    """200 automata and up to 8 cells: value, gradients, the least path and its cost, to rounding."""
    rng, some = np.random.default_rng(0), 0
    generator = torch.Generator().manual_seed(0)
    for trial in range(200):
        automaton = random_automaton(rng)
        longest = int(rng.integers(1, 3))
        most = 8 if automaton.arcs <= 3 and longest == 1 else int(rng.integers(1, 5))
        cells = int(rng.integers(1, most + 1))
        cost = torch.randn(1, most, longest, 3, dtype=torch.float64, generator=generator).requires_grad_()
        learned = torch.randn(automaton.arcs, dtype=torch.float64, generator=generator).requires_grad_()
        group = Group.of([automaton])
        weight = group.arc_weights(learned)
        total = way(cost, torch.tensor([cells]), group, weight)
        least, arcs = best_path(cost, torch.tensor([cells]), group, weight)
        paths = every_path(cost[0].detach().numpy(), cells, automaton, automaton.weight + learned.detach().numpy())
        by_cost, by_weight = torch.autograd.grad(total.sum(), (cost, learned))
        if not paths:
            assert total.item() == least.item() == math.inf, trial
            assert not by_cost.any()
            continue
        some += 1
        values = torch.tensor([value for value, _ in paths], dtype=torch.float64)
        expected = -torch.logsumexp(-values, dim=0)
        uses, cells_used = torch.zeros_like(learned), torch.zeros_like(cost)
        for share, (_, path) in zip((expected - values).exp(), paths, strict=True):
            begin = -1
            for end, arc in path:
                uses[arc] += share
                cells_used[0, end, end - begin - 1, automaton.label[arc]] += share
                begin = end
        torch.testing.assert_close(total[0], expected, rtol=0, atol=1e-10)
        torch.testing.assert_close(by_weight, uses, rtol=0, atol=1e-10)
        torch.testing.assert_close(by_cost, cells_used, rtol=0, atol=1e-10)
        torch.testing.assert_close(least[0], values.min(), rtol=0, atol=1e-10)
        assert dict(paths[int(values.argmin())][1]) == {c: int(a) for c, a in enumerate(arcs[0]) if a >= 0}
    assert some > 80


def reader(letters: int, cells: int) -> Lattice:
    return Lattice(Given(cells, letters + 1), frames(letters), cells, lengths=True).double()


def spoken(batch: int, cells: int, letters: int, longest: int) -> tuple[dict[str, Tensor], list[list[int]]]:
    """Random scores, lengths, and answers with repeated letters."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(batch, cells, letters + 1, generator=generator, dtype=torch.float64)
    answers = [
        torch.randint(letters, (int(torch.randint(1, longest + 1, (), generator=generator)),), generator=generator)
        for _ in range(batch)
    ]
    lengths = torch.randint(2 * longest, cells + 1, (batch,), generator=generator)
    return {"input": scores, "cells": lengths.double()}, [answer.tolist() for answer in answers]


def test_frames_are_ctc() -> None:
    """Value and gradient of the likelihood; a letter that is written twice needs a blank between."""
    x, answers = spoken(8, 30, 4, 7)
    scores = x["input"].clone().requires_grad_()
    energy = reader(4, 30)
    padded = torch.tensor([[*answer, *[0] * (7 - len(answer))] for answer in answers]) + 1
    expected = functional.ctc_loss(
        scores.log_softmax(2).transpose(0, 1), padded, x["cells"].long(),
        torch.tensor([len(answer) for answer in answers]), reduction="none",
    )  # fmt: skip
    (theirs,) = torch.autograd.grad(expected.mean(), scores)
    given = scores.detach().requires_grad_()
    batch = Batch(energy.transcripts(answers).double(), {"input": -given, "cells": x["cells"]})
    loss = ll.shaping.MaximumLikelihood()(energy, batch).losses["energy"]
    (ours,) = torch.autograd.grad(loss, given)
    torch.testing.assert_close(loss, expected.mean(), rtol=0, atol=1e-10)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)


def test_the_gradient_of_scores_that_are_no_log_probabilities() -> None:
    """torch's own gradient of CTC is wrong there; ours agrees with finite differences."""
    x, answers = spoken(3, 12, 3, 4)
    energy = reader(3, 12)
    y = energy.transcripts(answers).double()

    def total(scores: Tensor) -> Tensor:
        encoded = energy.encode({"input": scores, "cells": x["cells"]})
        found = energy.marginal(encoded, y, 1.0)
        assert found is not None
        return found.sum()

    assert torch.autograd.gradcheck(total, x["input"][:, :12].clone().requires_grad_(), atol=1e-6)


def test_a_chain_is_a_product_of_matrices() -> None:
    """Σ over all sequences of labels = 1ᵀ diag(e₁) M diag(e₂) M … 1, and with learned costs its gradient."""
    generator = torch.Generator().manual_seed(0)
    cost, pairs = (torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in ((2, 5, 3), (3, 3)))
    energy = Lattice(Given(5, 3), chain(3), cells=5, learned=True).double()
    learned = energy.weight
    assert learned is not None
    learned.data[:9] = pairs.flatten()
    found = energy.log_partition(energy.encode(cost))
    total = pairs.clone().requires_grad_()
    rows = []
    for row in cost:
        vector = (-row[0]).exp()
        for each in row[1:]:
            vector = (vector @ (-total).exp()) * (-each).exp()
        rows.append(vector.sum().log())
    expected = torch.stack(rows)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
    (ours,) = torch.autograd.grad(found.sum(), learned)
    (theirs,) = torch.autograd.grad(expected.sum(), total)
    torch.testing.assert_close(ours[:9], theirs.flatten(), rtol=0, atol=1e-10)


def test_a_batch_gives_what_its_rows_give() -> None:
    x, answers = spoken(6, 25, 3, 5)
    energy = reader(3, 25)
    y = energy.transcripts(answers).double()
    encoded = energy.encode(x)
    for beta in (1.0, math.inf):
        whole = energy.marginal(encoded, y, beta)
        assert whole is not None
        for i in range(6):
            cells = int(x["cells"][i])
            alone = energy.marginal(
                energy.encode({"input": x["input"][i : i + 1, :cells], "cells": x["cells"][i : i + 1]}),
                y[i : i + 1],
                beta,
            )
            torch.testing.assert_close(whole[i : i + 1], alone, rtol=1e-12, atol=0)


def test_the_free_energy_tends_to_the_least_energy() -> None:
    """0 ≤ F_∞ − F_β ≤ log(paths) / β."""
    x, answers = spoken(4, 12, 3, 4)
    energy = reader(3, 12)
    y = energy.transcripts(answers).double()
    least = ll.free_energy(energy, y, x).value
    for beta in (1.0, 10.0, 1e3, 1e5):
        gap = least - ll.free_energy(energy, y, x, beta=beta).value
        assert bool((gap >= -1e-12).all())
        assert bool((gap <= 12 * math.log(9) / beta).all())


def answers_by_hand(cost: Tensor, energy: Lattice) -> dict[tuple[int, ...], float]:
    found: dict[tuple[int, ...], float] = {}
    for value, path in every_path(cost.numpy(), len(cost), energy.automaton, energy.automaton.weight):
        letters = tuple(int(o) for _, arc in path if (o := energy.automaton.output[arc]) >= 0)
        found[letters] = min(value, found.get(letters, math.inf))
    return dict(sorted(found.items(), key=lambda item: item[1]))


@pytest.mark.parametrize("automaton", [frames(2), pieces(3), chain(3)], ids=["frames", "pieces", "chain"])
def test_answers_come_in_order(automaton: Automaton) -> None:
    energy = Lattice(Given(5, 3), automaton, cells=5).double()
    cost = torch.randn(1, 5, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    expected = answers_by_hand(cost.permute(1, 0, 2), energy)
    encoded = energy.encode(cost)
    found = energy.letters(energy.answers(encoded, 8)[0])
    assert [tuple(letters) for letters in found] == list(expected)[:8]
    assert found[0] == energy.letters(ll.infer(energy, cost, over=("y", "z")).value["y"])[0]
    for letters, value in itertools.islice(expected.items(), 8):
        y = energy.transcripts([letters])
        assert ll.free_energy(energy, y, cost).value.item() == pytest.approx(value, abs=1e-10)


def test_perceptron_and_margin() -> None:
    """The perceptron's loss is F(x, y) − min F; the most offending answer is the best one that is wrong."""
    energy = Lattice(FrameCosts(6, 4, labels=3), frames(2), cells=6).double()
    x = torch.randn(3, 6, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    best = energy.answers(energy.encode(x), 2)
    y = torch.stack([best[0, 0], best[1, 1], energy.transcripts([[1, 1, 1]])[0]])
    batch = Batch(y, x)
    data = ll.free_energy(energy, y, x).value
    least = ll.infer(energy, x, over=("y", "z")).energy
    perceptron = ll.shaping.HingePair(LeastAnswer(), margin=0.0, beta=math.inf)(energy, batch).losses["energy"]
    torch.testing.assert_close(perceptron, (data - least).mean())
    wrong = WrongAnswers()(ll.shaping.HingePair(LeastAnswer()), energy, batch, 1)
    expected = torch.stack([best[0, 1], best[1, 0], best[2, 0]])
    assert torch.equal(wrong, expected)
    perceptron.backward()
    assert all(bool(torch.isfinite(each.grad).all()) for each in energy.parameters() if each.grad is not None)


def test_a_grammar_constrains_the_answers() -> None:
    """F of an answer that the grammar has is unchanged, log Z sums over its answers alone."""
    energy = Lattice(Given(5, 3), frames(2), cells=5).double()
    inner = energy.constrained(regular("a+b", "ab"))
    cost = torch.randn(1, 5, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    encoded = energy.encode(cost)
    y = energy.transcripts([[0, 1]])
    torch.testing.assert_close(inner.marginal(encoded, y, 1.0), energy.marginal(encoded, y, 1.0))
    answers = [
        letters for letters in answers_by_hand(cost.permute(1, 0, 2), energy) if regular("a+b", "ab").accepts(letters)
    ]
    parts = [energy.marginal(encoded, energy.transcripts([letters]), 1.0) for letters in answers]
    torch.testing.assert_close(inner.log_partition(encoded), torch.logsumexp(-torch.cat(parts), dim=0, keepdim=True))
    found = ll.infer(inner, cost, over=("y", "z")).value["y"]
    assert energy.letters(found)[0] == list(answers[0])


def test_the_second_derivative_is_that_of_torch() -> None:
    """Of ‖∂ log Z / ∂c‖², which a compiled sum without it would take for 0."""
    generator = torch.Generator().manual_seed(0)
    group = Group.of([frames(2)] * 2)
    found = []
    for way in (soft_path, soft_path_in_torch):
        cost = torch.randn(2, 4, 1, 3, generator=generator.manual_seed(0), dtype=torch.float64).requires_grad_()
        total = way(cost, torch.tensor([4, 3]), group, group.arc_weights(None))
        (slope,) = torch.autograd.grad(total.sum(), cost, create_graph=True)
        found.append(torch.autograd.grad(slope.square().sum(), cost)[0])
    assert bool(found[0].abs().max() > 0.01)
    torch.testing.assert_close(*found, rtol=0, atol=1e-10)


def test_costs_that_change_before_the_gradient_are_noticed() -> None:
    linear = torch.nn.Linear(3, 3).double()
    group = Group.of([frames(2)])
    cost = linear(torch.zeros(1, 4, 1, 3, dtype=torch.float64))
    total = soft_path(cost, torch.tensor([4]), group, group.arc_weights(None))
    with torch.no_grad():
        cost.sub_(5.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        total.sum().backward()


@pytest.mark.parametrize("far", [1e3, 1e6, 1e8])
def test_shares_stay_shares_whatever_the_costs(far: float) -> None:
    """All labels alike at a large cost: half of the paths use each."""
    for sign in (1.0, -1.0):
        cost = torch.full((1, 6, 1, 2), sign * far, dtype=torch.float64, requires_grad=True)
        group = Group.of([pieces(2)])
        total = soft_path(cost, torch.tensor([6]), group, group.arc_weights(None))
        (share,) = torch.autograd.grad(total.sum(), cost)
        torch.testing.assert_close(share, torch.full_like(share, 0.5), rtol=0, atol=1e-9)
        assert total.item() == pytest.approx(sign * 6 * far - 6 * math.log(2), rel=1e-14)


@pytest.mark.parametrize("place", [0, 3])
def test_nan_is_not_lost(place: int) -> None:
    for other in (0.0, 1e3, -1e3):
        cost = torch.full((2, 4, 1, 3), other, dtype=torch.float64)
        cost[0, place, 0, 1] = math.nan
        group = Group.of([frames(2)] * 2)
        cost.requires_grad_()
        total = soft_path(cost, torch.tensor([4, 4]), group, group.arc_weights(None))
        least, path = best_path(cost, torch.tensor([4, 4]), group, group.arc_weights(None))
        assert total.isnan().tolist() == least.isnan().tolist() == [True, False]
        assert bool((path[0] < 0).all())
        assert bool(torch.autograd.grad(total[0], cost)[0][0].isnan().any())


def test_answers_of_equal_cost_come_soon() -> None:
    energy = Lattice(Given(40, 11), frames(10), cells=40).double()
    found = energy.answers(energy.encode(torch.zeros(1, 40, 11, dtype=torch.float64)), 5)
    assert len(found[0].unique(dim=0)) == 5


def test_a_confidence_keeps_its_digits_at_large_scores() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(1, 40, 4, generator=generator)
    energy = Lattice(Given(40, 4), frames(3), cells=40)
    y = energy.answers(energy.encode(scores), 1)[:, 0]
    near = energy.log_likelihood(energy.encode(scores.double()), y)
    far = energy.log_likelihood(energy.encode(scores.double() + 1e6), y)
    torch.testing.assert_close(near, far, rtol=0, atol=1e-6)

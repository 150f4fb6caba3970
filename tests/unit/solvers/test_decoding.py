"""Beam search and ancestral sampling: by listing all sequences, by the rows alone, and by the chi-square of draws.

The networks are small, with random weights scaled up so that tokens depend on those before them.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import lowland as ll
from lowland.domains import Tokens
from lowland.energies.autoregressive import Autoregressive
from lowland.energies.base import Energy
from lowland.energies.structure import Continuation, Structure
from lowland.errors import DomainError, OptionError, UnsupportedError
from lowland.inference import Status, default_solver
from lowland.nn.decoders import RecurrentDecoder, TransformerDecoder
from lowland.solvers import bind

VOCABULARY, LENGTH = 6, 5


def sharp(generator: torch.Generator, scale: float = 8.0) -> RecurrentDecoder:
    network = RecurrentDecoder(VOCABULARY, 8, generator=generator).double()
    with torch.no_grad():
        for parameter in (*network.layers.parameters(), network.out.weight):
            parameter.mul_(scale)
    return network


def prompts(generator: torch.Generator, count: int, length: int = 3) -> Tensor:
    return torch.randint(0, VOCABULARY, (count, length), generator=generator).double()


class Trigrams(nn.Module):
    """Random scores of a token given the two before it, which are its memory."""

    def __init__(self, generator: torch.Generator) -> None:
        super().__init__()
        self.categories = VOCABULARY
        size = VOCABULARY + 1
        self.scores = nn.Parameter(2 * torch.randn(size, size, size, generator=generator).double())

    def forward(self, tokens: Tensor, memory: Any = None) -> tuple[Tensor, Any]:
        before = torch.full_like(tokens[:, :1], VOCABULARY) if memory is None else memory["last"]
        pairs = torch.cat([before, tokens], dim=1)
        return self.scores[pairs[:, :-1], pairs[:, 1:]], {"last": pairs[:, -1:]}


def test_a_wide_beam_finds_what_exhaustive_search_finds_and_certifies_only_that(generator: torch.Generator) -> None:
    """All 7,776 sequences after each of the 36 pairs of tokens; greedy search misses the least of many."""
    energy = Autoregressive(Trigrams(generator), LENGTH, prompt=2)
    x = torch.cartesian_prod(*[torch.arange(VOCABULARY).double()] * 2)
    least = ll.infer(energy, x=x, over="y", solver=ll.solvers.Exhaustive())
    reached, certified = [], []
    for width in (1, 2, 4, 8):
        found = ll.infer(energy, x=x, over="y", solver=ll.solvers.BeamSearch(width))
        assert bool(found.converged.all())
        same = (found.energy - least.energy).abs() < 1e-9
        assert bool((found.energy >= least.energy - 1e-9).all())
        assert bool((same | ~found.exact).all()), "what is certified is the minimum"
        reached.append(float(same.double().mean()))
        certified.append(float(found.exact.double().mean()))
    print(reached, certified)
    assert reached == sorted(reached)
    assert reached[0] < 0.8, "greedy search would do"
    assert reached[-1] == 1
    assert torch.equal(found.value, least.value)
    assert certified[-1] > certified[0]


def test_a_beam_as_wide_as_the_domain_certifies_every_answer(generator: torch.Generator) -> None:
    """With 6² prefixes before the last place nothing is ever dropped but sequences of full length."""
    energy = Autoregressive(sharp(generator), 3, prompt=2)
    found = ll.infer(energy, x=prompts(generator, 8, 2), over="y", solver=ll.solvers.BeamSearch(36))
    assert bool(found.exact.all())


@pytest.mark.parametrize(
    "solver", [ll.solvers.BeamSearch(3), ll.solvers.Ancestral(), ll.solvers.Ancestral(0.7, 4, 0.9)], ids=repr
)
@pytest.mark.parametrize("ends", [False, True])
def test_a_batch_gives_what_its_rows_give_alone(generator: torch.Generator, solver: Any, ends: bool) -> None:
    energy = Autoregressive(sharp(generator, 3.0), 7, prompt=3, ends=ends)
    x = prompts(generator, 12)
    together = ll.infer(energy, x=x, over="y", solver=solver, sample_ids=torch.arange(12))
    for row in range(12):
        one = torch.tensor([row])
        alone = ll.infer(energy, x=x[one], over="y", solver=solver, sample_ids=one)
        assert torch.equal(alone.value[0], together.value[row])
        assert int(alone.steps) == int(together.steps[row])
        assert int(alone.status) == int(together.status[row])
    if ends:
        assert len(together.steps.unique()) > 1, "rows leave the batch when they have ended"


@pytest.mark.parametrize(
    "network",
    [TransformerDecoder(9, 32), TransformerDecoder(9, 32, slots=16), RecurrentDecoder(9, 32, depth=2)],
    ids=["transformer", "all-attention", "LSTM"],
)
def test_costs_with_a_memory_are_those_of_the_whole_sequence(network: nn.Module, generator: torch.Generator) -> None:
    """In float32: the cost of each token by the memory, against the network on all tokens at once, to 1e-5."""
    energy = Autoregressive(network, 12, prompt=4, ends=True)
    x, y = (torch.randint(0, 9, (5, count), generator=generator).float() for count in (4, 12))
    continuation = bind(energy, {"x": x}, "y").structure.continuation
    assert continuation is not None
    with torch.no_grad():
        costs, memory = continuation.begin()
        written = torch.zeros(5)
        for place in range(11):
            shorter = y.clone()
            shorter[:, place:] = -1
            torch.testing.assert_close(written + costs[:, -1], energy(x=x, y=shorter), rtol=0, atol=1e-5 * (place + 1))
            written = written + costs.gather(1, y[:, place, None].long())[:, 0]
            costs, memory = continuation.extend(memory, y[:, place].long())


def expected(energy: Autoregressive) -> tuple[Tensor, Tensor]:
    elements = energy.domain("y").elements(torch.float64)
    with torch.no_grad():
        return elements, (-energy(y=elements)).exp()


@pytest.mark.parametrize("ends", [False, True])
def test_draws_have_the_distribution_of_the_energy(generator: torch.Generator, ends: bool) -> None:
    """χ² of n draws in m cells has mean m − 1 and a standard deviation of √(2 (m − 1)) if they are from p, while each
    cell is expected five times or more; four deviations above the mean is passed once in some ten thousand seeds."""
    network = TransformerDecoder(3, 8, 1, 1, generator=generator).double()
    energy = Autoregressive(network, 3, ends=ends)
    elements, chance = expected(energy)
    assert abs(float(chance.sum()) - 1) < 1e-9, "exp(−E) is normalised"
    count = 20_000
    start = energy.domain("y").start(count, torch.float64)
    found = ll.infer(
        energy, over="y", solver=ll.solvers.Ancestral(), init=start, generator=torch.Generator().manual_seed(5)
    )
    seen = (found.value[:, None] == elements).all(dim=2).double().sum(dim=0)
    assert int(seen.sum()) == count
    wanted = count * chance
    assert float(wanted.min()) >= 5
    freedom = len(chance) - 1
    assert float(((seen - wanted).square() / wanted).sum()) < freedom + 4 * math.sqrt(2 * freedom)
    assert set(found.status.tolist()) == {Status.COLLAPSED}
    assert not bool(found.exact.any())


class Table(Energy):
    """Costs of two tokens by number, whatever stands before; those of the energy itself may be others."""

    def __init__(self, *costs: float, length: int = 2) -> None:
        super().__init__(y=Tokens(len(costs), length))
        self.register_buffer("costs", torch.tensor(costs))

    def energy(self, x: Any, y: Tensor, z: Any) -> Tensor:
        return self.costs[y.long()].sum(dim=1)

    def structure(self, over: tuple[str, ...], x: Any, y: Any, z: Any) -> Structure:
        def costs(rows: int) -> tuple[Tensor, Any]:
            return self.costs.expand(rows, -1), {"state": {"nested": torch.zeros(rows, 2)}}

        return Structure(continuation=Continuation(lambda: costs(1), lambda memory, token: costs(len(token))))


def test_temperature_top_k_and_nucleus() -> None:
    """Shares 0.5, 0.3, 0.15, 0.05 of single tokens; a share of 4,000 draws has a deviation below √(0.25 / 4,000)."""
    share = torch.tensor([0.15, 0.5, 0.05, 0.3])
    energy, start = Table(*(-share.log()).tolist(), length=1), torch.zeros(4000, 1)

    def drawn(**options: Any) -> Tensor:
        found = ll.infer(energy, over="y", solver=ll.solvers.Ancestral(**options), init=start)
        return found.value[:, 0].long().bincount(minlength=4) / 4000

    def cut(kept: list[int], temperature: float = 1.0) -> Tensor:
        left = torch.zeros(4)
        left[kept] = share[kept] ** (1 / temperature)
        return left / left.sum()

    for options, wanted in (
        ({}, share),
        ({"temperature": 0.5}, cut([0, 1, 2, 3], 0.5)),
        ({"temperature": 0.0}, cut([1])),
        ({"top_k": 2}, cut([1, 3])),
        ({"nucleus": 0.5}, cut([1])),
        ({"nucleus": 0.79}, cut([1, 3])),
        ({"nucleus": 0.81}, cut([0, 1, 3])),
        ({"top_k": 3, "nucleus": 0.8}, cut([1, 3])),
        ({"top_k": 9}, share),
    ):
        found = drawn(**options)
        assert float((found - wanted).abs().max()) < 4 * math.sqrt(0.25 / 4000), options
        assert torch.equal(found == 0, wanted == 0), options


class Even(Energy):
    """0 if the sum of the tokens is even, else 3: a check that says nothing of single tokens."""

    def __init__(self, categories: int, length: int) -> None:
        super().__init__(y=Tokens(categories, length))

    def energy(self, x: Any, y: Tensor, z: Any) -> Tensor:
        return 3.0 * (y.sum(dim=1) % 2)


def test_proposals_are_ranked_by_all_of_a_sum(generator: torch.Generator) -> None:
    """The cheapest sequences of one term, compared by the whole: the least of the list that the beam has finished."""
    proposal = Autoregressive(sharp(generator, 3.0), 4)
    both = proposal + Even(VOCABULARY, 4)
    plain, checked = (ll.infer(energy, over="y", solver=ll.solvers.BeamSearch(10)) for energy in (proposal, both))
    exhaustive = ll.infer(both, over="y", solver=ll.solvers.Exhaustive())
    assert float(plain.value.sum()) % 2 == 1, "the check has something to change"
    assert float(checked.value.sum()) % 2 == 0
    torch.testing.assert_close(checked.energy, exhaustive.energy)
    assert not bool(checked.exact), "a list certifies nothing"
    assert plain.candidates is None
    assert checked.candidates is not None
    assert checked.candidates.shape == (1, 10, 4)
    torch.testing.assert_close(checked.candidates[:, 0], plain.value)
    energies = both(y=checked.candidates[0])
    torch.testing.assert_close(energies.min(dim=0).values[None], checked.energy)
    with pytest.raises(UnsupportedError, match="some terms"):
        ll.infer(both, over="y", solver=ll.solvers.Ancestral())


def test_two_terms_that_know_their_costs_are_decoded_together(generator: torch.Generator) -> None:
    one, other = (Autoregressive(sharp(generator, 3.0), 4, ends=True) for _ in range(2))
    both = one + 0.5 * other
    least = ll.infer(both, over="y", solver=ll.solvers.Exhaustive())
    found = ll.infer(both, over="y", solver=ll.solvers.BeamSearch(300))
    assert bool(found.exact)
    torch.testing.assert_close(found.energy, least.energy)


def test_a_large_domain_is_decoded_by_default(generator: torch.Generator) -> None:
    energy = Autoregressive(RecurrentDecoder(50, 8, generator=generator), 40, prompt=3, ends=True)
    x = torch.zeros(2, 3)
    assert isinstance(default_solver(bind(energy, {"x": x}, "y")), ll.solvers.BeamSearch)
    assert bool(torch.isfinite(ll.infer(energy, x=x, over="y").energy).all())


def test_a_budget_cuts_off_and_says_so() -> None:
    energy = Table(0.1, 0.2, length=5)
    for solver in (ll.solvers.BeamSearch(2, max_steps=3), ll.solvers.Ancestral(0.0, max_steps=3)):
        found = ll.infer(energy, over="y", solver=solver)
        assert found.status.tolist() == [Status.MAX_STEPS]
        assert not bool(found.exact)


def test_what_cannot_follow_and_what_cannot_be() -> None:
    found = ll.infer(Table(math.inf, 1.0, 2.0), over="y", solver=ll.solvers.BeamSearch(4))
    assert (found.value.tolist(), found.exact.tolist()) == ([[1.0, 1.0]], [True])
    for solver in (ll.solvers.BeamSearch(2), ll.solvers.Ancestral()):
        nothing = ll.infer(Table(math.inf, math.inf), over="y", solver=solver)
        assert nothing.status.tolist() == [Status.OVERFLOW]
        with pytest.raises(UnsupportedError, match=r"costs -0\.5, but a decoder needs costs of at least 0"):
            ll.infer(Table(0.3, -0.5), over="y", solver=solver)
        broken = ll.infer(Table(0.3, math.nan), over="y", solver=solver)
        assert broken.status.tolist() == [Status.NON_FINITE]


def test_refusals() -> None:
    lattice = ll.energies.RBM(2, 3)
    with pytest.raises(UnsupportedError, match="not Tokens"):
        ll.infer(lattice, y=torch.ones(1, 2), over="z", solver=ll.solvers.BeamSearch())
    with pytest.raises(UnsupportedError, match="no `continuation`"):
        ll.infer(Even(2, 3), over="y", solver=ll.solvers.BeamSearch())
    for wrong in (
        lambda: ll.solvers.BeamSearch(0),
        lambda: ll.solvers.Ancestral(-1.0),
        lambda: ll.solvers.Ancestral(top_k=0),
        lambda: ll.solvers.Ancestral(nucleus=0.0),
        lambda: Autoregressive(nn.Linear(2, 2), 3),
        lambda: TransformerDecoder(3, 7),
        lambda: RecurrentDecoder(0),
    ):
        with pytest.raises(OptionError):
            wrong()
    many = Autoregressive(RecurrentDecoder(300, 4).bfloat16(), 3)
    with pytest.raises(UnsupportedError, match="cannot count 300 tokens"):
        ll.infer(many, over="y", solver=ll.solvers.BeamSearch())


def test_a_prompt_or_an_answer_that_is_no_sequence_of_tokens() -> None:
    energy = Autoregressive(RecurrentDecoder(3, 4), 2, prompt=2, ends=True)
    for wrong in ([0.0, 3.0], [-1.0, 0.0], [0.5, 0.0]):
        with pytest.raises(DomainError, match="Sample 0 has the prompt"):
            energy(x=torch.tensor([wrong]), y=torch.zeros(1, 2))
    y = torch.tensor([[0.0, 1.0], [-1.0, -1.0], [-1.0, 1.0], [0.5, 0.0], [3.0, 0.0]])
    assert torch.isinf(energy(x=torch.zeros(5, 2), y=y)).tolist() == [False, False, True, True, True]

"""What every registered solver must do. No solver is named here: each brings its own problem in `reference_case`."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

import lowland as ll
from lowland.domains import Domain, Reals, Sphere
from lowland.energies.base import Energy
from lowland.inference import Status
from lowland.registry import registered
from lowland.solvers import Solver, SolverCase, bind
from lowland.solvers.loop import run
from lowland.tensors import PerSampleRNG, tree_leaves, tree_map

SOLVERS = registered("solver")
DTYPES = [torch.float32, torch.float64]


class Setup(NamedTuple):
    solver: Solver
    energy: Energy
    given: dict[str, Any]
    over: str | tuple[str, ...]
    start: Tensor | None
    domain: Domain
    batch: int

    def infer(self, rows: slice = slice(None), **options: Any) -> ll.Solution:
        given = {name: tree_map(lambda t: t[rows], value) for name, value in self.given.items()}
        init = None if self.start is None else self.domain.unpack(self.start[rows])
        sample_ids = torch.arange(100, 100 + self.batch)[rows]
        options = {
            "solver": self.solver,
            "sample_ids": sample_ids,
            "generator": torch.Generator().manual_seed(3),
        } | options
        return ll.infer(self.energy, **given, over=self.over, init=init, **options)

    def flat_start(self) -> Tensor:
        dtype = bind(self.energy, self.given, self.over).dtype
        return self.domain.start(self.batch, dtype) if self.start is None else self.start.clone()


def set_up(name: str, dtype: torch.dtype = torch.float64, copies: int = 1) -> tuple[Setup, SolverCase]:
    """The solver's own problem in one precision, its samples several times over."""
    example = SOLVERS[name].reference_case()

    def convert(tensor: Tensor) -> Tensor:
        repeated = tensor.repeat(copies, *[1] * (tensor.ndim - 1))
        return repeated.to(dtype) if tensor.is_floating_point() else repeated

    energy, case = copy.deepcopy(example.case.energy).to(dtype), example.case
    given = {key: tree_map(convert, value) for key, value in case.given.items()}
    start = None if case.start is None else convert(case.start)
    domain = energy.over(case.over)[1]
    batch = len(case.minimum) * copies
    if not given and start is None:
        start = domain.start(batch, dtype)
    return Setup(example.solver, energy, given, case.over, start, domain, batch), example


def free(setup: Setup, u: Tensor) -> dict[str, Any]:
    """The free variables at u, by name."""
    value = setup.domain.unpack(u)
    return {setup.over: value} if isinstance(setup.over, str) else value


def flat(setup: Setup, value: Any) -> Tensor:
    return setup.domain.pack(value)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", SOLVERS)
def test_reaches_the_reference_minimum(name: str, dtype: torch.dtype) -> None:
    setup, example = set_up(name, dtype)
    found = setup.infer()
    assert found.energy.dtype == dtype
    idle = setup.energy(**setup.given, **free(setup, setup.flat_start())).detach()
    assert bool((idle > example.case.minimum.to(dtype) + 10 * example.tolerance).all()), "it starts at the answer"
    assert bool((found.status != Status.NON_FINITE).all())
    torch.testing.assert_close(found.energy, example.case.minimum.to(dtype), rtol=0, atol=example.tolerance)


@pytest.mark.parametrize("name", SOLVERS)
def test_a_batch_gives_what_its_rows_give_alone(name: str) -> None:
    """In float64 rounding differs by about 1e-16 a step, which hundreds of steps near a minimum keep far below 1e-8."""
    setup, _ = set_up(name, copies=2)
    together = setup.infer()
    for row in range(setup.batch):
        alone = setup.infer(slice(row, row + 1))
        torch.testing.assert_close(flat(setup, alone.value)[0], flat(setup, together.value)[row], rtol=0, atol=1e-8)
        assert int(alone.status) == int(together.status[row])
        assert int(alone.steps) == int(together.steps[row])


@pytest.mark.parametrize("name", SOLVERS)
def test_the_same_seed_gives_the_same_answer(name: str) -> None:
    setup, _ = set_up(name)
    assert torch.equal(flat(setup, setup.infer().value), flat(setup, setup.infer().value))
    without = [setup.infer(generator=None) for _ in range(2)]
    assert torch.equal(flat(setup, without[0].value), flat(setup, without[1].value))


@pytest.mark.parametrize("name", SOLVERS)
def test_changes_nothing_that_it_was_given(name: str) -> None:
    setup, _ = set_up(name)
    tensors = [
        *setup.given.values(),
        *setup.energy.state_dict().values(),
        *([] if setup.start is None else [setup.start]),
    ]
    before, flags = [tensor.clone() for tensor in tensors], [p.requires_grad for p in setup.energy.parameters()]
    options, state = repr(setup.solver), torch.get_rng_state()
    setup.infer()
    assert all(torch.equal(old, new) for old, new in zip(before, tensors, strict=True))
    assert [p.requires_grad for p in setup.energy.parameters()] == flags
    assert all(p.grad is None for p in setup.energy.parameters())
    assert repr(setup.solver) == options
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", SOLVERS)
def test_keeps_no_hidden_graph(name: str) -> None:
    setup, _ = set_up(name)
    assert not flat(setup, setup.infer().value).requires_grad
    with torch.no_grad():
        found = setup.infer()
    assert not found.energy.requires_grad
    assert not flat(setup, found.value).requires_grad


@pytest.mark.parametrize("name", SOLVERS)
def test_a_step_is_a_pure_function(name: str) -> None:
    setup, _ = set_up(name)
    with torch.no_grad():
        problem, start = bind(setup.energy, setup.given, setup.over), setup.flat_start()
        noise = PerSampleRNG(0, torch.arange(setup.batch), start.dtype)
        state, drawn = setup.solver.init(problem, start), setup.solver.draw(problem, noise)
        before = [leaf.clone() for leaf in leaves(state)]
        first, second = (setup.solver.step(problem, state, drawn)[0] for _ in range(2))
    for part, old in zip(leaves(state), before, strict=True):
        assert part.shape[0] == setup.batch, "the sample is the first axis of everything in a state"
        assert torch.equal(part, old)
    for one, two in zip(leaves(first), leaves(second), strict=True):
        assert torch.equal(one, two)


def leaves(state: Any) -> list[Tensor]:
    """All tensors of a state."""
    return [leaf for part in state for leaf in tree_leaves(part)]


@pytest.mark.parametrize("name", SOLVERS)
def test_a_broken_sample_gets_a_status_and_leaves_the_others_alone(name: str) -> None:
    setup, _ = set_up(name, copies=2)
    start = setup.flat_start()
    given = {key: tree_map(torch.clone, value) for key, value in setup.given.items()}
    for target in [start, *given.values()] if not given else given.values():
        tree_map(lambda tensor: tensor[0].fill_(torch.nan), target)

    def solve(given: dict[str, Any], start: Tensor) -> Any:
        noise = PerSampleRNG(0, torch.arange(setup.batch), start.dtype)
        with torch.no_grad():
            return run(bind(setup.energy, given, setup.over), setup.solver, start, noise)

    broken, sound = solve(given, start), solve(setup.given, setup.flat_start())
    assert int(broken.status[0]) == Status.NON_FINITE
    assert torch.equal(broken.status[1:], sound.status[1:])
    torch.testing.assert_close(broken.u[1:], sound.u[1:], rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", SOLVERS)
def test_records_the_whole_way(name: str) -> None:
    setup, _ = set_up(name, copies=2)
    found = setup.infer(record=True)
    assert found.trajectory is not None
    assert found.trajectory.shape == (int(found.steps.max()) + 1, setup.batch, setup.domain.size)
    end = setup.domain.project(found.trajectory[-1])
    torch.testing.assert_close(end, flat(setup, found.value), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", SOLVERS)
def test_a_budget_of_no_steps_returns_the_start(name: str) -> None:
    setup, _ = set_up(name)
    solver = copy.copy(setup.solver)
    solver.max_steps = 0
    found = setup.infer(solver=solver, record=True)
    assert found.steps.tolist() == [0] * setup.batch
    assert found.status.tolist() == [Status.MAX_STEPS] * setup.batch
    assert found.trajectory is not None
    torch.testing.assert_close(flat(setup, found.value), setup.domain.project(found.trajectory[0]))


class _Plain(Energy):
    """Nothing is known about it but its value."""

    def __init__(self, domain: Domain) -> None:
        super().__init__(y=domain)

    def energy(self, x: Any, y: Tensor, z: Any) -> Tensor:
        return (y - 0.5).square().flatten(1).sum(dim=1)


def _problems() -> list[Any]:
    cases = [cls.reference_case() for cls in registered("energy").values()]
    plain = [(_Plain(domain), {}, "y") for domain in (Reals(2), Sphere(2), ll.domains.OneHot(40, groups=4))]
    return [*[(case.energy, case.given, case.over) for case in cases], *plain]


@pytest.mark.parametrize("name", SOLVERS)
def test_says_why_it_cannot_and_runs_where_it_can(name: str) -> None:
    solver = copy.copy(SOLVERS[name].reference_case().solver)
    solver.max_steps = min(solver.max_steps, 2)
    refusals = 0
    for energy, given, over in _problems():
        support = solver.supports(bind(energy, given, over))
        if support:
            found = ll.infer(energy, **given, over=over, solver=solver)
            assert bool((found.status != Status.NON_FINITE).all()), f"{name} on {type(energy).__name__}"
            continue
        refusals += 1
        assert support.reason, f"{name} refuses {type(energy).__name__} and gives no reason"
        with pytest.raises(ll.LowlandError, match=name):
            ll.infer(energy, **given, over=over, solver=solver)
    assert refusals > 0, "every solver has a problem that it cannot solve"

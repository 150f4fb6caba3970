"""What every registered energy says about itself must be true: of itself, of a multiple of it, and of a sum.

No energy and no solver is named here: the registry is the list.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest
import torch
from torch import Tensor

import lowland as ll
from lowland.conformance.cases import EVERY, FORMS, case_of, closed, having, problem_of
from lowland.energies.base import Energy, ReferenceCase
from lowland.energies.structure import Structure
from lowland.errors import LowlandError
from lowland.registry import registered
from lowland.solvers.base import Problem
from lowland.tensors import PerSampleRNG, repeat_rows, take

SCALED = pytest.mark.parametrize("weight", [None, 2.0], ids=["E", "2 E"])


def problem_times(name: str, weight: float | None) -> tuple[Problem, Tensor]:
    """The problem of the reference case of E, or of w·E, and a point of its domain for each sample."""
    case = case_of(name)
    return problem_of(case if weight is None else case._replace(energy=weight * case.energy))


def known(structure: Structure) -> set[str]:
    """The names of the parts that are there."""
    return {field.name for field in fields(structure) if getattr(structure, field.name) != field.default}


def with_parts_of(name: str) -> set[str]:
    return known(problem_of(case_of(name))[0].structure)


@EVERY
@pytest.mark.parametrize("change", [*FORMS.values(), lambda energy: 2.0 * energy], ids=[*FORMS, "2 E"])
def test_a_multiple_knows_what_the_energy_knows(name: str, change: Callable[[Energy], Energy]) -> None:
    case = case_of(name)
    problem, _ = problem_of(case._replace(energy=change(case.energy)))
    assert known(problem.structure) == with_parts_of(name)


@EVERY
def test_every_solver_solves_a_sum_with_nothing_as_the_energy(name: str) -> None:
    """1·E and E + 0·E have the values of E to the last bit, so that every step is the same."""
    case = case_of(name)
    for cls in registered("solver").values():
        solver = copy.copy(cls.reference_case().solver)
        solver.max_steps = min(solver.max_steps, 3)
        expected = _solved(case, solver)
        for form, change in FORMS.items():
            found = _solved(case._replace(energy=change(case.energy)), solver)
            assert found.keys() == expected.keys(), f"{cls.__name__} on {form}: {found}, but {expected} on E"
            for key, value in expected.items():
                same = {"rtol": 0, "atol": 0, "equal_nan": True, "msg": f"{key} of {cls.__name__} on {form}"}
                torch.testing.assert_close(found[key], value, **same)


def _solved(case: ReferenceCase, solver: Any) -> dict[str, Tensor]:
    """The flat solution, its energy, status, steps and certificate; or the sentence that says why there is none."""
    domain = case.energy.over(case.over)[1]
    init = None if case.start is None else domain.unpack(case.start.double())
    try:
        found = ll.infer(case.energy, over=case.over, init=init, solver=solver, **case.given)
    except LowlandError as error:
        return {str(error).replace(type(case.energy).__name__, "E"): torch.zeros(0)}
    kept = {"energy": found.energy.detach(), "status": found.status, "steps": found.steps, "exact": found.exact}
    return kept | {"u": domain.pack(found.value)}


@EVERY
def test_twice_the_energy_has_the_same_minimum(name: str) -> None:
    """The default solver stops at a residual of 1e-4 or below; that of 2·E is twice that of E."""
    case = case_of(name)
    init = None if case.start is None else case.energy.over(case.over)[1].unpack(case.start.double())
    one, two = (
        ll.infer(energy, over=case.over, init=init, **case.given) for energy in (case.energy, 2.0 * case.energy)
    )
    assert repr(two.solver) == repr(one.solver)
    torch.testing.assert_close(two.energy, 2 * one.energy, rtol=1e-4, atol=1e-3)
    assert torch.equal(two.exact, one.exact)


@having(lambda case, known: case.over == "z")
def test_the_free_energy_of_a_multiple(name: str) -> None:
    """F_β of w·E is w times F_wβ of E; it is found by the same method, or refused with the same error."""
    case = case_of(name)

    def free(energy: Energy, beta: float) -> tuple[str, Tensor | None]:
        try:
            found = ll.free_energy(energy, **case.given, beta=beta)
        except LowlandError as error:
            return type(error).__name__, None
        return found.method, found.value.detach()

    sought = case.energy.domain("z").cardinality is None and closed(case, math.inf) is None
    for beta in (1.0,) if sought else (1.0, math.inf):
        for weight, change in ((1.0, FORMS["1 E"]), (1.0, FORMS["E + 0 E"]), (2.0, lambda energy: 2.0 * energy)):
            (method, value), (same, expected) = free(change(case.energy), beta), free(case.energy, weight * beta)
            assert method == same
            if value is not None:
                torch.testing.assert_close(value, weight * expected, rtol=1e-9, atol=1e-9)


@having(lambda case, known: known.quadratic is not None)
@SCALED
def test_quadratic_and_penalty_add_up_to_the_energy(name: str, weight: float | None) -> None:
    problem, u = problem_times(name, weight)
    known = problem.structure
    gram, linear, constant = known.quadratic
    with torch.no_grad():
        value = 0.5 * ((u @ gram) * u).sum(dim=1) - (linear * u).sum(dim=1) + constant
        if known.penalty is not None:
            value = value + known.penalty.value(u)
        torch.testing.assert_close(value, problem.value(u), rtol=1e-9, atol=1e-9)


@having(lambda case, known: known.penalty is not None)
@SCALED
def test_prox_minimises_the_penalty(name: str, weight: float | None) -> None:
    """No random neighbour v of prox(u) has a lower step · value(v) + ½‖v − u‖²."""
    problem, u = problem_times(name, weight)
    penalty = problem.structure.penalty
    step = torch.full((len(u), 1), 0.7, dtype=u.dtype)
    best = penalty.prox(u, step)

    def cost(v: Tensor) -> Tensor:
        return 0.7 * penalty.value(v) + 0.5 * (v - u).square().sum(dim=1)

    noise = PerSampleRNG(1, torch.arange(len(u)), u.dtype)
    for scale in (1e-3, 0.1, 1.0):
        other = problem.domain.project(best + scale * noise.normal(problem.size))
        assert bool((cost(best) <= cost(other) + 1e-12).all())


@having(lambda case, known: known.table is not None)
@SCALED
def test_table_holds_the_energy_of_every_element(name: str, weight: float | None) -> None:
    problem, _ = problem_times(name, weight)
    with torch.no_grad():
        elements = problem.domain.elements(problem.dtype)
        one_by_one = problem.candidates(elements.expand(problem.batch, *elements.shape))
        torch.testing.assert_close(problem.structure.table(), one_by_one, rtol=1e-9, atol=1e-9)


@having(lambda case, known: known.minimiser is not None)
@SCALED
def test_minimiser_is_stationary_and_least(name: str, weight: float | None) -> None:
    problem, u = problem_times(name, weight)
    best = problem.structure.minimiser().detach()
    value, gradient = problem.value_and_gradient(best)
    assert bool((value <= problem.value(u) + 1e-9).all())
    if not problem.domain.constrained:
        torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-7)


@having(lambda case, known: known.lipschitz is not None)
@SCALED
def test_lipschitz_bound_holds(name: str, weight: float | None) -> None:
    """‖∇f(u) − ∇f(v)‖ ≤ L ‖u − v‖ for the smooth part f."""
    problem, u = problem_times(name, weight)
    bound = problem.structure.bound()
    noise = PerSampleRNG(2, torch.arange(len(u)), u.dtype)
    for _ in range(20):
        v = problem.domain.project(u + noise.normal(problem.size))
        change = (problem.smooth(u)[1] - problem.smooth(v)[1]).norm(dim=1)
        assert bool((change <= torch.as_tensor(bound) * (u - v).norm(dim=1) * (1 + 1e-6) + 1e-9).all())


@having(lambda case, known: known.convex)
@SCALED
def test_what_is_called_convex_is(name: str, weight: float | None) -> None:
    """Between two points of the domain lies the domain, and E there is nowhere above the chord."""
    problem, u = problem_times(name, weight)
    noise = PerSampleRNG(4, torch.arange(len(u)), u.dtype)
    for scale in (0.1, 1.0, 10.0):
        v = problem.domain.project(u + scale * noise.normal(problem.size))
        with torch.no_grad():
            ends = problem.value(u), problem.value(v)
            for share in (0.25, 0.5, 0.75):
                between = torch.lerp(u, v, share)
                assert bool(problem.domain.contains(between, 1e-12).all())
                assert bool((problem.value(between) <= torch.lerp(*ends, share) + 1e-9).all())


@having(lambda case, known: known.warm_start is not None)
@SCALED
def test_the_warm_start_lies_in_the_domain(name: str, weight: float | None) -> None:
    problem, _ = problem_times(name, weight)
    warm_start = problem.structure.warm_start()
    assert warm_start.shape == (problem.batch, problem.size)
    assert problem.domain.contains(warm_start).all()


@having(lambda case, known: known.continuation is not None)
@SCALED
def test_costs_of_one_token_after_another_add_up_to_the_energy(name: str, weight: float | None) -> None:
    """Up to a constant of each sample, for three sequences; and a row of a memory is a prefix of its own."""
    problem, _ = problem_times(name, weight)
    domain, continuation = problem.domain, problem.structure.continuation
    constants = []
    with torch.no_grad():
        for seed in range(3):
            u = domain.sample(PerSampleRNG(seed, torch.arange(problem.batch), problem.dtype), 1)[:, 0]
            costs, memory = continuation.begin()
            if len(costs) < problem.batch:
                costs, memory = repeat_rows(costs, problem.batch), repeat_rows(memory, problem.batch)
            assert costs.shape == (problem.batch, domain.categories + (domain.empty == "end"))
            total, ended = torch.zeros(problem.batch, dtype=u.dtype), torch.zeros(problem.batch, dtype=torch.bool)
            for place in range(domain.length):
                assert bool((costs >= 0).all())
                end = u[:, place] < 0
                token = u[:, place].long().clamp_min(0)
                entry = torch.where(end, costs.shape[1] - 1, token)
                total = total + torch.where(ended, 0, costs.gather(1, entry[:, None])[:, 0])
                ended = ended | end
                if place + 1 < domain.length:
                    order = torch.arange(problem.batch).flip(0)
                    turned = continuation.extend(take(memory, order), token[order])[0]
                    costs, memory = continuation.extend(memory, token)
                    torch.testing.assert_close(turned, costs[order], rtol=1e-9, atol=1e-9)
            constants.append(problem.value(u) - total)
    for other in constants[1:]:
        torch.testing.assert_close(other, constants[0], rtol=1e-9, atol=1e-9)

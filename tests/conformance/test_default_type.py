"""The global default type of torch is the caller's: it decides of nothing that has inputs or weights to go by."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import lowland as ll
from lowland.data.amounts import amount_lines
from lowland.data.bouncing_ball import bouncing_ball
from lowland.data.moving_digits import moving_digits
from lowland.data.optical_digits import digits
from lowland.data.plane import TOYS, toy
from lowland.energies.base import ReferenceCase
from lowland.energies.structure import Penalty
from lowland.registry import registered
from lowland.shaping.base import ShapingCase
from lowland.solvers.base import bind
from lowland.tensors import PerSampleRNG, tree_leaves, tree_map
from lowland.worlds import World, rollout

ENERGIES, SOLVERS, SHAPINGS, WORLDS = (registered(kind) for kind in ("energy", "solver", "shaping", "world"))


@contextmanager
def default(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def tensors(value: Any) -> list[Tensor]:
    """All tensors in a value, in order."""
    if isinstance(value, Tensor):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [leaf for part in parts for leaf in tensors(part)]


def same(usual: Any, wide: Any) -> None:
    """Of the same types and, to rounding by other kernels at most, the same numbers."""
    one, other = tensors(usual), tensors(wide)
    assert [leaf.dtype for leaf in one] == [leaf.dtype for leaf in other]
    for left, right in zip(one, other, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-5, atol=1e-6, equal_nan=True)


def told(case: ReferenceCase) -> list[Any]:
    """What an energy says of its problem: its value and slope at a point, a start, and all that helps a solver."""
    problem = bind(case.energy, case.given, case.over)
    noise = PerSampleRNG(7, torch.arange(problem.batch), problem.dtype)
    u = problem.domain.project(noise.normal(problem.size))
    if problem.domain.discrete and case.start is not None:  # not all numbers together need be possible
        u = case.start.to(problem.dtype).expand_as(u)
    rho = torch.ones_like(u[:, :1])
    taken = {"candidates": (torch.stack([u, u], dim=1),), "smooth_prox": (u, rho)}
    parts: list[Any] = [problem.value(u), problem.domain.start(problem.batch, problem.dtype)]
    for field in dataclasses.fields(problem.structure):
        part = getattr(problem.structure, field.name)
        if isinstance(part, Penalty):
            parts.append([part.value(u), part.prox(u, rho)])
        else:
            parts.append(part(*taken.get(field.name, ())) if callable(part) else part)
    if not problem.domain.discrete:
        parts.append(problem.value_and_gradient(u))
    return parts


def solved(case: ReferenceCase, solver: Any) -> list[Any]:
    _, domain = case.energy.over(case.over)
    init = None if case.start is None else domain.unpack(case.start)
    found = ll.infer(case.energy, **case.given, over=case.over, solver=solver, init=init)
    return [found.status, found.energy, found.value]


@pytest.mark.parametrize("name", ENERGIES)
def test_an_energy_goes_by_its_inputs(name: str) -> None:
    case = ENERGIES[name].reference_case()
    usual = told(case)
    with default(torch.float64):
        wide = told(copy.deepcopy(case))
    if tensors([case.given, case.energy.state_dict()]):
        same(usual, wide)
    else:  # nothing else says in which type to compute
        assert wide[0].dtype == torch.float64


@pytest.mark.parametrize("name", ENERGIES)
def test_an_energy_can_be_made_in_double_precision(name: str) -> None:
    with default(torch.float64):
        parts = told(ENERGIES[name].reference_case())
    assert {leaf.dtype for leaf in tensors(parts) if leaf.is_floating_point()} == {torch.float64}
    assert bool(torch.isfinite(parts[0]).all())


@pytest.mark.parametrize("name", SOLVERS)
def test_a_solver_goes_by_its_problem(name: str) -> None:
    example = SOLVERS[name].reference_case()
    alike = bool(tensors([example.case.given, example.case.energy.state_dict()]))
    usual = solved(example.case, example.solver)
    with default(torch.float64):
        wide = solved(copy.deepcopy(example.case), example.solver) if alike else usual
        made = SOLVERS[name].reference_case()
        found = solved(made.case, made.solver)[1]
    same(usual, wide)
    torch.testing.assert_close(found, made.case.minimum, rtol=0, atol=made.tolerance)


def stepped(case: ShapingCase) -> list[Any]:
    """Losses of one step, and the weights and buffers after it, in the type of the energy's weights."""
    dtype = next((p.dtype for p in case.energy.parameters()), torch.get_default_dtype())
    y, x = (
        tree_map(lambda t: t.to(dtype) if t.is_floating_point() else t, part) for part in (case.batch.y, case.batch.x)
    )
    batch = dataclasses.replace(case.batch, y=y, x=x)
    case.shaping.prepare(case.energy, batch)
    step = case.shaping if case.shaping.trains_by_gradient else case.shaping.update
    found = step(case.energy, batch)
    case.shaping.after_step(case.energy, batch)
    return [found.losses, found.metrics, case.energy.state_dict(), case.shaping.state_dict()]


@pytest.mark.parametrize("name", SHAPINGS)
def test_a_shaping_goes_by_its_batch(name: str) -> None:
    usual, again = SHAPINGS[name].reference_case(), SHAPINGS[name].reference_case()
    wanted = stepped(usual)
    with default(torch.float64):
        wide = stepped(again)
    same(wanted, wide)


@pytest.mark.parametrize("name", SHAPINGS)
def test_a_shaping_can_be_made_in_double_precision(name: str) -> None:
    with default(torch.float64):
        losses = stepped(SHAPINGS[name].reference_case())[0]
    assert {leaf.dtype for leaf in tensors(losses)} <= {torch.float64}
    assert all(bool(torch.isfinite(leaf)) for leaf in tensors(losses))


@pytest.mark.parametrize("name", WORLDS)
def test_a_world_goes_by_its_state(name: str) -> None:
    def told(world: World, state: Any) -> list[Any]:
        rows = tree_leaves(state)[0].shape[0]
        dtype = next(leaf.dtype for leaf in tree_leaves(state) if leaf.is_floating_point())
        noise = PerSampleRNG(3, torch.arange(rows), dtype)
        action = world.actions.project(0.5 * noise.normal(world.actions.size))
        z = world.prior(noise) if world.latents else None
        mask = world.draw_mask(noise) if world.masked else None
        with torch.no_grad():
            after = world.step(state, action, z, mask)
            way = rollout(world, state, action[:, None].expand(-1, 2, -1), None, 2)
            return [action, z, mask, dict(after), world.features(after), dict(way.states)]

    world, state = WORLDS[name].reference_case()
    usual = told(world, state)
    with default(torch.float64):
        wide = told(copy.deepcopy(world), tree_map(torch.clone, state))
        made, start = WORLDS[name].reference_case()
        assert all(bool(torch.isfinite(leaf.double()).all()) for leaf in tensors(told(made, start)))
    same(usual, wide)


@pytest.mark.parametrize("name", TOYS)
def test_points_are_those_of_single_precision(name: str) -> None:
    usual = toy(name, 50)
    with default(torch.float64):
        wide = toy(name, 50)
    assert wide.dtype == torch.float32
    torch.testing.assert_close(usual, wide)


def test_films_are_those_of_single_precision() -> None:
    digits = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    usual = [*bouncing_ball(3), *moving_digits(digits, side=16)]
    with default(torch.float64):
        wide = [*bouncing_ball(3), *moving_digits(digits, side=16)]
    same(usual, wide)


def test_lines_are_those_of_single_precision() -> None:
    usual = amount_lines(digits(), "test", 3)
    with default(torch.float64):
        wide = amount_lines(digits(), "test", 3)
    assert usual.texts == wide.texts
    same([*usual.images, *usual.boundaries], [*wide.images, *wide.boundaries])


@pytest.mark.parametrize("name", ["PCA", "KMeans", "GaussianMixture", "SparseCoder", "DictionaryLearning"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_estimator_goes_by_its_data(name: str, dtype: Any) -> None:
    X = np.random.default_rng(0).laplace(size=(60, 4)).astype(dtype)

    def fitted() -> Any:
        found = getattr(ll.estimators, name)(3).fit(X)
        return torch.from_numpy(np.asarray(found.transform(X) if hasattr(found, "transform") else found.predict(X)))

    usual = fitted()
    with default(torch.float64):
        wide = fitted()
    same(usual, wide)

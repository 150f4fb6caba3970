"""The reference cases of all registered energies, for the conformance tests."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from lowland.energies.base import Energy, ReferenceCase
from lowland.energies.structure import Structure
from lowland.registry import registered
from lowland.solvers.base import Problem, bind
from lowland.tensors import PerSampleRNG, take, tree_leaves, tree_map

ENERGIES = registered("energy")
BATCH = 4
FORMS: dict[str, Callable[[Energy], Energy]] = {
    "1 E": lambda energy: 1.0 * energy,
    "E + 0 E": lambda energy: energy + 0.0 * energy,
}
"""Sums that are the energy itself."""
EVERY = pytest.mark.parametrize("name", ENERGIES)


def case_of(name: str, dtype: torch.dtype = torch.float64) -> ReferenceCase:
    """The reference case of an energy, in the given precision."""
    case = ENERGIES[name].reference_case()
    given = tree_map(lambda t: t.to(dtype) if t.is_floating_point() else t, case.given)
    return case._replace(energy=copy.deepcopy(case.energy).to(dtype), given=given)


def random_values(energy: Energy, case: ReferenceCase, dtype: torch.dtype = torch.float64) -> dict[str, Any]:
    """A batch of values for all variables of the energy, each inside its domain.

    Free discrete variables of a case with a start have its values: not all of them together need be possible.
    """
    values = {}
    names, whole = energy.over(case.over)
    if case.start is not None and whole.discrete and case.start.shape[1] == whole.size:
        start = whole.unpack(case.start.to(dtype).expand(BATCH, -1))
        values = {names[0]: start} if len(names) == 1 else dict(start)
    for number, (name, domain) in enumerate(energy.domains.items()):
        if name in values:
            continue
        if name in case.given:
            index = torch.arange(BATCH) % tree_leaves(case.given[name])[0].shape[0]
            values[name] = take(case.given[name], index)
        else:
            noise = PerSampleRNG(number, torch.arange(BATCH), dtype)
            values[name] = domain.unpack(domain.project(noise.normal(domain.size)))
    return values


def problem_of(case: ReferenceCase) -> tuple[Problem, Tensor]:
    """The problem of the reference case, and a point of its domain for each sample."""
    with torch.no_grad():
        problem = bind(case.energy, case.given, case.over)
        noise = PerSampleRNG(7, torch.arange(problem.batch), problem.dtype)
        return problem, problem.domain.project(noise.normal(problem.size))


def closed(case: ReferenceCase, beta: float) -> Tensor | None:
    """F_beta in closed form where the case gives all but z and the energy has one."""
    if case.over != "z":
        return None
    x = None if case.given.get("x") is None else case.energy.encode(case.given["x"])
    return case.energy.marginal(x, case.given.get("y"), beta)


def having(holds: Callable[[ReferenceCase, Structure], bool]) -> pytest.MarkDecorator:
    """The energies whose reference case, with what is known about its structure, is one that the test is about."""
    cases = {name: case_of(name) for name in ENERGIES}
    return pytest.mark.parametrize("name", [n for n, c in cases.items() if holds(c, problem_of(c)[0].structure)])

"""What every registered shaping must do. None is named here: the registry is the list."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from lowland.conformance.cases import FORMS
from lowland.registry import registered
from lowland.shaping.base import Losses, ShapingCase
from lowland.tensors import tree_leaves, tree_map

SHAPINGS = registered("shaping")
EVERY = pytest.mark.parametrize("name", SHAPINGS)
BY_GRADIENT = pytest.mark.parametrize(
    "name", [name for name, cls in SHAPINGS.items() if cls.reference_case().shaping.trains_by_gradient]
)
STEPS = 30


def prepared(name: str) -> ShapingCase:
    case = SHAPINGS[name].reference_case()
    case.shaping.prepare(case.energy, case.batch)
    return case


def step(case: ShapingCase, optimisers: dict[str, torch.optim.Optimizer]) -> None:
    """One step as a training loop takes it: each group's loss trains that group alone."""
    if not case.shaping.trains_by_gradient:
        case.shaping.update(case.energy, case.batch)
    else:
        losses = case.shaping(case.energy, case.batch).losses
        gradients = gradients_of(case, losses)
        for group, optimiser in optimisers.items():
            for parameter, gradient in zip(
                list(case.shaping.groups(case.energy)[group]), gradients[group], strict=True
            ):
                parameter.grad = gradient
            optimiser.step()
    case.shaping.after_step(case.energy, case.batch)
    case.shaping.advance()


def gradients_of(case: ShapingCase, losses: dict[str, Tensor]) -> dict[str, list[Tensor | None]]:
    groups = {group: list(parameters) for group, parameters in case.shaping.groups(case.energy).items()}
    return {
        group: list(torch.autograd.grad(losses[group], groups[group], retain_graph=True, allow_unused=True))
        for group in groups
    }


def optimisers_of(case: ShapingCase) -> dict[str, torch.optim.Optimizer]:
    rates = case.shaping.rates
    return {
        group: torch.optim.Adam(parameters, lr=case.learning_rate * rates.get(group, 1.0))
        for group, parameters in case.shaping.groups(case.energy).items()
    }


def total(losses: Losses, name: str) -> float:
    return float(losses.losses[name].detach())


@EVERY
def test_losses_have_the_names_of_the_groups(name: str) -> None:
    case = prepared(name)
    found = case.shaping(case.energy, case.batch)
    assert isinstance(found, Losses)
    assert set(found.losses) == set(case.shaping.groups(case.energy))
    for value in [*found.losses.values(), *found.metrics.values()]:
        assert value.ndim == 0
        assert bool(torch.isfinite(value))


@EVERY
def test_groups_do_not_overlap(name: str) -> None:
    case = prepared(name)
    members = [id(p) for parameters in case.shaping.groups(case.energy).values() for p in parameters]
    assert members, "there is nothing to train"
    assert len(members) == len(set(members))


@BY_GRADIENT
def test_every_group_gets_a_gradient(name: str) -> None:
    case = prepared(name)
    for group, gradients in gradients_of(case, case.shaping(case.energy, case.batch).losses).items():
        assert any(g is not None and bool((g != 0).any()) for g in gradients), f"{group} is not trained"


@EVERY
def test_a_few_steps_lower_the_loss(name: str) -> None:
    """The same random numbers before and after, so that what differs is the training. Groups may play against each
    other, so that each is trained with the others at rest."""
    for group in prepared(name).shaping.groups(prepared(name).energy):
        case = prepared(name)
        saved = copy.deepcopy(case.shaping)
        before = total(copy.deepcopy(case.shaping)(case.energy, case.batch), group)
        optimisers = {key: value for key, value in optimisers_of(case).items() if key == group}
        for _ in range(STEPS):
            step(case, optimisers)
        # The trained weights with the random numbers, chains and averages from before.
        own = dict(case.shaping.named_parameters())
        saved.load_state_dict({key: own.get(key, value) for key, value in saved.state_dict().items()})
        assert total(saved(case.energy, case.batch), group) < before, group


@EVERY
def test_same_step_same_numbers(name: str) -> None:
    case = prepared(name)
    first = copy.deepcopy(case.shaping)(case.energy, case.batch).losses
    second = copy.deepcopy(case.shaping)(case.energy, case.batch).losses
    for group in first:
        assert torch.equal(first[group], second[group])


@EVERY
def test_resumes_to_the_same_numbers(name: str) -> None:
    """Five steps, a fresh shaping and energy with the saved states, five more: as ten in one go."""
    whole, first = prepared(name), prepared(name)
    if whole.shaping.trains_by_gradient:
        optimisers = {group: torch.optim.SGD(p, lr=1e-3) for group, p in whole.shaping.groups(whole.energy).items()}
        early = {group: torch.optim.SGD(p, lr=1e-3) for group, p in first.shaping.groups(first.energy).items()}
    else:
        optimisers = early = {}
    for _ in range(10):
        step(whole, optimisers)
    for _ in range(5):
        step(first, early)
    fresh = SHAPINGS[name].reference_case()
    fresh.shaping.load_state_dict(first.shaping.state_dict())
    fresh.energy.load_state_dict(first.energy.state_dict())
    late = {}
    if fresh.shaping.trains_by_gradient:
        late = {group: torch.optim.SGD(p, lr=1e-3) for group, p in fresh.shaping.groups(fresh.energy).items()}
    for _ in range(5):
        step(fresh, late)
    for one, other in zip(whole.energy.state_dict().values(), fresh.energy.state_dict().values(), strict=True):
        assert torch.equal(one, other)
    for key, value in whole.shaping.state_dict().items():
        assert torch.equal(value, fresh.shaping.state_dict()[key]), key


@EVERY
@pytest.mark.parametrize("form", FORMS)
def test_a_sum_with_nothing_is_trained_as_the_energy(name: str, form: str) -> None:
    """1·E and E + 0·E have the values of E to the last bit, so that every step is the same."""
    alone = SHAPINGS[name].reference_case()
    summed = copy.deepcopy(alone)
    inner, summed = summed.energy, summed._replace(energy=FORMS[form](summed.energy))
    for case in (alone, summed):
        case.shaping.prepare(case.energy, case.batch)
        optimisers = optimisers_of(case) if case.shaping.trains_by_gradient else {}
        for _ in range(3):
            step(case, optimisers)
    for one, other in ((alone.energy, inner), (alone.shaping, summed.shaping)):
        for key, value in one.state_dict().items():
            assert torch.equal(value, other.state_dict()[key]), key


@EVERY
def test_data_flags_and_the_global_random_state_stay(name: str) -> None:
    case = prepared(name)
    state = torch.get_rng_state()
    copies = tree_map(torch.clone, {"y": case.batch.y, "x": case.batch.x})
    flags = [p.requires_grad for p in [*case.energy.parameters(), *case.shaping.parameters()]]
    step(case, optimisers_of(case))
    assert torch.equal(torch.get_rng_state(), state)
    assert [p.requires_grad for p in [*case.energy.parameters(), *case.shaping.parameters()]] == flags
    for one, other in zip(tree_leaves({"y": case.batch.y, "x": case.batch.x}), tree_leaves(copies), strict=True):
        assert torch.equal(one, other)
        assert not one.requires_grad


@EVERY
def test_forward_leaves_no_gradient_behind(name: str) -> None:
    case = prepared(name)
    case.shaping(case.energy, case.batch)
    assert all(p.grad is None for p in [*case.energy.parameters(), *case.shaping.parameters()])

"""Networks that depend on a code, the energy of a few points, and how a code is found."""

from __future__ import annotations

import math

import pytest
import torch
from torch.func import functional_call

import lowland as ll
from lowland.data.sine_tasks import sine_tasks
from lowland.energies.few_shots import FewShots
from lowland.errors import OptionError
from lowland.evaluation.few_shots import Way, chosen_way, errors, grid, predicted, simple_rows
from lowland.nn.hypernetwork import (
    Concatenated,
    FilmNetwork,
    Hypernetwork,
    OwnWeights,
    parameters_of,
    width_of,
    with_weights,
)
from lowland.nn.layers import mlp
from lowland.training.few_shots import train_conditional


def test_weights_of_each_sample_are_its_own() -> None:
    """Against a usual network that is called with the weights of one sample after the other."""
    sizes = (2, 5, 4, 1)
    network, hyper = mlp(*sizes), Hypernetwork(3, sizes, scale=1.0)
    draw = torch.Generator().manual_seed(1)
    x, z = torch.randn(4, 6, 2, generator=draw), torch.randn(4, 3, generator=draw)
    weights = hyper.weights(z)
    names = dict(network.named_parameters())
    for row in range(4):
        place, own = 0, {}
        for name, parameter in names.items():
            piece = weights[row, place : place + parameter.numel()]
            own[name] = piece.view(parameter.shape[::-1]).T if parameter.ndim == 2 else piece
            place += parameter.numel()
        expected = functional_call(network, own, x[row])
        torch.testing.assert_close(hyper(x, z)[row], expected, rtol=1e-5, atol=1e-6)


def test_all_functions_of_a_hypernetwork_begin_alike() -> None:
    hyper = Hypernetwork(2, (1, 8, 1), scale=0.0)
    z = torch.tensor([[0.0, 0.0], [3.0, -1.0]])
    found = hyper(torch.linspace(-1, 1, 5).expand(2, 5)[:, :, None], z)
    torch.testing.assert_close(found[0], found[1])


def test_a_change_of_0_is_the_common_network() -> None:
    own = OwnWeights((1, 6, 1))
    x = torch.linspace(-2, 2, 7)[None, :, None]
    torch.testing.assert_close(own(x, torch.zeros(1, own.code)), with_weights(x, own.common[None], own.sizes))
    changed = own(x, torch.ones(1, own.code))
    assert not torch.allclose(changed, own(x, torch.zeros(1, own.code)))


def test_widths_give_as_many_weights() -> None:
    count = parameters_of(Hypernetwork(2))
    for make in (
        lambda width: Concatenated(2, (1, width, width, 1)), lambda width: FilmNetwork(2, (1, width, width, 1)),
        lambda width: OwnWeights((1, width, width, 1)),
    ):  # fmt: skip
        found = parameters_of(make(width_of(make, count, 90)))
        assert abs(found - count) < 0.03 * count


def test_a_linear_code_is_found_exactly() -> None:
    """h_z(x) = x + z: ridge regression of a constant, z = Σ (y − x) / (S + λ)."""
    network = Concatenated(1, (1, 1))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(1.0 if parameter.ndim == 2 else 0.0)
    x, y = torch.tensor([[0.0, 1.0, 2.0]]), torch.tensor([[1.0, 2.0, 4.0]])
    found = ll.infer(FewShots(network, 3, prior=0.5), x=x, y=y, over="z")
    torch.testing.assert_close(found.value, torch.tensor([[4 / 3.5]]), rtol=1e-3, atol=1e-3)


def test_learning_makes_new_functions_known_from_ten_points() -> None:
    draw = torch.Generator().manual_seed(0)
    train, test = sine_tasks(100, 20, draw), sine_tasks(10, 10, draw)
    network = Concatenated(2, (1, 24, 24, 1))
    found = train_conditional(network, train, 250, rate=0.01)
    losses = found.history["loss/energy"].values
    assert losses[-1] < 0.5 * losses[0]
    said = predicted(network, test.x, test.y, Way(0.1, 60, 0.1, 2))
    assert said.shape == (10, len(grid()))
    zero = float(errors(torch.zeros_like(said), test).mean())
    assert float(errors(said, test).mean()) < 0.8 * zero


def test_the_tuned_network_learns_one_function_and_is_tuned_to_others() -> None:
    draw = torch.Generator().manual_seed(0)
    train, test = sine_tasks(30, 10, draw), sine_tasks(4, 10, draw)
    network = OwnWeights((1, 8, 8, 1))
    train_conditional(network, train, 20, batch=10)
    way = chosen_way(network, test, 10)
    assert way.steps in (1, 10, 100)
    energies = []
    for steps in (1, 100):
        said = predicted(network, test.x, test.y, Way(0.0, steps, 0.01, 1))
        energies.append(float(errors(said, test).mean()))
    assert energies[1] < energies[0]


def test_simple_answers() -> None:
    tasks = sine_tasks(20, 10, torch.Generator().manual_seed(0))
    rows = simple_rows(tasks, (5, 10))
    assert float(rows["sine"][10].max()) < 0.01
    assert float(rows["nearest"][10].mean()) < float(rows["zero"][10].mean())


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(OptionError):
        Hypernetwork(0)
    with pytest.raises(OptionError):
        Concatenated(1, (1,))
    with pytest.raises(OptionError):
        FewShots(Concatenated(1, (1, 1)), 0)
    with pytest.raises(OptionError):
        sine_tasks(0, 1, torch.Generator())


def test_codes_do_not_run_away_from_large_steps() -> None:
    tasks = sine_tasks(20, 10, torch.Generator().manual_seed(0))
    network = Hypernetwork(2, (1, 8, 8, 1), 4, generator=torch.Generator().manual_seed(0))
    found = train_conditional(network, tasks, 40, code_rate=10.0).history["loss/energy"].values
    assert all(math.isfinite(value) for value in found)
    assert found[-1] < found[0]

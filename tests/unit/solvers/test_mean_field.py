"""Mean field: its free energy never increases, bounds −log Z, and is exact where units are independent."""

from __future__ import annotations

import itertools

import pytest
import torch

import lowland as ll
from lowland.energies.grid_crf import GridCRF
from lowland.errors import OptionError, UnsupportedError
from lowland.nn.parsing import PointwiseScores
from lowland.solvers.base import bind
from lowland.solvers.mean_field import MeanField


def grid(smoothness: float, classes: int = 2) -> tuple[GridCRF, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    network = PointwiseScores((1, 3, 3), classes)
    network.weight.data.copy_(torch.randn(network.weight.shape, generator=generator))
    x = torch.randn(4, 1, 3, 3, generator=generator, dtype=torch.float64)
    return GridCRF(network.double(), smoothness), x


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_the_free_energy_goes_down_and_is_never_below_minus_log_z(classes: int, temperature: float) -> None:
    energy, x = grid(1.2, classes)
    solver = MeanField(temperature, tol=1e-9, max_steps=200)
    found = ll.infer(energy, x=x, over="y", solver=solver, record=True)
    assert bool(found.converged.all())
    with torch.no_grad():
        problem = bind(energy, {"x": x}, "y")
        path = torch.stack([solver.free_energy(problem, u) for u in found.trajectory])
    assert bool((path.diff(dim=0) <= 1e-12).all())
    assert bool((path[0] > path[-1] + 1e-3).all())
    labels = torch.tensor(list(itertools.product(range(classes), repeat=9))).reshape(-1, 3, 3)
    with torch.no_grad():
        every = energy.one_hot(labels)
        values = torch.stack([energy(x=image.expand(len(every), -1, -1, -1), y=every) for image in x], dim=1)
    least = -temperature * torch.logsumexp(-values / temperature, dim=0)
    assert bool((path[-1] >= least - 1e-9).all())
    shares = found.trajectory[-1].unflatten(1, (9, classes))
    torch.testing.assert_close(shares.sum(dim=2), torch.ones(4, 9, dtype=torch.float64))


def test_independent_units_have_their_own_probabilities() -> None:
    energy, x = grid(1e-12)
    solver = MeanField(tol=1e-9)
    found = ll.infer(energy, x=x, over="y", solver=solver, record=True)
    shares = torch.softmax(energy.network(x), dim=1).flatten(2).transpose(1, 2).detach()
    torch.testing.assert_close(found.trajectory[-1].unflatten(1, (9, 2)), shares, rtol=0, atol=1e-9)
    with torch.no_grad():
        last = solver.free_energy(bind(energy, {"x": x}, "y"), found.trajectory[-1])
        energy.smoothness = 0.0
        torch.testing.assert_close(last, -energy.log_partition(energy.encode(x)), rtol=1e-9, atol=1e-9)


def test_a_weak_field_has_the_best_labels_as_its_likeliest() -> None:
    energy, x = grid(0.001)
    found = ll.infer(energy, x=x, over="y", solver=MeanField())
    torch.testing.assert_close(found.energy, ll.infer(energy, x=x, over="y").energy)


def test_binary_units_of_two_layers() -> None:
    """The best q of a hidden unit given the visible ones is σ(c + Wᵀ q), and the reverse."""
    energy = ll.energies.RBM(3, 2, scale=1.0).double()
    found = ll.infer(energy, over=("y", "z"), solver=MeanField(tol=1e-12, max_steps=500), record=True)
    y, z = found.trajectory[-1, 0].split([3, 2])
    torch.testing.assert_close(z, torch.sigmoid(y @ energy.weight + energy.hidden_bias).detach())
    torch.testing.assert_close(y, torch.sigmoid(energy.weight @ z + energy.visible_bias).detach(), rtol=0, atol=1e-9)


def test_what_it_cannot_solve_is_said() -> None:
    with pytest.raises(OptionError, match="temperature must be above 0"):
        MeanField(temperature=0.0)
    with pytest.raises(UnsupportedError, match="neither of binary units"):
        ll.infer(ll.energies.Ellipse(), y=torch.zeros(1, 2), over="z", solver=MeanField())
    with pytest.raises(UnsupportedError, match="names no blocks"):
        ll.infer(ll.energies.Classifier(2, 3), x=torch.zeros(1, 2), over="y", solver=MeanField())

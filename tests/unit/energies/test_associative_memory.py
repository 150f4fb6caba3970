"""Associative memories: one step is attention, no step raises the energy, and capacity is what theory says."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional

import lowland as ll
from lowland.energies.associative_memory import AssociativeMemory
from lowland.energies.hopfield import Hopfield
from lowland.errors import OptionError, ShapeError
from lowland.evaluation.memory_capacity import capacity, completions, half_point, retrieved_share, sphere

STEP = ll.solvers.GradientDescent(1.0, max_steps=1, tol=None)


@pytest.mark.parametrize("beta", [0.125, 1.0, 8.0])
def test_one_step_of_descent_is_attention(generator: torch.Generator, beta: float) -> None:
    """In float32: y − (y − a) differs from a by two roundings of numbers below 4, about 5e-7."""
    keys, query = sphere(200, 64, generator), sphere(30, 64, generator)
    found = ll.infer(AssociativeMemory(keys, beta), over="y", init=query, solver=STEP).value
    attention = functional.scaled_dot_product_attention(query, keys, keys, scale=beta)
    assert float((found - attention).abs().max()) <= 1e-6


@pytest.mark.parametrize("beta", [0.5, 4.0, 50.0])
def test_the_energy_never_rises_along_retrieval(generator: torch.Generator, beta: float) -> None:
    """A step of size 1 minimises ½‖y‖² and the tangent of the other, concave part: E is below both (CCCP)."""
    keys = 2 * torch.randn(40, 8, generator=generator).double()
    energy = AssociativeMemory(keys, beta)
    start = 3 * torch.randn(50, 8, generator=generator).double()
    solver = ll.solvers.GradientDescent(1.0, max_steps=60, tol=None)
    path = ll.infer(energy, over="y", init=start, solver=solver, record=True).trajectory
    assert path is not None
    values = torch.stack([energy(y=each) for each in path])
    assert float(values.diff(dim=0).max()) <= 1e-12 * float(values.abs().max())
    assert float((values[0] - values[-1]).min()) > 0


def test_other_solvers_retrieve_the_same_key(generator: torch.Generator) -> None:
    keys = sphere(30, 32, generator)
    query = functional.normalize(keys[:10] + 0.1 * torch.randn(10, 32, generator=generator), dim=1)
    energy = AssociativeMemory(keys, 20.0)
    for solver in (ll.solvers.GradientDescent(1.0), ll.solvers.LBFGS(), ll.solvers.Adam(0.05)):
        found = ll.infer(energy, over="y", init=query, solver=solver)
        torch.testing.assert_close(found.value, keys[:10], rtol=0, atol=1e-2)


def test_values_are_read_and_trained(generator: torch.Generator) -> None:
    keys, values = sphere(5, 4, generator), torch.randn(5, 3, generator=generator)
    energy = AssociativeMemory(keys, 3.0, values, learned=True)
    y = sphere(2, 4, generator)
    read = energy.reconstruct(None, y, None)
    torch.testing.assert_close(read, torch.softmax(3 * y @ keys.T, dim=1) @ values)
    read.sum().backward()
    assert {name for name, one in energy.named_parameters() if one.grad is not None} == {"keys", "values"}
    assert not list(AssociativeMemory(keys, 3.0, values).parameters())


def test_convex_below_the_inverse_square_of_the_keys() -> None:
    assert ll.infer(AssociativeMemory(torch.eye(3), 0.9), over="y").exact.tolist() == [True]
    assert ll.infer(AssociativeMemory(2 * torch.eye(3), 0.9), over="y").exact.tolist() == [False]


@pytest.mark.parametrize(("size", "beta"), [(16, 8.0), (64, 8.0)])
def test_capacity_is_what_the_theory_says(generator: torch.Generator, size: int, beta: float) -> None:
    """Half of the keys are lost near the capacity of the theory, which replaces a sum by its mean: to 20 %."""
    theory = capacity(size, beta)
    counts = [round(factor * theory) for factor in (0.5, 0.8, 1.2, 2.0)]
    shares = []
    for count in counts:
        keys, number = sphere(count, size, generator), torch.arange(min(count, 60))
        shares.append(retrieved_share(keys, beta, keys[number], number))
    assert shares[0] == 1
    assert shares[-1] == 0
    found = half_point(counts, shares)
    assert found is not None
    assert abs(found / theory - 1) < 0.2


def test_theory_in_two_dimensions_has_the_mean_of_a_circle() -> None:
    """With D = 2, M(t) = I₀(t); keys that are all there is, N → 1, are always held, and e^β never."""
    t = torch.tensor(3.0, dtype=torch.float64)
    angles = torch.linspace(0, 2 * math.pi, 10_001, dtype=torch.float64)[:-1]
    torch.testing.assert_close(torch.exp(t * angles.cos()).mean(), torch.special.i0(t))
    from lowland.evaluation.memory_capacity import _moment

    assert abs(_moment(3.0, 2)[0] - math.log(float(torch.special.i0(t)))) < 1e-12
    assert abs(_moment(3.0, 2)[1] - float(torch.special.i1(t) / torch.special.i0(t))) < 1e-12
    for beta in (2.0, 10.0, 400.0):
        assert 1 <= capacity(64, beta) < math.exp(beta)
    assert half_point([1, 2], [1.0, 0.9]) is None
    with pytest.raises(OptionError, match="size of at least 2"):
        capacity(1, 2.0)


def test_half_covered_keys_come_back(generator: torch.Generator) -> None:
    keys, seen = sphere(50, 40, generator), (torch.arange(40) < 20).float()
    rows = completions(keys, torch.arange(20), seen, 30.0)
    assert rows["nothing"]["error"] == 1
    assert rows["nearest"]["right"] == 1
    assert rows["descent"]["right"] >= 0.9
    assert rows["descent"]["error"] < rows["attention"]["error"] < 1


def test_hopfield_is_hebbs_rule(generator: torch.Generator) -> None:
    """E = −½ sᵀ W s with W = Xᵀ X / D without its diagonal."""
    patterns = (torch.rand(3, 8, generator=generator) > 0.5).double()
    signs = 2 * patterns - 1
    weights = signs.T @ signs / 8
    weights.fill_diagonal_(0)
    y = (torch.rand(5, 8, generator=generator) > 0.5).double()
    s = 2 * y - 1
    torch.testing.assert_close(Hopfield(patterns)(y=y), -0.5 * torch.einsum("bi,ij,bj->b", s, weights, s))


@pytest.mark.parametrize("keys", [torch.zeros(3), torch.zeros(0, 2), torch.ones(2, 2).long()])
def test_wrong_keys(keys: torch.Tensor) -> None:
    with pytest.raises(ShapeError, match="keys must be"):
        AssociativeMemory(keys)


def test_wrong_options() -> None:
    with pytest.raises(OptionError, match="beta must be a positive number"):
        AssociativeMemory(torch.eye(2), 0.0)
    with pytest.raises(ShapeError, match="values must be"):
        AssociativeMemory(torch.eye(2), 1.0, torch.zeros(3, 1))
    with pytest.raises(ShapeError, match="patterns must be"):
        Hopfield(torch.tensor([[0.5, 1.0]]))

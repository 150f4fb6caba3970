"""The soft minimum at every inverse temperature, against 60 decimal digits, and the free energies that rest on it."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from decimal import Decimal, localcontext

import pytest
import torch

import lowland as ll
from lowland.tensors import soft_minimum

BETAS = [sign * size for sign in (1, -1) for size in (1e-320, 1e-45, 1e-12, 1e-8, 1e-7, 3e-4, 1e-3, 0.1, 1.0, 30.0)]


def exact(values: Sequence[float], beta: float) -> float:
    """−1/β log mean exp(−β v), with more digits than β can cost."""
    with localcontext(prec=400):
        b = Decimal(beta)
        terms = [(-b * Decimal(value)).exp() for value in values]
        return float(-(sum(terms) / len(terms)).ln() / b)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("beta", BETAS)
def test_no_beta_costs_digits(beta: float, dtype: torch.dtype) -> None:
    """Within a few rounding errors of the largest value, of which the mean has some."""
    values = 5 * torch.rand(3, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)
    expected = [exact(row, beta) for row in values.tolist()]
    assert soft_minimum(values, beta).tolist() == pytest.approx(expected, rel=8 * torch.finfo(dtype).eps)


def test_many_values_cost_no_digits() -> None:
    """Where most of 20,000 values have no weight; the reference is a logarithm of a sum in double precision."""
    values = 40 * torch.rand(2, 20_000, generator=torch.Generator().manual_seed(0))
    expected = math.log(20_000) - torch.logsumexp(-values.double(), dim=1)
    assert soft_minimum(values, 1.0).tolist() == pytest.approx(expected.tolist(), rel=1e-6)


@pytest.mark.parametrize("beta", [1e-320, 1e-9, 0.3, -0.3, 1e300])
def test_its_slope_is_the_softmax(beta: float) -> None:
    values = torch.tensor([[1.0, 2.0, 4.0]], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(soft_minimum(values, beta).sum(), values)
    torch.testing.assert_close(slope, torch.softmax(-beta * values.detach(), dim=1))
    assert beta > 1 or torch.autograd.gradgradcheck(lambda v: soft_minimum(v, beta), values)


def test_infinite_energies() -> None:
    """What cannot be has no weight at β > 0, and all of it at β < 0."""
    some, none = torch.tensor([torch.inf, 1.0]), torch.full((2,), torch.inf)
    assert soft_minimum(some, 1.0).item() == pytest.approx(1 + math.log(2))
    assert [soft_minimum(v, b).item() for v, b in ((some, -1.0), (none, 1.0), (none, -1.0))] == [math.inf] * 3
    assert soft_minimum(torch.tensor([math.nan, 1.0]), 1.0).isnan()


def _finite() -> list[tuple[ll.energies.Energy, torch.Tensor]]:
    y = 2 * torch.randn(5, 3, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        rbm = ll.energies.RBM(3, 4, scale=2.0)
        rbm.visible_bias += 1.0
    return [
        (ll.energies.KMeans(3, 6), y),
        (ll.energies.GaussianMixture(3, 6), y),
        (ll.energies.DiscreteAutoencoder(3, groups=4, hidden=()), y),
        (rbm, (y > 0).float()),
    ]


@pytest.mark.parametrize("beta", BETAS)
def test_free_energies_of_finite_latents(beta: float) -> None:
    """Against the energies of all z in double precision; absolute where energies of both signs cancel."""
    for energy, y in _finite():
        double = copy.deepcopy(energy).double()
        elements = energy.domain("z").elements(torch.float64)
        each = [double(y=y.double(), z=double.domain("z").unpack(z.expand(len(y), -1))) for z in elements]
        table = torch.stack(each, dim=1).detach()
        expected = torch.tensor([exact(row, beta) for row in table.tolist()])
        found = ll.free_energy(energy, y, beta=beta).value.detach()
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6 * float(table.abs().max()))


def test_a_sampled_free_energy_passes_through_its_mean() -> None:
    """The same draws at all β: at |β| = 1e-8 the next term, β/2 · variance, is below 1e-6 of the mean."""
    y = torch.tensor([[3.0, 1.0], [0.2, 0.1]])
    mean = ll.free_energy(ll.energies.Ellipse(), y, beta=0.0).value
    for beta in (1e-320, 1e-12, 1e-8, -1e-8, -1e-12, -1e-320):
        torch.testing.assert_close(ll.free_energy(ll.energies.Ellipse(), y, beta=beta).value, mean, rtol=1e-6, atol=0)

"""Samplers against the moments and probabilities that theory gives."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import lowland as ll
from lowland.domains import Binary, Box, NonNegative, OneHot, Reals
from lowland.energies.base import Energy
from lowland.energies.structure import Structure

CHAINS = 4000
MEAN = torch.tensor([1.0, -0.5], dtype=torch.float64)
PRECISION = torch.tensor([[2.0, 1.2], [1.2, 1.5]], dtype=torch.float64)


class Correlated(Energy):
    """½ (y − μ)ᵀ P (y − μ)."""

    def __init__(self) -> None:
        super().__init__(y=Reals(2))
        self.precision = nn.Parameter(PRECISION)

    def energy(self, x: Any, y: Tensor, z: Any) -> Tensor:
        centred = y - MEAN
        return 0.5 * ((centred @ self.precision) * centred).sum(dim=1)


def chains(energy: Energy, solver: Any, start: Tensor, name: str = "y") -> Any:
    """The last state of independent chains, so that its moments have the errors of independent samples."""
    return ll.infer(energy, over=name, solver=solver, init=start, generator=torch.Generator().manual_seed(5))


def check_moments(samples: Tensor, mean: Tensor, covariance: Tensor) -> None:
    """Within 4.5 standard errors: one false alarm in 30,000 for five numbers at a fixed seed."""
    count = len(samples)
    error = (samples.mean(dim=0) - mean).abs() / (covariance.diagonal() / count).sqrt()
    assert bool((error < 4.5).all()), error
    products = covariance.diagonal()[:, None] * covariance.diagonal()
    spread = ((products + covariance.square()) / count).sqrt()
    assert bool(((torch.cov(samples.T) - covariance).abs() < 4.5 * spread).all())


@pytest.mark.parametrize(
    "solver",
    [
        ll.solvers.Langevin(0.25, metropolis=True, max_steps=200),
        ll.solvers.HMC(0.35, n_leapfrog=4, max_steps=40),
    ],
    ids=["MALA", "HMC"],
)
def test_metropolis_samplers_reproduce_a_correlated_gaussian(solver: Any) -> None:
    found = chains(Correlated(), solver, torch.zeros(CHAINS, 2, dtype=torch.float64))
    assert 0.5 < float(found.accepted.mean()) < 0.999
    check_moments(found.value, MEAN, torch.linalg.inv(PRECISION))


@pytest.mark.parametrize("temperature", [1.0, 0.3])
def test_ula_has_the_covariance_of_its_step(temperature: float) -> None:
    step = 0.5
    solver = ll.solvers.Langevin(step, temperature=temperature, max_steps=200)
    found = chains(Correlated(), solver, torch.zeros(CHAINS, 2, dtype=torch.float64))
    theory = temperature * torch.linalg.inv(PRECISION @ (torch.eye(2, dtype=torch.float64) - step / 2 * PRECISION))
    exact = temperature * torch.linalg.inv(PRECISION)
    assert float((theory - exact).abs().max() / exact.max()) > 0.2, "the step is large enough to tell the two apart"
    check_moments(found.value, MEAN, theory)


class Slope(Energy):
    """E = a y on a bounded domain: an exponential density, truncated in the box."""

    def __init__(self, domain: Any, slope: float) -> None:
        super().__init__(y=domain)
        self.slope = slope

    def energy(self, x: Any, y: Tensor, z: Any) -> Tensor:
        return self.slope * y[:, 0]


@pytest.mark.parametrize(
    "solver",
    [
        ll.solvers.Langevin(0.05, metropolis=True, max_steps=200),
        ll.solvers.HMC(0.2, n_leapfrog=4, max_steps=40),
        ll.solvers.Langevin(0.001, max_steps=2000),
    ],
    ids=["MALA", "HMC", "ULA"],
)
@pytest.mark.parametrize("bounded", [True, False])
def test_samplers_respect_bounds(solver: Any, bounded: bool) -> None:
    """Mean 1/a − w/(e^{aw} − 1) and variance 1/a² − w² e^{aw}/(e^{aw} − 1)² of an exponential cut off at w.

    ULA's bias at its small step, √η in units of 1/a at the wall, stays below the 4.5 standard errors of the mean.
    """
    slope, width = 2.0, 1.0 if bounded else math.inf
    domain = Box(1, low=0.0, high=1.0) if bounded else NonNegative(1)
    found = chains(Slope(domain, slope), solver, torch.full((CHAINS, 1), 0.5))
    assert float(found.value.min()) >= 0
    assert float(found.value.max()) <= width
    growth = math.exp(slope * width) if bounded else math.inf
    cut = width / (growth - 1) if bounded else 0.0
    mean = 1 / slope - cut
    variance = 1 / slope**2 - (cut**2 * growth if bounded else 0.0)
    assert abs(float(found.value.mean()) - mean) < 4.5 * math.sqrt(variance / CHAINS)


class Pairwise(Energy):
    """E(y) = yᵀ A y + b·y for a discrete y, with or without blocks."""

    def __init__(self, domain: Any, blocks: tuple[Tensor, ...] = ()) -> None:
        super().__init__(y=domain)
        generator = torch.Generator().manual_seed(4)
        size = domain.size
        matrix = torch.randn(size, size, generator=generator, dtype=torch.float64).triu(1)
        for block in blocks:
            matrix[block[:, None], block] = 0
        self.matrix = nn.Parameter(matrix)
        self.bias = nn.Parameter(torch.randn(size, generator=generator, dtype=torch.float64))
        self.blocks = blocks

    def energy(self, x: Any, y: Tensor, z: Any) -> Tensor:
        flat = y.flatten(1)
        return ((flat @ self.matrix) * flat).sum(dim=1) + flat @ self.bias

    def structure(self, over: tuple[str, ...], x: Any, y: Any, z: Any) -> Structure:
        return Structure(blocks=self.blocks)


@pytest.mark.parametrize(
    ("domain", "blocks", "sweeps"),
    [
        (Binary(4), (), 40),
        (Binary(5), (torch.arange(2), torch.arange(2, 5)), 40),
        (OneHot(3, groups=2), (), 40),
        # Two of its valleys lie far apart, so that chains take long to forget where they began.
        (OneHot(3, groups=3), (torch.tensor([0, 1, 2, 6, 7, 8]), torch.arange(3, 6)), 1000),
    ],
    ids=["binary", "blocks", "one-hot", "one-hot blocks"],
)
@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_gibbs_matches_enumerated_probabilities(
    domain: Any, blocks: tuple[Tensor, ...], sweeps: int, temperature: float
) -> None:
    """Frequencies of K states over independent chains: χ² below its mean K − 1 by 5 of its deviations √(2K)."""
    energy = Pairwise(domain, blocks)
    elements = domain.elements(torch.float64)
    start = torch.zeros(CHAINS, domain.size, dtype=torch.float64)
    start = domain.project(start)
    solver = ll.solvers.Gibbs(temperature, max_steps=sweeps)
    found = chains(energy, solver, domain.unpack(start))
    counts = (found.value.flatten(1)[:, None] == elements).all(dim=2).sum(dim=0)
    assert int(counts.sum()) == CHAINS
    expected = CHAINS * torch.softmax(-energy(y=domain.unpack(elements)).detach() / temperature, dim=0)
    seen = expected > 5
    chi_squared = float(((counts - expected).square() / expected)[seen].sum())
    assert chi_squared < len(counts) - 1 + 5 * math.sqrt(2 * len(counts))


def test_gibbs_over_both_layers_of_a_boltzmann_machine() -> None:
    """The frequencies of the visible states are those of the exact free energy."""
    energy = ll.energies.RBM(3, 2, scale=1.5).double()
    start = {"y": torch.zeros(CHAINS, 3, dtype=torch.float64), "z": torch.zeros(CHAINS, 2, dtype=torch.float64)}
    solver = ll.solvers.Gibbs(max_steps=60)
    found = ll.infer(energy, over=("y", "z"), solver=solver, init=start, generator=torch.Generator().manual_seed(1))
    states = Binary(3).elements(torch.float64)
    counts = (found.value["y"][:, None] == states).all(dim=2).sum(dim=0)
    expected = CHAINS * torch.softmax(-ll.free_energy(energy, states, beta=1.0).value.detach(), dim=0)
    chi_squared = float(((counts - expected).square() / expected).sum())
    assert chi_squared < 7 + 5 * math.sqrt(2 * 8)


def test_gibbs_at_zero_temperature_ends_where_no_flip_helps() -> None:
    energy = Pairwise(Binary(12))
    generator = torch.Generator().manual_seed(0)
    start = torch.randint(2, (50, 12), generator=generator).double()
    found = chains(energy, ll.solvers.Gibbs(0.0, tol=0.0), start)
    assert bool(found.converged.all())
    for unit in range(12):
        flipped = found.value.clone()
        flipped[:, unit] = 1 - flipped[:, unit]
        assert bool((energy(y=flipped) >= found.energy).all())

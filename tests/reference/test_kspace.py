"""Total variation of k-space against minimisation by SciPy, SigPy, and the bound that the duality gap is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor

import lowland as ll
from lowland.data.fourier import fourier, inverse_fourier
from lowland.energies.kspace import KSpace, differences, gathered, zero_filled
from lowland.energies.learned_reconstruction import LearnedReconstruction
from lowland.solvers.base import bind
from lowland.solvers.loop import run
from lowland.solvers.split_bregman import SplitBregman
from lowland.tensors import PerSampleRNG

SHAPES = [(5, 6), (4, 7), (1, 5), (8, 3)]


def measured(height: int, width: int, count: int = 3, seed: int = 0) -> Tensor:
    """Random images, noise, and a mask that has frequency 0, each image its own."""
    draw = torch.Generator().manual_seed(seed)
    y = torch.randn(count, 2, height, width, generator=draw, dtype=torch.float64)
    mask = (torch.rand(count, 1, height, width, generator=draw) < 0.5).double()
    mask[:, :, height // 2, width // 2] = 1
    return torch.cat([fourier(y), mask], dim=1)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_transform_is_the_one_by_definition(shape: tuple[int, int]) -> None:
    y = measured(*shape)[:, :2]
    rows, columns = (np.arange(size) - size // 2 for size in shape)
    matrices = [np.exp(-2j * np.pi * np.outer(at, at) / len(at)) / len(at) ** 0.5 for at in (rows, columns)]
    expected = matrices[0] @ (y[:, 0] + 1j * y[:, 1]).numpy() @ matrices[1]
    found = fourier(y)
    np.testing.assert_allclose(found[:, 0] + 1j * found[:, 1], expected, rtol=0, atol=1e-13)
    torch.testing.assert_close(inverse_fourier(found), y, rtol=0, atol=1e-13)


@pytest.mark.parametrize("shape", SHAPES)
def test_differences_and_their_adjoint(shape: tuple[int, int]) -> None:
    y, v = measured(*shape)[:, :2], measured(*shape, seed=1)[:, :2]
    steps = torch.stack([v, v.flip(0)], dim=1)
    torch.testing.assert_close((differences(y) * steps).sum(), (y * gathered(steps)).sum(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("isotropic", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_gap_is_a_bound_after_any_number_of_steps(shape: tuple[int, int], isotropic: bool) -> None:
    """E(u) − min E ≤ gap, up to rounding, where min E is from a run with a gap of at most 1e-10."""
    x = measured(*shape)
    for variation in (0.01, 0.3):
        energy = KSpace(*shape, variation, isotropic)
        least = ll.infer(energy, x=x, over="y", solver=SplitBregman(max_steps=20000, tol=1e-10))
        assert least.converged.all()
        assert least.exact.all()
        assert bool((least.residual >= -1e-13).all())
        for steps in (1, 3, 10, 30):
            found = ll.infer(energy, x=x, over="y", solver=SplitBregman(max_steps=steps, tol=None))
            assert bool((found.residual >= -1e-13).all())
            assert bool((found.energy - least.energy <= found.residual + 1e-10).all())


@pytest.mark.parametrize("isotropic", [True, False])
def test_the_minimum_is_that_of_scipy(isotropic: bool) -> None:
    """SciPy minimises E with √(‖d‖² + ε²) for ‖d‖: between E and E + λ ε times the number of norms."""
    height, width, variation, smooth = 3, 4, 0.2, 1e-4
    energy, x = KSpace(height, width, variation, isotropic), measured(height, width, count=1)

    def rounded(flat: np.ndarray, epsilon: float) -> tuple[float, np.ndarray]:
        y = torch.from_numpy(flat).reshape(1, 2, height, width).requires_grad_()
        fit = KSpace(height, width)(x=x, y=y)
        steps = differences(y).square()
        squares = steps.sum(dim=(1, 2)) if isotropic else steps.sum(dim=2)
        value = (fit + variation * (squares + epsilon**2).sqrt().sum()).sum()
        (gradient,) = torch.autograd.grad(value, y)
        return float(value.detach()), gradient.numpy().ravel()

    point = zero_filled(x).numpy().ravel()
    for epsilon in (1e-1, 1e-2, 1e-3, smooth):
        found = minimize(rounded, point, epsilon, jac=True, method="L-BFGS-B", options={"maxiter": 5000, "ftol": 1e-15})
        point = found.x
    ours = ll.infer(energy, x=x, over="y", solver=SplitBregman(max_steps=20000, tol=1e-9))
    slack = variation * smooth * height * width * (1 if isotropic else 2)
    other = energy(x=x, y=torch.from_numpy(point).reshape(1, 2, height, width))
    assert float(ours.energy) <= float(other) + 1e-9
    assert float(found.fun) <= float(ours.energy) + slack + 1e-6
    np.testing.assert_allclose(ours.energy, other, rtol=0, atol=slack + 1e-6)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("variation", [0.02, 0.2])
def test_sigpy_finds_the_same_images(variation: float) -> None:
    """Its TV sums the moduli of both differences. After 2,000 steps its energy is above ours by under a thousandth.

    E is convex with curvature m where k was measured, so that a thousandth of E is about a thirtieth in y; columns that
    were not measured are compared by E alone.
    """
    pytest.importorskip("sigpy")
    from sigpy.mri.app import TotalVariationRecon

    height, width = 12, 10
    x = measured(height, width, count=1)
    x = torch.cat([x[:, :2] * x[:, 2:], x[:, 2:]], dim=1)
    kspace, mask = (x[0, 0] + 1j * x[0, 1]).numpy()[None], x[0, 2].numpy()
    coil = np.ones((1, height, width), complex)
    found = TotalVariationRecon(
        kspace, coil, variation, weights=mask, max_iter=2000, show_pbar=False, solver="PrimalDualHybridGradient"
    ).run()
    image = torch.from_numpy(np.asarray(found))
    theirs = torch.stack([image.real, image.imag])[None].double()
    energy = KSpace(height, width, variation, isotropic=False)
    ours = ll.infer(energy, x=x, over="y", solver=SplitBregman(max_steps=20000, tol=1e-9))
    other = float(energy(x=x, y=theirs))
    assert float(ours.energy) - 1e-8 <= other <= float(ours.energy) * 1.001
    apart = (x[:, 2:] * fourier(theirs - ours.value)).norm()
    assert float(apart) <= (2 * (other - float(ours.energy) + 2e-9)) ** 0.5 + 1e-9


def test_without_a_prior_it_is_zero_filled() -> None:
    x = measured(5, 6)
    found = ll.infer(KSpace(5, 6), x=x, over="y")
    torch.testing.assert_close(found.value, inverse_fourier(x[:, 2:] * x[:, :2]))
    torch.testing.assert_close(found.energy, torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-20)


def test_with_a_learned_prior_it_is_a_weighted_mean_at_each_frequency() -> None:
    """min ½ m |ŷ − k|² + w/2 |ŷ − û|² is at ŷ = (m k + w û) / (m + w)."""
    x, weight = measured(6, 5), 0.3
    prior = LearnedReconstruction(6, 5, maps=(2, 3)).double()
    torch.nn.init.constant_(prior.network.last.weight, 0.1)
    found = ll.infer(KSpace(6, 5) + weight * prior, x=x, over="y", solver=ll.solvers.LBFGS(tol=1e-9))
    mask = x[:, 2:]
    with torch.no_grad():
        guess = fourier(prior.encode(x))
    expected = inverse_fourier((mask * x[:, :2] + weight * guess) / (mask + weight))
    torch.testing.assert_close(found.value, expected, rtol=0, atol=1e-7)


def test_balancing_does_not_change_what_a_sample_gets_alone() -> None:
    x, solver = measured(5, 6), SplitBregman(max_steps=60, tol=1e-6)
    energy, noise = KSpace(5, 6, 0.1), PerSampleRNG(0, torch.arange(3), torch.float64)
    with torch.no_grad():
        problem = bind(energy, {"x": x}, "y")
        whole = run(problem, solver, zero_filled(x).flatten(1), noise)
        rows = torch.tensor([2])
        alone = run(problem.take(rows), solver, zero_filled(x)[rows].flatten(1), noise.take(rows))
    torch.testing.assert_close(alone.u, whole.u[rows], rtol=0, atol=1e-12)
    assert alone.steps.tolist() == whole.steps[rows].tolist()


def test_convolutional_sparse_codes_are_a_prior() -> None:
    """In the end y is, at each frequency, the mean of what was measured and of what the codes decode to."""
    height, width, weight = 6, 5, 0.5
    codes = ll.energies.ConvolutionalSparseCoding((2, height, width), n_filters=3, size=3, sparsity=0.05).double()
    energy, x = KSpace(height, width) + weight * codes, measured(height, width)
    solvers = {"z": ll.solvers.FISTA(tol=1e-8), "y": ll.solvers.LBFGS(tol=1e-9)}
    start = {"y": zero_filled(x), "z": torch.zeros(3, 3, height, width, dtype=torch.float64)}
    solver = ll.solvers.Alternation(solvers, max_steps=5, tol=None)
    found = ll.infer(energy, x=x, over=("y", "z"), solver=solver, init=start)
    assert bool((found.energy < energy(x=x, **start)).all())
    guess, mask = fourier(codes.reconstruct(None, None, found.value["z"]).detach()), x[:, 2:]
    expected = inverse_fourier((mask * x[:, :2] + weight * guess) / (mask + weight))
    torch.testing.assert_close(found.value["y"], expected, rtol=0, atol=1e-6)

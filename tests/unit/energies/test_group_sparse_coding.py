"""Pools on a sheet: the prox, the map of pools, the duality gap, and inhibition, each against brute force."""

from __future__ import annotations

import pytest
import torch

import lowland as ll
from lowland.energies import GroupSparseCoding, LateralInhibition
from lowland.energies.group_sparse_coding import pool_members
from lowland.energies.lateral_inhibition import sheet_distance
from lowland.errors import OptionError, UnsupportedError
from lowland.solvers import FISTA, LBFGS, CoordinateDescent


def _patches(count: int = 20) -> torch.Tensor:
    return torch.randn(count, 12, generator=torch.Generator().manual_seed(1))


def test_pools_run_over_the_edges_of_the_sheet() -> None:
    members = pool_members((4, 6), (2, 3), (1, 1)).reshape(24, 4, 6)
    assert bool((members.flatten(1).sum(dim=1) == 6).all())
    assert bool((members.sum(dim=0) == 6).all())
    assert members[-1].nonzero().tolist() == [[0, 0], [0, 1], [0, 5], [3, 0], [3, 1], [3, 5]]


def test_pools_of_one_unit_are_the_lasso() -> None:
    """Both stop at a residual of 1e-5, and E is curved by at least λ-free eigenvalues of a random Gram matrix."""
    pooled, plain = GroupSparseCoding(12, (2, 4), (1, 1), sparsity=0.3), ll.energies.SparseCoding(12, 8, 0.3)
    y = _patches()
    solver = FISTA(max_steps=5000, tol=1e-5)
    ours, theirs = (ll.infer(energy, y=y, over="z", solver=solver) for energy in (pooled, plain))
    torch.testing.assert_close(ours.value, theirs.value, rtol=0, atol=1e-4)
    torch.testing.assert_close(pooled.duality_gap(y, ours.value), plain.duality_gap(y, ours.value))


def test_the_duality_gap_bounds_the_suboptimality_and_vanishes() -> None:
    """In float64 a residual of 1e-9 leaves a gap of the order of 1e-9 times ‖z‖₁ < 100."""
    energy, y = GroupSparseCoding(12, (4, 4), sparsity=0.5).double(), _patches().double()
    best = ll.infer(energy, y=y, over="z", solver=FISTA(max_steps=20000, tol=1e-9))
    early = ll.infer(energy, y=y, over="z", solver=FISTA(max_steps=20, tol=None))
    assert bool((energy.duality_gap(y, best.value) < 1e-6).all())
    assert bool((energy.duality_gap(y, early.value) >= early.energy - best.energy - 1e-12).all())
    off = best.value.reshape(-1, 2, 2, 2, 2).permute(0, 1, 3, 2, 4).reshape(-1, 4, 4) == 0
    assert bool((off.all(dim=2) | ~off.any(dim=2)).all()), "a pool is on or off as a whole"
    assert bool(off.any())


def test_a_unit_without_a_penalty_leaves_only_the_trivial_bound() -> None:
    energy, y = GroupSparseCoding(12, (1, 4), (1, 1), (1, 1)), _patches(2)
    energy.pools[0] = 0
    gap = energy.duality_gap(y, torch.zeros(2, 4))
    torch.testing.assert_close(gap, 0.5 * y.square().sum(dim=1))


def test_smooth_pools_approach_the_sharp_ones() -> None:
    """0 ≤ ‖z_g‖ − (√(ε² + ‖z_g‖²) − ε) ≤ ε, so that minima differ by at most λ ε per pool, here 0.5 · 0.001 · 4."""
    sharp = GroupSparseCoding(12, (4, 4), sparsity=0.5).double()
    smooth = GroupSparseCoding(12, (4, 4), sparsity=0.5, smoothing=1e-3).double()
    y = _patches().double()
    below = ll.infer(smooth, y=y, over="z", solver=LBFGS(max_steps=3000, tol=1e-8)).energy
    above = ll.infer(sharp, y=y, over="z", solver=FISTA(max_steps=20000, tol=1e-8)).energy
    assert bool((above - below > -1e-7).all())
    assert bool((above - below < 0.5 * 1e-3 * 4 + 1e-7).all())


def test_two_solvers_agree_on_overlapping_pools() -> None:
    energy, y = GroupSparseCoding(12, (4, 4), (2, 2), (1, 1), 0.2, 0.05).double(), _patches().double()
    one = ll.infer(energy, y=y, over="z", solver=FISTA(max_steps=20000, tol=1e-7))
    other = ll.infer(energy, y=y, over="z", solver=LBFGS(max_steps=3000, tol=1e-7))
    torch.testing.assert_close(one.energy, other.energy, rtol=0, atol=1e-6)
    with pytest.raises(UnsupportedError, match="smoothing"):
        energy.duality_gap(y, one.value)


def test_inhibition_parts_what_is_far_and_no_step_raises_the_energy() -> None:
    energy, y = LateralInhibition(12, (4, 4), inhibition=5.0, radius=1.0, sparsity=0.05).double(), _patches().double()
    found = ll.infer(energy, y=y, over="z", solver=CoordinateDescent(max_steps=2000, tol=1e-8))
    pairs = found.value[:, :, None] * found.value[:, None, :]
    plain = ll.energies.SparseCoding(12, 16, 0.05, positive=True).double()
    plain.load_state_dict(energy.state_dict(), strict=False)
    free = ll.infer(plain, y=y, over="z", solver=FISTA(max_steps=5000, tol=1e-8)).value
    far = energy.inhibition
    assert float((pairs * far).sum()) < 0.1 * float((free[:, :, None] * free[:, None, :] * far).sum())
    path = ll.infer(energy, y=y, over="z", solver=ll.solvers.ISTA(max_steps=50, tol=None), record=True).trajectory
    assert path is not None
    values = torch.stack([energy(y=y, z=z) for z in path])
    assert bool((values[1:] - values[:-1] < 1e-12).all())
    with pytest.raises(UnsupportedError, match="not convex"):
        energy.duality_gap(y, found.value)


def test_distances_on_the_sheet_go_the_shorter_way_round() -> None:
    distance = sheet_distance((3, 4)).reshape(3, 4, 3, 4)
    assert distance[0, 0, 2, 3] == pytest.approx(2**0.5)
    assert distance[0, 0, 1, 2] == pytest.approx(5**0.5)
    assert torch.equal(sheet_distance((3, 4)), sheet_distance((3, 4)).T)


@pytest.mark.parametrize(
    "options",
    [
        {"pool": (3, 2)},
        {"pool": (2, 2), "stride": (1, 1)},
        {"pool": (2, 2), "stride": (3, 3), "smoothing": 0.1},
        {"pool": (5, 1), "stride": (1, 1), "smoothing": 0.1},
        {"smoothing": -1.0},
        {"sparsity": 0.0},
    ],
)
def test_pools_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        GroupSparseCoding(4, (4, 4), **options)


def test_inhibition_that_cannot_be() -> None:
    with pytest.raises(OptionError):
        LateralInhibition(4, (4, 4), inhibition=-1.0)

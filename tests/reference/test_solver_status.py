"""What a status certifies: closed forms, SciPy and search of all states say where the minimum is."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor

import lowland as ll
from lowland.energies.base import Energy
from lowland.errors import InferenceError, ShapeError, UnsupportedError
from lowland.solvers import bind
from lowland.solvers.base import Status


class Slope(Energy):
    """½‖y − c‖² far from where a search starts."""

    def __init__(self, centre: list[float]) -> None:
        super().__init__(y=ll.domains.Reals(len(centre)))
        self.register_buffer("centre", torch.tensor(centre))

    def energy(self, x: Any, y: Tensor, z: Any) -> Tensor:
        return 0.5 * (y - self.centre).square().sum(dim=1)


CROWDS = [ll.solvers.CEM(), ll.solvers.ICEM(colour=0.0, max_steps=60)]


@pytest.mark.parametrize("solver", CROWDS, ids=lambda solver: type(solver).__name__)
@pytest.mark.parametrize("centre", [[2.0, -6.0], [40.0, 0.0, -25.0]], ids=str)
def test_a_crowd_does_not_collapse_on_a_slope(solver: ll.solvers.Solver, centre: list[float]) -> None:
    """The minimum is 6 and 47 first deviations away. A crowd that has collapsed to a deviation of 1e-3 in each of D
    coordinates knows E to about ½ D 1e-6; that it does not claim more is in its status."""
    found = ll.infer(Slope(centre), over="y", solver=solver)
    assert found.energy.item() < 1e-5
    assert found.status.tolist() == [Status.COLLAPSED]
    assert not found.converged.any()
    assert not found.exact.any()


@pytest.mark.parametrize("solver", [ll.solvers.MPPI(decay=0.9), ll.solvers.MPPI(decay=0.8)], ids=["0.9", "0.8"])
@pytest.mark.parametrize("centre", [[2.0, -6.0], [40.0, 0.0, -25.0]], ids=str)
def test_mppi_converges_where_its_spread_and_the_slope_of_its_candidates_vanish(
    solver: ll.solvers.Solver, centre: list[float]
) -> None:
    """The gradient is y − c, and the residual promises at most 1e-3 of it, to the spread of its candidates."""
    found = ll.infer(Slope(centre), over="y", solver=solver)
    assert found.status.tolist() == [Status.CONVERGED]
    assert found.residual.item() <= 1e-3
    assert (found.value - torch.tensor(centre)).abs().max().item() < 2e-3


class Ramp(Energy):
    """y + 1 on a box, and a kink: |y| elsewhere."""

    def __init__(self, kink: bool) -> None:
        super().__init__(y=ll.domains.Box(1, low=-2.0, high=3.0))
        self.kink = kink

    def energy(self, x: Any, y: Tensor, z: Any) -> Tensor:
        return y[:, 0].abs() if self.kink else y[:, 0] + 1


def test_mppi_converges_at_a_bound_but_not_at_a_kink() -> None:
    """At the bound the projected gradient is zero. At a kink the slope is 1 on either side, however small the spread,
    so that no residual goes below the tolerance: the budget ends, though the point is found."""
    bound = ll.infer(Ramp(kink=False), over="y", solver=ll.solvers.MPPI())
    assert (bound.status.tolist(), bound.value.tolist()) == ([Status.CONVERGED], [[-2.0]])
    kink = ll.infer(Ramp(kink=True), over="y", solver=ll.solvers.MPPI())
    assert kink.status.tolist() == [Status.MAX_STEPS]
    assert abs(kink.value.item()) < 1e-3


def test_mppi_whose_deviation_falls_on_a_slope_has_not_converged() -> None:
    """With a decay of 0.5 the spread is below 1e-3 after 20 steps, from 1e4 deviations away from the minimum."""
    found = ll.infer(Slope([1e4]), over="y", solver=ll.solvers.MPPI(decay=0.5, max_steps=20, deviation=1.0))
    assert not found.converged.any()


class Shelf(Energy):
    """A wide valley whose floor is 1, and a narrow one with E = 0 at 3."""

    def __init__(self) -> None:
        super().__init__(y=ll.domains.Box(1, low=-8.0, high=8.0))

    def energy(self, x: Any, y: Tensor, z: Any) -> Tensor:
        return torch.minimum(1 + y[:, 0].square(), 100 * (y[:, 0] - 3).square())


def test_a_crowd_that_collapsed_starts_once_more() -> None:
    """One of a hundred points lies in the narrow valley: five steps in, a search around the wide one draws none there
    anymore. A budget that ends before the restart says that it is spent."""
    solver = ll.solvers.CEM(samples=64)
    problem = bind(Shelf(), {}, "y")
    sample_ids = torch.arange(64)
    start = torch.zeros(64, 1)
    from lowland.solvers.loop import run
    from lowland.tensors import PerSampleRNG

    def least(left: bool) -> Tensor:
        class Once(ll.solvers.CEM):
            def init(self, problem: Any, u: Tensor) -> Any:
                state = super().init(problem, u)
                return state._replace(left=torch.full_like(state.left, left))

        trace = run(problem, Once(samples=64), start, PerSampleRNG(0, sample_ids))
        assert set(trace.status.tolist()) <= {Status.COLLAPSED, Status.MAX_STEPS}
        return problem.value(trace.u)

    once, again = least(False), least(True)
    assert bool((again <= once + 1e-4).all())
    assert (again < 0.5).sum() > (once < 0.5).sum()
    assert solver.verdict == Status.COLLAPSED


def test_an_encoders_guess_certifies_nothing() -> None:
    """E of the warm start is 1 above the minimum 2.15625 that the energy states."""
    case = ll.energies.SparseAutoencoder.reference_case()
    found = ll.infer(case.energy, **case.given, over="z", solver=ll.solvers.Amortised())
    assert found.status.tolist() == [Status.WARM_START]
    assert found.residual.tolist() == [math.inf]
    assert found.energy.item() > case.minimum.item() + 0.9
    with pytest.raises(InferenceError, match=r"1 WARM_START.*[Rr]efine"):
        found.raise_if_failed()
    several = ll.infer(case.energy, **case.given, over="z", solver=ll.solvers.MultiStart(ll.solvers.Amortised()))
    assert not several.converged.any()


def test_alternation_certifies_no_more_than_its_parts() -> None:
    """y of the warm start stays where it is, so that nothing changes from round to round; it is no minimum."""
    parts = {"z": ll.solvers.CEM(samples=16, max_steps=2), "y": ll.solvers.GradientDescent()}
    init = {"y": torch.tensor([[3.0, 1.0]]), "z": torch.tensor([[1.0]])}
    found = ll.infer(ll.energies.Ellipse(), over=("y", "z"), solver=ll.solvers.Alternation(parts), init=init)
    assert not found.converged.any()


def test_a_warm_chain_at_rest_certifies_nothing() -> None:
    energy = ll.energies.RBM.reference_case().energy
    found = ll.infer(energy, over=("y", "z"), solver=ll.solvers.Gibbs(temperature=1e-3, tol=0.0))
    assert found.status.tolist() == [Status.COLLAPSED]


LARGE = [ll.solvers.ActiveSet(), ll.solvers.ADMM(), ll.solvers.FISTA(), ll.solvers.CoordinateDescent()]


@pytest.mark.parametrize("solver", LARGE, ids=lambda solver: type(solver).__name__)
def test_an_energy_beyond_its_type_has_overflowed(solver: ll.solvers.Solver) -> None:
    """½‖y‖² of y = 1e30 is 2e60, and single precision ends at 3.4e38."""
    coding = ll.energies.SparseCoding(4, 2, 0.1)
    found = ll.infer(coding, y=torch.full((2, 4), 1e30), over="z", solver=solver)
    assert found.status.tolist() == [Status.OVERFLOW] * 2
    assert not found.exact.any()
    with pytest.raises(InferenceError, match="float64"):
        found.raise_if_failed()


@pytest.mark.parametrize("solver", [ll.solvers.OrthogonalMatchingPursuit(), ll.solvers.CGIHT()])
def test_an_energy_under_a_hard_bound_overflows_too(solver: ll.solvers.Solver) -> None:
    coding = ll.energies.HardSparseCoding(4, 8, nonzeros=2)
    found = ll.infer(coding, y=torch.full((2, 4), 1e30), over="z", solver=solver)
    assert found.status.tolist() == [Status.OVERFLOW] * 2


def test_a_pursuit_that_stops_short_has_not_converged() -> None:
    """Of codes u ≥ 0 with fewer atoms than allowed, one more atom lowers E: found by trying each."""
    drawn = torch.Generator().manual_seed(1)
    coding = ll.energies.HardSparseCoding(5, 12, nonzeros=4, positive=True, generator=drawn).double()
    y = torch.randn(40, 5, generator=drawn, dtype=torch.float64)
    found = ll.infer(coding, y=y, over="z", solver=ll.solvers.OrthogonalMatchingPursuit())
    short = (found.value != 0).sum(dim=1) < 4
    lower = torch.zeros_like(short)
    for atom in torch.eye(12, dtype=torch.float64):
        new = found.value[:, atom.bool()][:, 0] == 0
        lower |= short & new & (coding(y=y, z=found.value + 1e-3 * atom) < found.energy - 1e-6)
    assert bool(lower.any())
    assert bool(found.converged[~short].all())
    assert not bool((found.converged & lower).any())


@pytest.mark.parametrize("size", [1.0, 1e3, 1e6, 1e8, 1e10, 1e12, 1e15, 1e19])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_certificate_holds_however_large_the_data(size: float, dtype: torch.dtype) -> None:
    """E in units of λ‖y‖ is the same for all large y: the linear program min ‖z‖₁ with W z = y gives its value.

    Both are differences of sums of ½‖y‖², 2e37 times as large at the end, of which rounding leaves nothing. What is
    certified to a share of 1e-5 must hold to it when E is computed without that difference.
    """
    coding = ll.energies.SparseCoding(4, 8, 0.1).double()
    y = torch.full((1, 4), size, dtype=dtype).double()
    found = ll.infer(coding.to(dtype), y=y.to(dtype), over="z", solver=ll.solvers.ActiveSet())
    true = coding.double()(y=y, z=found.value.double()).item()
    if size == 1.0:
        assert bool(found.exact.all())
        return
    from scipy.optimize import linprog

    atoms = coding.dictionary.detach().numpy()
    program = linprog(np.ones(16), A_eq=np.hstack([atoms, -atoms]), b_eq=np.ones(4))
    least = 0.1 * size * program.fun  # the shrinkage by λ lowers it by a share of λ / size at most
    assert not found.converged.any() or true <= least * (1 + 1e-5 + 1e-6)


def test_admm_refuses_a_smooth_part_that_is_not_convex() -> None:
    """It ended at 2.35 and 1.4 times the least energy, SciPy's, from the same start."""
    case = ll.energies.LateralInhibition.reference_case()
    with pytest.raises(UnsupportedError, match="not convex"):
        ll.infer(case.energy, **case.given, over="z", solver=ll.solvers.ADMM())
    weak = ll.energies.LateralInhibition(8, sheet=(2, 2), inhibition=1e-4, sparsity=0.1)
    y = torch.randn(3, 8, generator=torch.Generator().manual_seed(1))
    found = ll.infer(weak.double(), y=y.double(), over="z", solver=ll.solvers.ADMM(tol=1e-7))
    for row in range(3):

        def value(z: Any, row: int = row) -> tuple[float, Any]:
            point = torch.tensor(z[None], requires_grad=True)
            energy = weak(y=y[row : row + 1].double(), z=point).sum()
            return energy.item(), torch.autograd.grad(energy, point)[0][0].numpy()

        least = minimize(value, np.full(4, 0.1), jac=True, bounds=[(0, None)] * 4, options={"ftol": 1e-15}).fun
        assert found.energy[row].item() == pytest.approx(least, rel=1e-7)
    assert bool(found.converged.all())


class Potts(Energy):
    """½ Σ_ij J_ij(z_i, z_j) + Σ_i h_i(z_i) over 12 units of 3 states: 531,441 in all, too many for `Exhaustive`."""

    def __init__(self, seed: int) -> None:
        super().__init__(z=ll.domains.OneHot(3, groups=12))
        drawn = torch.Generator().manual_seed(seed)
        self.register_buffer("pairs", torch.randn(12, 12, 3, 3, generator=drawn, dtype=torch.float64))
        self.register_buffer("fields", torch.randn(12, 3, generator=drawn, dtype=torch.float64))

    def energy(self, x: Any, y: Any, z: Tensor) -> Tensor:
        return torch.einsum("bip,ijpq,bjq->b", z, self.pairs.to(z), z) / 2 + (z * self.fields.to(z)).sum(dim=(1, 2))

    def least(self) -> float:
        """The minimum over all states, adding up tables of pairs by their axes."""
        total = np.zeros((3,) * 12)
        for i, j in itertools.product(range(12), repeat=2):
            table = self.pairs[i, j].numpy() / 2
            if i == j:
                total += np.diag(table).reshape([3 if k == i else 1 for k in range(12)])
            else:
                table = table if i < j else table.T
                total += table.reshape([3 if k in (i, j) else 1 for k in range(12)])
        for i in range(12):
            total += self.fields[i].numpy().reshape([3 if k == i else 1 for k in range(12)])
        return float(total.min())


@pytest.mark.parametrize("seed", [4, 6, 8])
def test_a_finite_domain_too_large_to_search_gets_several_starts(seed: int) -> None:
    """From one start it ends 4 to 6 above; from several at the least of all states, which it does not claim."""
    energy = Potts(seed)
    one = ll.infer(energy, over="z", solver=ll.solvers.Gibbs(temperature=0.0, tol=0.0))
    found = ll.infer(energy, over="z")
    least = energy.least()
    assert one.converged.all()
    assert one.energy.item() > least + 1
    assert found.energy.item() == pytest.approx(least, abs=1e-4)
    assert found.converged.all()
    assert not found.exact.any()
    assert not one.exact.any()


class Wells(Energy):
    """(y² − 1)² + 0.3 y, whose start at 0 slopes to the lower well; mirrored, and moved, to the upper one."""

    def __init__(self, mirrored: bool) -> None:
        super().__init__(y=ll.domains.Reals(1))
        self.mirrored = mirrored

    def energy(self, x: Any, y: Tensor, z: Any) -> Tensor:
        u = y[:, 0] - 0.3
        return (u.square() - 1).square() + (-0.3 if self.mirrored else 0.3) * u


@pytest.mark.parametrize("mirrored", [False, True])
def test_an_energy_of_several_valleys_gets_several_starts(mirrored: bool) -> None:
    energy = Wells(mirrored)
    grid = torch.linspace(-3, 3, 60001)[:, None]
    found = ll.infer(energy, over="y")
    assert found.energy.item() == pytest.approx(energy(y=grid).min().item(), abs=1e-5)
    assert bool(found.converged.all())
    assert not found.exact.any()
    held = ll.infer(energy, over="y", init=torch.tensor([[-0.9]]))
    assert held.value.item() < -0.5, "from a start that is given, it goes down from there"


class TiltedWells(Energy):
    """Σ (u² − 1)² + 0.3 u with u = y − x: four valleys for each x, of which several starts find different ones."""

    def __init__(self) -> None:
        super().__init__(x=ll.domains.Reals(2), y=ll.domains.Reals(2))

    def energy(self, x: Tensor, y: Tensor, z: Any) -> Tensor:
        u = y - x
        return ((u.square() - 1).square() + 0.3 * u).sum(dim=1)


def test_the_place_of_a_row_in_its_batch_changes_no_answer_of_the_default() -> None:
    """Each row of the batch, in any order and alone, is the same problem."""
    x = torch.randn(12, 2, generator=torch.Generator().manual_seed(0))
    together = ll.infer(TiltedWells(), x=x, over="y")
    assert torch.equal(ll.infer(TiltedWells(), x=x.flip(0), over="y").value, together.value.flip(0))
    for row in range(12):
        assert torch.equal(ll.infer(TiltedWells(), x=x[row : row + 1], over="y").value[0], together.value[row])


def test_what_is_exact_says_so() -> None:
    coding, kmeans = ll.energies.SparseCoding.reference_case(), ll.energies.KMeans.reference_case()
    for case, solver in [
        (coding, None),
        (coding, ll.solvers.FISTA()),
        (kmeans, None),
        (ll.energies.Gaussian.reference_case(), ll.solvers.LBFGS()),
    ]:
        found = ll.infer(case.energy, **case.given, over=case.over, solver=solver)
        assert bool(found.exact.all())
        torch.testing.assert_close(found.energy.detach(), case.minimum, rtol=0, atol=1e-3)
    short = ll.infer(coding.energy, **coding.given, over="z", solver=ll.solvers.FISTA(max_steps=0))
    assert not short.exact.any()


def test_a_line_search_that_rounding_stops_is_not_stationary() -> None:
    """The estimate of the curvature grew until nothing moved any more, with a residual of 0 on a slope of 0.034.

    In double precision the slope is what the residual says, to the rounding of single precision."""
    case = ll.energies.Gabor.reference_case()
    solver = ll.solvers.FISTA(max_steps=200)
    found = ll.infer(case.energy, **case.given, over=case.over, solver=solver, init=case.start)
    given = {name: value.double() for name, value in case.given.items()}
    with torch.no_grad():
        problem = bind(case.energy.double(), given, case.over)
    slope = problem.value_and_gradient(problem.domain.pack(found.value).double())[1].abs().amax(dim=1)
    assert bool(((slope < 2e-4) | ~found.converged).all())
    torch.testing.assert_close(found.residual.double(), slope, rtol=1e-2, atol=1e-4)


def test_solve_is_infer_without_its_checks() -> None:
    """From the same start and with the same random numbers, `solve` ends where `infer` does, to the last bit."""
    energy, y = ll.energies.Ellipse(), torch.tensor([[3.0, 0.0], [0.5, 1.0]])
    start = torch.tensor([[0.3], [1.0]])
    problem = bind(energy, {"y": y}, "z")
    for solver in (ll.solvers.LBFGS(), ll.solvers.CEM(max_steps=5)):
        generators = [torch.Generator().manual_seed(1) for _ in range(2)]
        found = ll.solve(problem, solver, start, generator=generators[0])
        same = ll.infer(energy, y=y, over="z", solver=solver, init=start, generator=generators[1])
        assert torch.equal(found.value, same.value)
        assert torch.equal(found.energy, same.energy.detach())
        assert torch.equal(found.status, same.status)
        assert not found.energy.requires_grad
    default = ll.infer(energy, y=y, over="z", solver=ll.solvers.LBFGS())
    assert torch.equal(ll.solve(problem, ll.solvers.LBFGS()).value, default.value)


def test_solve_refuses_what_does_not_fit() -> None:
    problem = bind(ll.energies.Ellipse(), {"y": torch.ones(3, 2)}, "z")
    with pytest.raises(UnsupportedError, match="Exhaustive cannot solve this problem"):
        ll.solve(problem, ll.solvers.Exhaustive())
    for start in (torch.zeros(3, 2), torch.zeros(2, 1), torch.zeros(3)):
        with pytest.raises(ShapeError, match=r"start must be \(3, 1\)"):
            ll.solve(problem, ll.solvers.LBFGS(), start)

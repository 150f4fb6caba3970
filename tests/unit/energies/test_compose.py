"""Sums, transforms and clamping of energies."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import lowland as ll
from lowland.domains import Reals
from lowland.energies.base import Energy
from lowland.energies.compose import Clamped, Smoothness, Sum, Thermometer, Transformed
from lowland.energies.structure import Penalty, Structure
from lowland.errors import DomainError, OptionError, UnsupportedError
from lowland.solvers import bind
from lowland.tensors import PerSampleRNG


def half_image(height: int, width: int) -> dict[str, torch.Tensor]:
    """A ramp from left to right, of which the left half is known."""
    ramp = torch.linspace(0, 1, width).expand(height, width).reshape(1, -1)
    mask = (torch.arange(width) < width // 2).float().expand(height, width).reshape(1, -1)
    return {"known": ramp * mask, "mask": mask}


def test_operators_are_the_weighted_sum() -> None:
    a, b = ll.energies.PCA(4, 2), Smoothness(2, 2)
    y, z = torch.randn(3, 4), torch.randn(3, 2)
    both = 0.5 * a + b * 3
    torch.testing.assert_close(both(y=y, z=z), 0.5 * a(y=y, z=z) + 3 * b(y=y))
    assert len((both + a).terms) == 3


def test_sum_keeps_the_closed_form_of_its_only_latent() -> None:
    a, b = ll.energies.PCA(4, 2), Smoothness(2, 2)
    y = torch.randn(3, 4)
    free = ll.free_energy(2 * a + b, y)
    assert free.method == "closed form"
    torch.testing.assert_close(free.value, 2 * ll.free_energy(a, y).value + b(y=y))


def test_sum_of_tables_is_the_table_of_the_sum() -> None:
    a, b = ll.energies.KMeans(4, 3), ll.energies.GaussianMixture(4, 3)
    y = torch.randn(5, 4)
    found = ll.infer(a + 0.5 * b, y=y, over="z")
    brute = torch.stack([(a + 0.5 * b)(y=y, z=torch.eye(3)[k].expand(5, 3)) for k in range(3)]).min(dim=0).values
    torch.testing.assert_close(found.energy, brute)


def test_terms_over_different_domains_raise() -> None:
    with pytest.raises(UnsupportedError, match="different domains"):
        ll.energies.SparseCoding(4, 6) + ll.energies.PCA(4, 4)


def test_quadratic_parts_add_up_under_one_penalty() -> None:
    """½‖y − Wz‖² + λ‖z‖₁ plus a smooth term of the same z is still solved exactly by FISTA."""
    coding, smooth = ll.energies.SparseCoding(4, 4, sparsity=0.2), ll.energies.PCA(4, 4)
    y = torch.randn(3, 4, generator=torch.Generator().manual_seed(1))
    both = coding + 0.5 * smooth
    fast = ll.infer(both, y=y, over="z", solver=ll.solvers.FISTA(tol=1e-5))
    assert bool(fast.converged.all())
    noise = torch.randn(200, 3, 4, generator=torch.Generator().manual_seed(2))
    for step in 0.05 * noise:
        assert bool((both(y=y, z=fast.value + step) >= fast.energy - 1e-5).all())


def test_two_penalties_in_one_variable_raise() -> None:
    coding = ll.energies.SparseCoding(4, 6)
    with pytest.raises(UnsupportedError, match="one term with a non-smooth penalty"):
        ll.infer(coding + coding, y=torch.ones(1, 4), over="z")


def test_wrong_terms_raise() -> None:
    with pytest.raises(OptionError, match="at least one term"):
        Sum({})
    with pytest.raises(OptionError, match="'c'"):
        Sum({"a": Smoothness(2, 2)}, {"c": 1.0})


def test_missing_half_of_a_ramp_is_filled_by_smoothness() -> None:
    """The exact minimum of Σ (y_i − y_j)² with a free right edge is constant: each row repeats its last known value."""
    x = half_image(3, 6)
    found = ll.infer(
        Clamped(Smoothness(3, 6)), x=x, over="y", solver=ll.solvers.GradientDescent(0.12, max_steps=2000, tol=1e-6)
    )
    image = Clamped(Smoothness(3, 6)).complete(x, found.value).reshape(3, 6)
    torch.testing.assert_close(image[:, 3:], torch.full((3, 3), 0.4), rtol=0, atol=1e-4)
    torch.testing.assert_close(image[:, :3], x["known"].reshape(3, 6)[:, :3], rtol=0, atol=0)


def test_missing_half_is_inferred_together_with_the_latent() -> None:
    """Images on a line w·z through 0: half of one gives z, and with it the other half."""
    energy = ll.energies.PCA(4, 1)
    energy.components.data = torch.tensor([[0.5, 0.5, 0.5, 0.5]])
    x = {"known": torch.tensor([[3.0, 3.0, 0.0, 0.0]]), "mask": torch.tensor([[1.0, 1.0, 0.0, 0.0]])}
    found = ll.infer(Clamped(energy), x=x, over=("y", "z"), solver=ll.solvers.GradientDescent(0.2, max_steps=500))
    torch.testing.assert_close(found.value["y"][:, 2:], torch.full((1, 2), 3.0), rtol=0, atol=1e-2)


class Lasso(Energy):
    """E(y) = ½ yᵀ A y − bᵀ y + ½‖y‖₁, with a penalty in y; `separable` says that it is a sum over coordinates."""

    A = torch.tensor([[2.0, 1.0], [1.0, 3.0]])
    B = torch.tensor([3.0, 1.0])

    def __init__(self, separable: bool = True) -> None:
        super().__init__(y=Reals(2))
        self.separable = separable

    def energy(self, x: Any, y: Tensor, z: Any) -> Tensor:
        return 0.5 * ((y @ self.A) * y).sum(dim=1) - y @ self.B + 0.5 * y.abs().sum(dim=1)

    def structure(self, over: tuple[str, ...], x: Any, y: Any, z: Any) -> Structure:
        def shrink(u: Tensor, step: Tensor) -> Tensor:
            return u.sign() * (u.abs() - 0.5 * step).clamp_min(0)

        move = (lambda u_j, step, j: shrink(u_j, step)) if self.separable else None
        penalty = Penalty(lambda u: 0.5 * u.abs().sum(dim=1), shrink, move)
        return Structure(penalty=penalty, lipschitz=3.62, convex=True)


HELD = {
    "known": torch.tensor([[9.0, 0.9], [9.0, 2.8], [-1.0, 9.0]]),
    "mask": torch.tensor([[0.0, 1.0], [0.0, 1.0], [1.0, 0.0]]),
}


@pytest.mark.parametrize("weight", [1.0, 2.0])
def test_a_penalty_in_y_is_kept_where_a_part_of_y_is_fixed(weight: float) -> None:
    """With y_j fixed at k, y_i = shrink_½(b_i − a_ij k) / a_ii: (2.1 − ½) / 2, shrink_½(0.2) / 2 = 0, (2 − ½) / 3."""
    energy = Clamped(weight * Lasso())
    found = ll.infer(energy, x=HELD, over="y")
    assert type(found.solver).__name__ == "FISTA"
    assert bool(found.exact.all())
    y = energy.complete(HELD, found.value)
    torch.testing.assert_close(y, torch.tensor([[0.8, 0.9], [0.0, 2.8], [-1.0, 0.5]]), rtol=0, atol=1e-4)
    assert float(y[1, 0]) == 0
    # ½ (1.28 + 1.44 + 2.43) − 3.3 + ½ · 1.7, ½ · 23.52 − 2.8 + ½ · 2.8, and ½ (2 − 1 + 0.75) + 2.5 + ½ · 1.5.
    torch.testing.assert_close(found.energy, weight * torch.tensor([0.125, 10.36, 4.125]), rtol=0, atol=1e-4)


def test_the_curvature_beside_an_unknown_penalty_is_no_bound() -> None:
    """The prox of a penalty that is no sum over coordinates is another one where some are fixed."""
    known = bind(Clamped(Lasso(separable=False)), {"x": HELD}, "y").structure
    assert (known.penalty, known.lipschitz, known.convex) == (None, None, True)


def test_a_clamped_energy_keeps_its_constraints_and_starts_from_completed_data() -> None:
    coding, scaled = ll.energies.SparseCoding(4, 6), ll.energies.PCA(2, 1)
    coding.dictionary.data *= 3
    with torch.no_grad():
        Clamped(coding).constrain()
        Clamped(scaled).initialise(HELD, torch.ones(3, 2), PerSampleRNG(0, torch.arange(3)))
    torch.testing.assert_close(coding.dictionary.norm(dim=0), torch.ones(6))
    torch.testing.assert_close(scaled.mean.detach(), torch.tensor([[1.0, 0.9], [1.0, 2.8], [-1.0, 1.0]]).mean(dim=0))


def test_clamped_energy_needs_a_free_x() -> None:
    with pytest.raises(UnsupportedError, match="already takes x"):
        Clamped(Clamped(Smoothness(1, 2)))


def test_thermometer_code() -> None:
    """Sharp it is monotone and binary; smooth it has a gradient and the sharp code as its limit."""
    y = torch.tensor([[-2.0, 0.1], [0.9, 2.0]])
    sharp = Thermometer(2, levels=7, low=-1.0, high=1.0)(y)
    assert set(sharp.unique().tolist()) == {0.0, 1.0}
    assert bool((sharp.reshape(2, 2, 7).diff(dim=2) <= 0).all())
    smooth = Thermometer(2, levels=7, low=-1.0, high=1.0, width=1e-3)(y)
    torch.testing.assert_close(smooth, sharp, rtol=0, atol=1e-4)
    with pytest.raises(OptionError, match="thermometer"):
        Thermometer(2, levels=0, low=0.0, high=1.0)


def test_transformed_keeps_what_is_known_over_z() -> None:
    code = Thermometer(2, levels=4, low=-1.0, high=1.0, width=0.1)
    inner = ll.energies.KMeans(8, 3)
    energy = Transformed(inner, code, y=Reals(2))
    y = torch.randn(5, 2)
    torch.testing.assert_close(ll.free_energy(energy, y).value, ll.free_energy(inner, code(y)).value)
    point = y.requires_grad_()
    (slope,) = torch.autograd.grad(ll.free_energy(energy, point).value.sum(), point)
    assert bool((slope != 0).any())


def test_constraints_of_terms_are_kept() -> None:
    energy = ll.energies.SparseCoding(4, 6)
    energy.dictionary.data *= 3
    whole = Transformed(Sum({"code": energy}), nn.Identity(), y=Reals(4))
    with torch.no_grad():
        whole.constrain()
    torch.testing.assert_close(energy.dictionary.norm(dim=0), torch.ones(6))


def test_coordinate_descent_sees_the_weight_of_a_term() -> None:
    """A weight scales the whole energy, so that its minimiser stays where it is, whichever prox the solver takes."""
    coding = ll.energies.SparseCoding(4, 6, sparsity=0.2)
    y = torch.randn(5, 4, generator=torch.Generator().manual_seed(3))
    alone = ll.infer(coding, y=y, over="z", solver=ll.solvers.FISTA(max_steps=2000, tol=1e-6))
    for solver in (ll.solvers.CoordinateDescent(max_steps=500, tol=1e-6), ll.solvers.FISTA(max_steps=2000, tol=1e-6)):
        weighted = ll.infer(3.0 * coding, y=y, over="z", solver=solver)
        torch.testing.assert_close(weighted.energy, 3.0 * alone.energy, rtol=1e-5, atol=1e-6)


def test_expectation_maximisation_trains_a_multiple_as_the_energy(generator: torch.Generator) -> None:
    """The centres of 2·E + 0·E, from the same start, are those of E to the last bit."""
    batch = ll.shaping.Batch(torch.randn(50, 2, generator=generator))
    centres = []
    for change in (lambda energy: energy, lambda energy: 2.0 * energy, lambda energy: energy + 0.0 * Smoothness(1, 2)):
        energy, shaping = ll.energies.KMeans(2, 4), ll.shaping.ExpectationMaximisation(replace_after=2)
        shaping.prepare(change(energy), batch)
        for _ in range(5):
            shaping.update(change(energy), batch)
        centres.append(energy.centres.detach())
    assert torch.equal(centres[0], centres[1])
    assert torch.equal(centres[0], centres[2])


def test_a_sum_of_several_terms_offers_no_statistics() -> None:
    energy, batch = ll.energies.KMeans(4, 3) + Smoothness(2, 2), ll.shaping.Batch(torch.zeros(5, 4))
    with pytest.raises(UnsupportedError, match=r"`refit`, `statistics`, such as .*KMeans.* but this is a Sum"):
        ll.shaping.ExpectationMaximisation().update(energy, batch)
    with pytest.raises(UnsupportedError, match="positive number"):
        ll.shaping.ExpectationMaximisation().update(-1.0 * ll.energies.KMeans(4, 3), batch)


def test_straight_through_and_bounds_see_the_weight() -> None:
    """Straight-through scales with E; the entropy in the variational bound does not."""
    y = ll.shaping.Batch(torch.ones(2, 4))
    code, vae = ll.energies.VQVAE(4, groups=2), ll.energies.VariationalAutoencoder(4, 2)
    one, two = (ll.shaping.StraightThrough()(energy, y).losses["energy"] for energy in (code, 2.0 * code))
    torch.testing.assert_close(two, 2 * one)
    same = [ll.shaping.VariationalFreeEnergy()(energy, y).losses["energy"] for energy in (vae, 1.0 * vae)]
    assert torch.equal(*same)
    with pytest.raises(UnsupportedError, match="without the weight"):
        ll.shaping.VariationalFreeEnergy()(2.0 * vae, y)


def test_vector_quantisation_does_not_train_the_codebook_of_a_multiple_by_gradient() -> None:
    energy = ll.energies.VQVAE(4, groups=2)
    trained = list(ll.shaping.VectorQuantisation().groups(1.0 * energy)["energy"])
    assert all(parameter is not energy.codebook for parameter in trained)
    assert len(trained) == len(list(energy.parameters())) - 1


def test_minimum_energy_names_itself_where_a_latent_has_no_prior() -> None:
    energy = ll.energies.SparseCoding(4, 6)
    with pytest.raises(DomainError, match=r"MinimumEnergy shapes F_β with β = 1.*unbounded"):
        ll.shaping.MinimumEnergy(beta=1.0)(energy, ll.shaping.Batch(torch.ones(2, 4)))


def test_a_transformed_y_keeps_the_energies_of_candidates() -> None:
    plan = ll.planning.PlanEnergy.reference_case()
    inner, x = plan.energy, plan.given["x"]
    domain = inner.domain("y")
    energy = Transformed(1.0 * inner, nn.Tanh(), y=Reals(*domain.shape))
    problem = bind(energy, {"x": x}, "y")
    assert problem.structure.candidates is not None
    points = torch.randn(problem.batch, 3, problem.size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        each = torch.stack([problem.value(points[:, n]) for n in range(3)], dim=1)
        torch.testing.assert_close(problem.candidates(points), each)

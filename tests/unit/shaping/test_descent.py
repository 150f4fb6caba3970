"""`Descent` trains a landscape down which the solver arrives, and says what it cannot train."""

from __future__ import annotations

import pytest
import torch

import lowland as ll
from lowland.data.problems import inverse_columns
from lowland.errors import OptionError, UnsupportedError


def test_descent_comes_closer_after_training_and_closer_with_more_steps() -> None:
    generator = torch.Generator().manual_seed(0)
    data, (x, y) = inverse_columns(500, 3, 0.5, generator), inverse_columns(50, 3, 0.5, generator)
    energy = ll.energies.FactorGraph("linear_system", 3, generator=generator)
    before = ll.evaluation.descended(energy, x, y, (5, 40)).errors
    solver = ll.solvers.GradientDescent(1.0, momentum=0.5, max_steps=5, tol=None)
    ll.fit(energy, data, ll.shaping.Descent(solver), max_steps=150, lr=5e-3, clip=1.0, validation=0.0, progress=False)
    after = ll.evaluation.descended(energy, x, y, (5, 40)).errors
    assert after[5] < 0.5 * before[5]
    assert after[40] < after[5]


def test_a_share_of_rows_starts_near_the_answer() -> None:
    x, y = inverse_columns(400, 3, 0.5, torch.Generator().manual_seed(0))
    energy, batch = ll.energies.FactorGraph("linear_system", 3), ll.shaping.Batch(y, x)
    start = ll.shaping.Descent(near=0.25).start(energy, batch)
    far = (start == 0).all(dim=1)
    assert 0.65 < far.float().mean().item() < 0.85
    assert bool((ll.shaping.Descent(near=0.0).start(energy, batch) == 0).all())
    # Noise of at most 1e-6 standard deviations leaves y as it is, to rounding.
    near = ll.shaping.Descent(near=1.0, spread=1e-6).start(energy, batch)
    torch.testing.assert_close(near, y, rtol=1e-5, atol=1e-4)


def test_rows_that_start_at_the_answer_of_a_right_energy_lose_nothing() -> None:
    case = ll.energies.FactorGraph.reference_case()
    batch = ll.shaping.Batch(case.minimiser, case.given["x"])
    solver = ll.solvers.GradientDescent(1.0, max_steps=1, tol=None)
    found = ll.shaping.Descent(solver, near=0.0)(case.energy, batch)
    # ½‖y − b‖² is minimal after one step of 1.
    assert found.losses["energy"].item() < 1e-6
    assert found.metrics["error"].item() < 1e-6


def test_steps_ahead_bring_the_start_down_and_leave_rows_that_run_away() -> None:
    case = ll.energies.FactorGraph.reference_case()
    batch = ll.shaping.Batch(case.minimiser, case.given["x"])
    starts: list[torch.Tensor] = []

    class Seen(ll.energies.FactorGraph):
        def energy(self, x, y, z):
            starts.append(y.detach().clone())
            return super().energy(x, y, z)

    def first_with_gradient(scale: float, ahead: int) -> torch.Tensor:
        energy = Seen("linear_system", 3, channels=1, hidden=2)
        energy.load_state_dict(case.energy.state_dict())
        energy.quadratic.weight.data.mul_(scale)
        solver = ll.solvers.GradientDescent(0.5, max_steps=1, tol=None)
        ll.shaping.Descent(solver, near=0.0, ahead=ahead)(energy, batch)
        return starts[-1]  # the last value is that of the one step that is differentiated, or of its end

    torch.testing.assert_close(first_with_gradient(1.0, 200), batch.y, atol=1e-3, rtol=0)
    assert (first_with_gradient(1.0, 0) - batch.y).abs().max() > 0.1
    assert bool(first_with_gradient(-1.0, 200).isfinite().all())  # E falls without end, and rows go back to their start


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"solver": ll.solvers.GradientDescent(1.0, max_steps=5)}, "tol=None"),
        ({"solver": ll.solvers.GradientDescent(1.0, max_steps=0, tol=None)}, "max_steps"),
        ({"near": 1.5}, "near"),
        ({"spread": 0.0}, "spread"),
        ({"ahead": -1}, "ahead"),
    ],
)
def test_bad_options_are_named(options, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        ll.shaping.Descent(**options)


def test_an_energy_with_a_latent_is_refused() -> None:
    energy = ll.energies.SparseCoding(n_features=4, n_atoms=8)
    with pytest.raises(UnsupportedError, match="continuous y"):
        ll.shaping.Descent()(energy, ll.shaping.Batch(torch.ones(2, 4)))

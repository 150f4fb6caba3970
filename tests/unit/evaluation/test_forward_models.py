"""Scores of forecasts against closed forms, and a world whose answers are known."""

from __future__ import annotations

import math

import pytest
import torch

from lowland.errors import LowlandError
from lowland.evaluation.forward_models import (
    COPY,
    MODEL,
    VELOCITY,
    coverage,
    crps,
    error_ahead,
    errors_by_horizon,
    imagine,
    residual_futures,
    sensitivity,
)
from lowland.worlds import windows
from lowland.worlds.linear import LinearWorld

NOISE = torch.Generator().manual_seed(0)


def test_crps_of_a_gaussian_is_its_closed_form() -> None:
    """CRPS(N(0, 1), y) = y (2Φ(y) − 1) + 2φ(y) − 1/√π (Gneiting & Raftery 2007, equation 5); 400 samples and 500
    repetitions leave a standard error of about 0.05 · √(1 / 500) = 0.002: five of them."""
    samples, truth = torch.randn(500, 400, 1, 1, generator=NOISE), torch.full((500, 1, 1), 0.7)
    normal = torch.distributions.Normal(0.0, 1.0)
    y = truth[0, 0, 0]
    exact = y * (2 * normal.cdf(y) - 1) + 2 * normal.log_prob(y).exp() - 1 / math.sqrt(math.pi)
    torch.testing.assert_close(crps(samples, truth).mean(), exact, rtol=0, atol=0.01)


def test_crps_is_the_mean_over_all_pairs() -> None:
    samples, truth = torch.randn(3, 6, 2, 4, generator=NOISE), torch.randn(3, 2, 4, generator=NOISE)
    pairs = (samples[:, :, None] - samples[:, None]).abs().sum(dim=(1, 2)) / (6 * 5)
    torch.testing.assert_close(crps(samples, truth), (samples - truth[:, None]).abs().mean(dim=1) - 0.5 * pairs)
    torch.testing.assert_close(crps(samples[:, :1], truth), (samples[:, 0] - truth).abs())


def test_coverage_of_draws_like_the_truth_is_what_it_should_be() -> None:
    """20,000 independent draws: five standard deviations of a share of 0.8 are 0.014."""
    samples, truth = torch.randn(20_000, 9, 1, 1, generator=NOISE), torch.randn(20_000, 1, 1, generator=NOISE)
    nominal, found = coverage(samples, truth)
    assert nominal == pytest.approx(0.8)
    assert float(found) == pytest.approx(0.8, abs=0.014)


def test_a_world_that_is_right_has_no_error_and_listens_to_its_actions() -> None:
    world = LinearWorld([[1.0, 0.1], [0.0, 1.0]], [[0.0], [0.1]])
    actions = torch.randn(60, 1, generator=NOISE)
    states = [torch.tensor([[0.0, 2.0]])]
    with torch.no_grad():
        for action in actions:
            states.append(world.step({"state": states[-1]}, action[None])["state"])
    x, y = windows([{"state": torch.cat(states), "actions": actions}], horizon=6)
    past, now = x["state"], {"state": y["state"][:, 0]}
    x, y = {"state": now, "actions": x["actions"][:, 1:]}, {"state": y["state"][:, 1:]}
    errors = errors_by_horizon(world, x, y, past)
    assert float(errors[MODEL].max()) < 1e-5
    assert float(errors[VELOCITY][0]) < float(errors[COPY][0])
    found = sensitivity(world, x, y)
    assert found["zero", "own"] < 1e-5 < found["zero", "swapped"]


def test_futures_of_a_noisy_world_have_its_spread() -> None:
    """A walk of N(0, 1) steps: after t of them its variance is t. 4,000 draws: five deviations are 5 · √(2 / 4000)."""
    world = LinearWorld([[1.0]], [[1.0]], disturbance=[[1.0]])
    x = {"state": {"state": torch.zeros(4, 1)}, "actions": torch.zeros(4, 3, 1)}
    found = imagine(world, x, count=1000).flatten(0, 1).var(dim=0)[:, 0]
    torch.testing.assert_close(found / torch.arange(1, 4), torch.ones(3), rtol=0, atol=0.12)
    assert torch.equal(imagine(world, x, 3, seed=1), imagine(world, x, 3, seed=1))


def test_the_error_ahead_is_that_of_a_world_that_lacks_a_force() -> None:
    """Really s[t+1] = s[t] + a[t] + 0.5, in the model without the 0.5: off by 0.5 k in each feature after k steps."""
    world = LinearWorld([[1.0, 0.0], [0.0, 1.0]], [[1.0], [1.0]])
    actions = torch.randn(3, 12, 1, generator=NOISE)
    path = torch.cat([torch.zeros(3, 1, 2), (actions.expand(3, 12, 2) + 0.5).cumsum(dim=1)], dim=1)
    assert error_ahead(world, {"state": path}, actions, steps=4) == pytest.approx(2.0 * math.sqrt(2), rel=1e-5)
    assert error_ahead(world, {"state": path}, actions, steps=8, every=3) == pytest.approx(4.0 * math.sqrt(2), rel=1e-5)
    with pytest.raises(LowlandError, match="steps must be from 1 to 11"):
        error_ahead(world, {"state": path}, actions, steps=12)


def test_residual_futures_add_one_whole_path_of_known_errors() -> None:
    """The known paths were off by 1, 2, 3 and by −1, −2, −3: each future is one of them, in all steps."""
    world = LinearWorld([[1.0]], [[1.0]])
    line = torch.arange(1.0, 4.0)[:, None]
    known = {"state": {"state": torch.zeros(2, 1)}, "actions": torch.zeros(2, 3, 1)}
    x = {"state": {"state": torch.full((5, 1), 10.0)}, "actions": torch.zeros(5, 3, 1)}
    happened = {"state": torch.stack([line, -line])}
    found = residual_futures(world, x, known, happened, 40, torch.Generator().manual_seed(0)) - 10
    signs = found[:, :, 0, 0]
    assert set(signs.flatten().tolist()) == {-1.0, 1.0}
    torch.testing.assert_close(found, signs[:, :, None, None] * line)


def test_what_cannot_be_is_said() -> None:
    with pytest.raises(LowlandError, match="must match"):
        crps(torch.zeros(2, 3, 4, 1), torch.zeros(2, 3, 1))
    with pytest.raises(LowlandError, match="level"):
        coverage(torch.zeros(2, 3, 4, 1), torch.zeros(2, 4, 1), level=1.0)
    with pytest.raises(LowlandError, match="At least one future"):
        imagine(LinearWorld([[1.0]], [[1.0]]), {"state": {}, "actions": torch.zeros(1, 1, 1)}, 0)

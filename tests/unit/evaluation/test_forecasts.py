"""Reports that compare forward models: what a model that is right scores, and what the curves of seeds average to."""

from __future__ import annotations

import pytest
import torch

from lowland.evaluation.forecasts import PAST_ERRORS, compare_forecasts, dependence, mean_curve
from lowland.evaluation.forward_models import COPY, MODEL
from lowland.worlds import ForwardTraining, LinearWorld, Posterior, VectorWorld
from lowland.worlds.forward import spaced_starts


def path(steps: int = 60) -> dict[str, torch.Tensor]:
    """A mass that is pushed at random: exactly what the world of `pushed` predicts."""
    generator = torch.Generator().manual_seed(0)
    actions = torch.randn(steps, 1, generator=generator)
    states = [torch.zeros(1, 2)]
    with torch.no_grad():
        for action in actions:
            states.append(pushed().step({"state": states[-1]}, action[None])["state"])
    return {"state": torch.cat(states), "actions": actions}


def pushed() -> LinearWorld:
    return LinearWorld([[1.0, 0.1], [0.0, 1.0]], [[0.0], [0.1]])


def test_a_world_that_is_right_has_no_errors_and_depends_on_its_actions() -> None:
    starts = spaced_starts([path()], steps=5, most=20)
    found = compare_forecasts({"exact": (pushed(), ForwardTraining())}, starts, starts, 9, torch.Generator())
    assert float(found.errors[MODEL].max()) < 1e-6
    assert float(found.errors[COPY][-1]) > 0.1
    assert float(found.crps["exact"].max()) < 1e-6
    assert list(found.coverage) == ["exact" + PAST_ERRORS]
    assert found.swapped("exact", "zero") > 100
    assert not found.kl


def test_only_models_with_a_posterior_have_a_kl_and_futures() -> None:
    generator = torch.Generator().manual_seed(0)
    trail = {"observation": torch.randn(40, 2, generator=generator), "actions": torch.zeros(39, 1)}
    models = {
        "plain": (VectorWorld(2, 1, latents=2), ForwardTraining()),
        "latent": (VectorWorld(2, 1, latents=2), ForwardTraining(Posterior(2, 1, latents=2))),
    }
    starts = spaced_starts([trail], steps=4, most=10)
    found = compare_forecasts(models, starts, starts, 9, generator)
    assert list(found.kl) == ["latent"]
    assert found.shown["latent"].shape == (4, 9, 4, 2)
    sensitivity, _ = dependence(models, starts.x, starts.y)
    assert sensitivity["plain"] == found.sensitivity["plain"]
    assert {row[0] for row in sensitivity["latent"]} == {"zero", "prior", "posterior"}
    other = found._replace(crps={"latent": 3 * found.crps["latent"]})
    assert mean_curve([found, other], "crps", "latent") == pytest.approx((2 * found.crps["latent"]).tolist())


def test_starts_are_spaced_over_all_trajectories_and_know_the_state_before() -> None:
    long, short = ({"state": torch.arange(n + 1.0)[:, None], "actions": torch.zeros(n, 1)} for n in (30, 3))
    found = spaced_starts([long, short, long], steps=5, most=6)
    assert len(found.x["actions"]) == 6
    assert torch.equal(found.x["state"]["state"], found.before["state"] + 1)
    assert torch.equal(found.y["state"][:, 0], found.x["state"]["state"] + 1)
    assert found.before["state"].flatten().tolist() == [0, 10, 20, 0, 10, 20]

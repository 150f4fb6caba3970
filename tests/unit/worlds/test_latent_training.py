"""What keeps the codes of a latent world from collapsing, and what must not count as variance."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lowland.errors import CollapseError, OptionError, UnsupportedError
from lowland.shaping.base import Batch
from lowland.worlds.forward import ForwardModel
from lowland.worlds.latent import LatentWorld
from lowland.worlds.latent_training import LatentTraining
from lowland.worlds.vector import VectorWorld


def batch(images: Tensor) -> Batch:
    """Clips (B, T + 1, 1, 8, 8) under actions of zero."""
    x = {"state": {"image": images[:, 0]}, "actions": torch.zeros(len(images), images.shape[1] - 1, 2)}
    return Batch({"image": images[:, 1:]}, x)


def parts(images: Tensor, between: int = 0) -> dict[str, Tensor]:
    world = LatentWorld((1, 8, 8), 4, (4,), hidden=8)
    data = batch(images)
    energy = ForwardModel(world, data.x["state"], images.shape[1] - 1)
    return dict(LatentTraining(4, 2, between, hidden=8)(energy, data).metrics)


def test_what_never_changes_in_an_episode_is_no_variance() -> None:
    """Each episode has a picture of its own, which stays: codes vary between episodes, not within. By hand then every
    deviation is √ε = 0.01, and v = 1 − 0.01."""
    still = torch.rand(16, 1, 1, 8, 8, generator=torch.Generator().manual_seed(0)).expand(-1, 4, -1, -1, -1)
    found = parts(still)
    assert float(found["variance"]) == pytest.approx(0.99, abs=1e-4)
    assert float(found["change"]) == pytest.approx(0.0, abs=1e-9)
    moving = torch.rand(16, 4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert float(parts(moving)["variance"]) < 0.99


def test_what_differs_between_episodes_is_variance_where_it_is_asked_for() -> None:
    """With all numbers between episodes, v is that of the codes themselves; with half of them, the mean of both."""
    still = torch.rand(16, 1, 1, 8, 8, generator=torch.Generator().manual_seed(0)).expand(-1, 4, -1, -1, -1)
    with torch.no_grad():
        codes = LatentWorld((1, 8, 8), 4, (4,), hidden=8).encoder(still.flatten(0, 1))
    narrow = (1 - (codes.var(dim=0) + 1e-4).sqrt()).clamp_min(0)
    assert float(parts(still, 4)["variance"]) == pytest.approx(float(narrow.mean()), abs=1e-6)
    assert float(parts(still, 2)["variance"]) == pytest.approx(float(narrow[:2].mean() + 0.99) / 2, abs=1e-4)


def test_codes_that_collapse_stop_the_training() -> None:
    """The codes vary at the first step, and no longer at the second."""
    moving = batch(torch.rand(16, 4, 1, 8, 8, generator=torch.Generator().manual_seed(0)))
    energy = ForwardModel(LatentWorld((1, 8, 8), 8, (4,), hidden=8), moving.x["state"], 3)
    shaping = LatentTraining(8, 2, hidden=8, alarm=1)
    shaping(energy, moving)
    shaping.after_step(energy, moving)
    with pytest.raises(CollapseError, match="The embeddings collapsed: at step 1"):
        shaping(energy, batch(torch.zeros(16, 4, 1, 8, 8)))


def test_other_worlds_and_negative_weights_are_refused() -> None:
    energy = ForwardModel(VectorWorld(2, 2), {"observation": torch.zeros(1, 2)}, 3)
    with pytest.raises(UnsupportedError, match="trains a LatentWorld, not a VectorWorld"):
        LatentTraining(4, 2)(energy, batch(torch.zeros(2, 4, 1, 8, 8)))
    with pytest.raises(OptionError, match="must be at least 0"):
        LatentTraining(4, 2, change=-1.0)
    with pytest.raises(OptionError, match="between must be from 0 to the size of a code, 4, but it is 5"):
        LatentTraining(4, 2, between=5)

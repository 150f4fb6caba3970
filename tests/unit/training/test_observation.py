"""Data of policies whose futures are those of the log."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from lowland.errors import UnsupportedError
from lowland.shaping.base import Batch
from lowland.tensors import take
from lowland.training.observation import with_futures
from lowland.training.samples import Lazy
from lowland.worlds import VectorWorld
from lowland.worlds.base import State, World
from lowland.worlds.forward_training import posterior_futures


class Known(nn.Module):
    """N(s[t+1] − s[t], exp(log_variance)) of the first two numbers of an observation."""

    def __init__(self, log_variance: float) -> None:
        super().__init__()
        self.log_variance = log_variance

    def forward(self, world: World, state: State, action: Tensor, following: State) -> tuple[Tensor, Tensor]:
        change = (following["observation"] - state["observation"])[:, :2]
        return change, torch.full_like(change, self.log_variance)


def segments(count: int = 6, steps: int = 4) -> tuple[dict[str, object], dict[str, Tensor]]:
    path = torch.randn(count, steps + 1, 3, generator=torch.Generator().manual_seed(0))
    return {"state": {"observation": path[:, 0]}, "actions": torch.zeros(count, steps, 1)}, {"observation": path[:, 1:]}


def test_z_is_that_of_the_logged_transition() -> None:
    x, y = segments()
    world = VectorWorld(3, 1, latents=2)
    z = posterior_futures(world, Known(-60.0), x, y, torch.arange(6))
    path = torch.cat([x["state"]["observation"][:, None], y["observation"]], dim=1)  # pyright: ignore[reportIndexIssue]
    torch.testing.assert_close(z, path.diff(dim=1)[..., :2])


def test_z_has_the_deviation_of_the_posterior_up_to_its_bound() -> None:
    """4,000 numbers: the standard error of their deviation is σ / √8000, and the bound of log σ² is 4."""
    x, y = segments(500)
    world, rows = VectorWorld(3, 1, latents=2), torch.arange(500)
    for log_variance, deviation in ((0.0, 1.0), (9.0, 7.389)):
        noise = posterior_futures(world, Known(log_variance), x, y, rows)
        noise = noise - posterior_futures(world, Known(-60.0), x, y, rows)
        assert float(noise.std()) == pytest.approx(deviation, rel=5 / 8000**0.5)


def test_a_segment_has_the_same_future_whenever_it_is_drawn() -> None:
    x, y = data = segments()
    world = VectorWorld(3, 1, latents=2)
    lazy = Lazy(6, lambda rows: Batch(take(y, rows), take(x, rows)))
    rows = torch.tensor([4, 1])
    whole = posterior_futures(world, Known(0.0), x, y, torch.arange(6), seed=3)
    for source in (data, lazy):
        drawn = with_futures(source, world, Known(0.0), seed=3)
        batch = drawn.draw(rows)
        assert drawn.count == 6
        assert torch.equal(batch.x["futures"], whole[rows][:, None])
        assert torch.equal(batch.x["state"]["observation"], x["state"]["observation"][rows])  # pyright: ignore[reportIndexIssue]
        assert torch.equal(batch.y, torch.zeros(2, 4, 1))


def test_a_model_without_a_latent_has_no_future_to_infer() -> None:
    x, y = segments()
    with pytest.raises(UnsupportedError, match="VectorWorld was made without latents"):
        posterior_futures(VectorWorld(3, 1), Known(0.0), x, y, torch.arange(6))

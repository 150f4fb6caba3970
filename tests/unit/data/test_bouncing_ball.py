"""The film of a ball: where it is in each frame, and that the past does not tell the direction."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lowland.data.bouncing_ball import bouncing_ball
from lowland.errors import OptionError


def _places(frames: Tensor) -> tuple[Tensor, Tensor]:
    """Centres of mass: (columns, rows)."""
    line, mass = torch.arange(frames.shape[-1]).float(), frames.sum(dim=(-2, -1))
    return (frames.sum(dim=-2) * line).sum(dim=-1) / mass, (frames.sum(dim=-1) * line).sum(dim=-1) / mass


def test_it_falls_and_rises_at_one_speed() -> None:
    """Discs are cut off at a grey level of 0.001 and at the edges, which moves centres by less than 0.1 pixels."""
    films = bouncing_ball(200, side=24, past=3, future=5)
    _, down = _places(films.past)
    _, up = _places(films.future)
    torch.testing.assert_close(down.diff(dim=1), torch.full((200, 2), 1.4), rtol=0, atol=0.1)
    torch.testing.assert_close(up[:, 1:].diff(dim=1), torch.full((200, 3), -1.4), rtol=0, atol=0.1)
    assert 0 <= float(films.future.min()) <= float(films.future.max()) <= 1


def test_velocities_are_those_of_the_film_and_not_of_the_past() -> None:
    """A correlation of 1,000 independent pairs has a deviation of 0.032: four of it are 0.13."""
    films = bouncing_ball(1000, side=24)
    across, _ = _places(films.future)
    free = ((across > 6) & (across < 17)).all(dim=1)
    torch.testing.assert_close(across.diff(dim=1)[free].mean(dim=1), films.velocity[free], rtol=0, atol=0.1)
    before = _places(films.past)[0].diff(dim=1).mean(dim=1)
    assert abs(float(torch.corrcoef(torch.stack([before, films.velocity]))[0, 1])) < 0.13


def test_the_same_generator_draws_the_same_films_without_denormal_numbers() -> None:
    one, other = (bouncing_ball(5, torch.Generator().manual_seed(2)) for _ in range(2))
    assert torch.equal(one.future, other.future)
    assert float(one.past[one.past > 0].min()) >= 1e-3


@pytest.mark.parametrize("options", [{"count": 0}, {"side": 8}, {"past": 0}, {"future": 0}])
def test_films_that_cannot_be(options: dict[str, int]) -> None:
    with pytest.raises(OptionError):
        bouncing_ball(**{"count": 5, **options})  # pyright: ignore[reportArgumentType]

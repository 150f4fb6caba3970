"""Latent worlds from a log: codes of several kinds, their predictors, and an upper level."""

from __future__ import annotations

import pytest
import torch

from lowland.envs.two_rooms import fixed_rooms, record_rooms
from lowland.errors import OptionError
from lowland.training.latent_worlds import (
    AutoCode,
    LatentOptions,
    PixelCode,
    encoded,
    fit_predictor,
    fit_upper,
    upper_world,
)  # fmt: skip
from lowland.worlds.latent import LatentWorld
from lowland.worlds.rollout import rollout

LOG = record_rooms(fixed_rooms, episodes=40, steps=12, size=16)


def off(world: LatentWorld, steps: int = 4) -> tuple[float, float]:
    """Mean squared error of the predicted codes, and of a copy of the first."""
    paths = encoded(world, LOG)
    codes = torch.stack([path["observation"] for path in paths])
    actions = torch.stack([path["actions"] for path in paths])[:, :steps]
    with torch.no_grad():
        found = rollout(world, {"code": codes[:, 0]}, actions, None, steps).states["code"]
    after = codes[:, 1 : steps + 1]
    return float((found - after).square().mean()), float((codes[:, :1] - after).square().mean())


def test_pixels_are_averaged_and_nothing_else() -> None:
    image = torch.arange(16.0).reshape(1, 1, 4, 4) / 16
    torch.testing.assert_close(PixelCode(2)(image), torch.tensor([[2.5, 4.5, 10.5, 12.5]]) / 16)
    white = torch.full((1, 2, 4, 4), 255, dtype=torch.uint8)
    torch.testing.assert_close(PixelCode(2)(white), torch.ones(1, 8))


def test_a_world_of_pixels_learns_without_any_term_against_collapse() -> None:
    world = LatentWorld((2, 16, 16), 128, hidden=64, encoder=PixelCode(8))
    options = LatentOptions(clip=4)
    options.fit_world(world, LOG, torch.Generator(), weights=(0.0, 0.0, 0.0, 0.0), updates=1500)
    error, copy = off(world)
    assert error < 0.5 * copy


def test_the_predictor_of_given_codes_learns_and_the_encoder_stays() -> None:
    encoder = AutoCode((2, 16, 16), 8)
    encoder.fit(LOG, updates=200)
    world = LatentWorld((2, 16, 16), 8, hidden=32, encoder=encoder)
    before = {name: part.clone() for name, part in world.encoder.state_dict().items()}
    fit_predictor(world, LOG, steps=4, updates=300)
    error, copy = off(world)
    assert error < 0.5 * copy
    assert all(torch.equal(part, before[name]) for name, part in world.encoder.state_dict().items())


def test_more_numbers_between_episodes_than_a_code_has_are_refused() -> None:
    options = LatentOptions(code=8, hidden=8, between=9, clip=3, updates=1)
    world = options.new_world(LOG, torch.Generator())
    with pytest.raises(OptionError, match="between must be from 0 to the size of a code, 8, but it is 9"):
        options.fit_world(world, LOG, torch.Generator())


def test_an_auto_encoder_learns_to_tell_pixels() -> None:
    frames = torch.cat([path["observation"] for path in LOG.paths])[:50].movedim(-1, 1) / 255
    encoder = AutoCode((2, 16, 16), 8)
    before = float(encoder.energy(y=frames.flatten(1)).mean().detach())
    encoder.fit(LOG, updates=100)
    assert float(encoder.energy(y=frames.flatten(1)).mean().detach()) < 0.3 * before


def test_an_upper_world_says_where_a_latent_leads() -> None:
    """With the right z, it predicts what several steps did; its encoder is that of the lower world, and is held."""
    generator = torch.Generator().manual_seed(0)
    lower = LatentOptions(code=8, hidden=16, updates=60, clip=3).new_world(LOG, generator)
    upper = upper_world(lower, latents=2, hidden=32, generator=generator)
    before = {name: part.clone() for name, part in lower.state_dict().items()}
    fit_upper(upper, LOG, stride=4, steps=2, updates=400, kl=1e-3)
    assert upper.encoder is lower.encoder
    assert all(torch.equal(part, before[name]) for name, part in lower.state_dict().items())
    codes = torch.stack([path["observation"] for path in encoded(lower, LOG)])
    start, end = codes[:, 0], codes[:, 4]
    z = torch.zeros(len(start), 2, requires_grad=True)
    steps = torch.optim.Adam([z], lr=0.1)
    for _ in range(100):
        steps.zero_grad()
        (upper.step({"code": start}, z)["code"] - end).square().sum().backward()
        steps.step()
    with torch.no_grad():
        error = (upper.step({"code": start}, z)["code"] - end).square().sum()
    assert float(error) < 0.3 * float((start - end).square().sum())

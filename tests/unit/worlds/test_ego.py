"""A model that knows what its own car does: images that answer to actions as a camera in the log draws them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from lowland.data.tracks import Road, Tracks
from lowland.envs.replay import Replay
from lowland.worlds import State, rollout
from lowland.worlds.driving_costs import CARS, LANES, OFF_ROAD
from lowland.worlds.ego import EgoWorld
from lowland.worlds.rollout import at

SIZE, STEPS = (64, 16), 6


@pytest.fixture(scope="module")
def replay() -> Replay:
    """Car 1 drives behind car 2, which stands still, on two lanes."""
    count, rows = 90, np.arange(90)
    x = np.concatenate([1.0 * rows, np.full(count, 40.0)])
    y = np.concatenate([np.full(count, 1.85), np.full(count, 5.55)])
    numbers = np.repeat([1, 2], count)
    ones = np.ones(2 * count)
    road = Road(0.0, 300.0, (0.0, 3.7, 7.4))
    log = Tracks(numbers, np.tile(rows, 2), x, y, 4.5 * ones, 1.8 * ones, 0 * numbers, road)
    return Replay(log, vehicles=[1], until="recording", image=SIZE, history=3)


def still() -> EgoWorld:
    """A model that has learned that what stands, stands, and that nothing is new."""
    world = EgoWorld(SIZE, 3, latents=0, maps=(4, 4))
    last = world.to_frame.layers[-1]
    assert isinstance(last, torch.nn.ConvTranspose2d)
    assert last.bias is not None
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(torch.tensor([0.0, 0.0, 20.0, 0.0]).repeat(3))
    return world


def begin(replay: Replay) -> State:
    state = replay.reset(torch.arange(1))
    return {name: leaf / 255 if name == "image" else leaf for name, leaf in state.items()}


def centre(image: Tensor, channel: int) -> Tensor:
    """Row and column of the middle of what a channel shows, in pixels."""
    shown = image[0, -1, channel]
    grid = torch.stack(torch.meshgrid(*(torch.arange(n, dtype=shown.dtype) for n in shown.shape), indexing="ij"))
    return (grid * shown).sum(dim=(1, 2)) / shown.sum()


@pytest.mark.parametrize("action", [(0.0, 0.0), (1.0, 0.0), (-1.0, 0.0), (0.0, 0.3), (0.0, -0.3), (0.5, 0.2)])
def test_images_answer_to_actions_as_the_camera_draws_them(replay: Replay, action: tuple[float, float]) -> None:
    """The car that stands is where it would be, to a third of a pixel: each of six steps reads between pixels."""
    actions = torch.tensor(action).expand(1, STEPS, 2)
    with torch.no_grad():
        imagined = at(rollout(still(), begin(replay), actions, None, STEPS).states, STEPS - 1)
    for t in range(STEPS):
        replay.step(actions[:, t])
    true = replay.state()
    torch.testing.assert_close(imagined["own"], true["own"])
    torch.testing.assert_close(imagined["path"], true["path"])
    drawn = true["image"] / 255
    torch.testing.assert_close(centre(imagined["image"], CARS), centre(drawn, CARS), rtol=0, atol=0.34)
    for channel in (LANES, CARS, OFF_ROAD):
        told, shown = (image[:, -1, channel].mean() for image in (imagined["image"], drawn))
        torch.testing.assert_close(told, shown, rtol=0.1, atol=0.01)


def test_gradients_of_images_reach_the_actions(replay: Replay) -> None:
    """Braking and turning both move the car that is seen: its row is lower where the own car came nearer."""
    actions = torch.full((1, STEPS, 2), 0.01, requires_grad=True)
    state = begin(replay)
    image = at(rollout(still(), state, actions, None, STEPS).states, STEPS - 1)["image"]
    row, column = centre(image, CARS)
    by_row, by_column = (torch.autograd.grad(part, actions, retain_graph=True)[0][0] for part in (row, column))
    # By `advance` the last change of speed does not yet move the car, and the last turn does turn the image.
    assert bool((by_row[:-1, 0] > 0).all())
    assert by_row[-1, 0] == 0
    assert bool((by_column[:, 1] < 0).all())

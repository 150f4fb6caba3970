"""Driving costs: scenes and pixels worked out by hand, and gradients by finite differences."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from lowland.errors import OptionError, ShapeError
from lowland.planning import PlanEnergy
from lowland.worlds.driving_costs import DrivingCost, PixelDrivingCost, across, along
from lowland.worlds.traffic import TrafficWorld

# The own car is 5 m × 2 m, so m_x is 1 up to (5 − 1)/2 = 2 m and m_y is 1 up to (2 − 1)/2 = 0.5 m and 0 from 2 m on.
# Three lanes of 4 m, from y = 0 to 12. Others are 4 m × 2 m, so they begin 2 m and 1 m before their centres.
SIZE, ROAD = (5.0, 2.0), (0.0, 12.0, 4.0, 2.0)


def scene(
    y: float = 2.0, speed: float = 10.0, angle: float = 0.0, cars: tuple[tuple[float, float], ...] = ()
) -> dict[str, Any]:
    own = torch.tensor([[50.0, y, math.cos(angle), math.sin(angle), speed]], dtype=torch.float64)
    others = torch.zeros(1, max(len(cars), 1), 4, dtype=torch.float64)
    for k, (ahead, beside) in enumerate(cars):
        others[0, k, :2] = own[0, :2] + torch.tensor([ahead, beside])
    return {
        "own": own,
        "size": torch.tensor([SIZE], dtype=torch.float64),
        "cars": others,
        "car_size": torch.tensor([4.0, 2.0], dtype=torch.float64).expand(1, len(others[0]), 2),
        "present": torch.full((1, len(others[0])), float(len(cars) > 0), dtype=torch.float64),
        "road": torch.tensor([ROAD], dtype=torch.float64),
    }


SCENES = {
    # Nobody near, in the middle of a lane whose markings are 2 m away: half a lane, so 0. The road's edge as well.
    "alone in the middle": (scene(), 0.0, 0.0, 0.0),
    # d_safe = 16. The car's tail is 20 − 2 = 18 m ahead: (2 + 16 − 18)/16 = 0.
    "just out of reach": (scene(cars=((20.0, 0.0),)), 0.0, 0.0, 0.0),
    # Tail 10 m ahead: (2 + 16 − 10)/16 = 1/2.
    "half way": (scene(cars=((12.0, 0.0),)), 0.5, 0.0, 0.0),
    # The same behind: the mask is symmetric.
    "half way behind": (scene(cars=((-12.0, 0.0),)), 0.5, 0.0, 0.0),
    # The same at 2 m/s: d_safe = 4, (2 + 4 − 10)/4 < 0.
    "half way and slow": (scene(speed=2.0, cars=((12.0, 0.0),)), 0.0, 0.0, 0.0),
    # Beside, near side 2.25 − 1 = 1.25 m to the left: (2 − 1.25)/(2 − 0.5) = 1/2, and along it overlaps: 1 · 1/2.
    "beside": (scene(cars=((1.0, 2.25),)), 0.5, 0.0, 0.0),
    # Tail 10 m ahead and side 1.25 m to the right: 1/2 · 1/2, and another car 1 m further: the max counts, not the sum.
    "ahead on the right": (scene(cars=((12.0, -2.25), (13.0, -2.25))), 0.25, 0.0, 0.0),
    # y = 6.5 is 1.5 m from the marking at 8: lane 1 − 1.5/2 = 1/4; the road's edges are 5.5 m away.
    "towards a marking": (scene(y=6.5), 0.0, 0.25, 0.0),
    # y = 0.5: the marking at 0 is also the edge: 1 − 0.5/2 = 3/4 for both.
    "towards the edge": (scene(y=0.5), 0.0, 0.75, 0.75),
    # Turned by 30°, y = 6: the marking at 8 comes to (2 − 2.5 · sin 30°)/cos 30° = 0.75/0.866 m: 1 − 0.433 = 0.567.
    "turned": (scene(y=6.0, angle=math.pi / 6), 0.0, 1 - 0.375 / math.cos(math.pi / 6), 0.0),
    # Off the road by 1 m: 1, and the marking at the edge is 1 m away: 1/2.
    "beside the road": (scene(y=-1.0), 0.0, 0.5, 1.0),
}


@pytest.mark.parametrize("name", list(SCENES))
def test_scenes_by_hand(name: str) -> None:
    state, near, lane, off_road = SCENES[name]
    parts = DrivingCost().parts(state)
    assert {key: float(value) for key, value in parts.items()} == pytest.approx(
        {"proximity": near, "lane": lane, "off_road": off_road}, abs=1e-12
    )
    assert float(DrivingCost()(state, torch.zeros(1, 2))) == pytest.approx(near + 0.2 * lane + off_road)
    assert float(DrivingCost(lane=1.0, off_road=0.0)(state)) == pytest.approx(near + lane)


def picture(size: tuple[int, int], channel: int, ahead: float, beside: float) -> torch.Tensor:
    """One white pixel, whose centre is at those metres in a picture of 1 m pixels."""
    image = torch.zeros(1, 3, *size, dtype=torch.float64)
    row, column = size[0] / 2 - ahead - 0.5, size[1] / 2 - beside - 0.5
    assert row == int(row)
    assert column == int(column)
    image[0, channel, int(row), int(column)] = 1
    return image


PIXELS = [
    # channel, metres ahead, to the left, cost
    ("proximity", 1, 10.5, 0.5, 7.5 / 16),
    ("proximity", 1, -1.5, -0.5, 1.0),
    ("proximity", 1, 10.5, -1.5, 7.5 / 16 / 3),
    ("proximity", 1, 18.5, 0.5, 0.0),
    ("proximity", 1, 0.5, 2.5, 0.0),
    ("lane", 0, 1.5, 0.5, 0.75),
    ("lane", 0, -2.5, 1.5, 0.25),
    ("lane", 0, 3.5, 0.5, 0.0),
    ("off_road", 2, 0.5, -1.5, 0.25),
    ("off_road", 2, 0.5, 2.5, 0.0),
]


@pytest.mark.parametrize(("name", "channel", "ahead", "beside", "cost"), PIXELS)
def test_pixels_by_hand(name: str, channel: int, ahead: float, beside: float, cost: float) -> None:
    crop = (40.0, 10.0)
    state = scene() | {"image": picture((40, 10), channel, ahead, beside)}
    price = PixelDrivingCost(crop=crop)
    parts = price.parts(state)
    assert {key: float(value) for key, value in parts.items()} == pytest.approx(
        {"proximity": 0.0, "lane": 0.0, "off_road": 0.0, name: cost}, abs=1e-12
    )
    grey = state | {"image": torch.stack([torch.zeros_like(state["image"]), state["image"] * 255], dim=1).byte()}
    # uint8 images cost the same, to float32, and of a history the last image counts.
    torch.testing.assert_close(price(grey), price(state).float())


def test_gradients_by_finite_differences() -> None:
    cars = ((12.0, 0.3), (9.0, 1.9), (-11.0, -1.7))
    state = scene(y=6.7, angle=0.05, cars=cars)
    fixed = state["own"][:, 4:]

    def vectors(place: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        return DrivingCost()(state | {"own": torch.cat([place, fixed], dim=1), "cars": others})

    place, others = state["own"][:, :4].clone().requires_grad_(), state["cars"].clone().requires_grad_()
    assert torch.autograd.gradcheck(vectors, (place, others))
    assert bool(torch.autograd.grad(vectors(place, others), place)[0].any())

    image = torch.rand(1, 3, 20, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def pixels(picture: torch.Tensor) -> torch.Tensor:
        return PixelDrivingCost(crop=(20.0, 8.0))(state | {"image": picture})

    assert torch.autograd.gradcheck(pixels, (image.requires_grad_(),))


INSIDE = [
    # As above, away from where masks have kinks.
    ("proximity", 1, 9.5, -1.5),
    ("proximity", 1, -10.5, 1.5),
    ("lane", 0, 1.5, 0.5),
    ("lane", 0, -1.5, -1.5),
    ("off_road", 2, 0.5, -1.5),
]


@pytest.mark.parametrize(("name", "channel", "ahead", "beside"), INSIDE)
def test_by_place_the_mask_moves_over_the_image(name: str, channel: int, ahead: float, beside: float) -> None:
    """The gradient is that of the mask at the pixel, whose place on the road is fixed while the car moves and turns."""
    state = scene(angle=0.1) | {"image": picture((40, 10), channel, ahead, beside)}
    price, half_lane = PixelDrivingCost(crop=(40.0, 10.0), by_place=True), state["road"][:, 2] / 2
    start, size = state["own"], state["size"]
    left = torch.stack([-start[:, 3], start[:, 2]], dim=1)
    pixel = start[:, :2] + ahead * start[:, 2:4] + beside * left

    def by_hand(own: torch.Tensor) -> torch.Tensor:
        way, heading = pixel - own[:, :2], torch.nn.functional.normalize(own[:, 2:4], dim=1)
        far = (way * heading).sum(dim=1).abs()
        aside = (way[:, 1] * heading[:, 0] - way[:, 0] * heading[:, 1]).abs()
        if name == "proximity":
            return along(far, own[:, 4], size) * across(aside, size)
        return (far <= size[:, 0] / 2) * (1 - aside / half_lane).clamp_min(0)

    own = start.clone().requires_grad_()
    part = price.parts(state | {"own": own})[name]
    torch.testing.assert_close(part.detach(), PixelDrivingCost(crop=(40.0, 10.0)).parts(state)[name])
    expected, found = (torch.autograd.grad(value.sum(), own)[0] for value in (by_hand(own), part))
    assert bool(expected[:, :2].all())
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_a_steady_cost_keeps_the_reach_with_which_a_plan_begins() -> None:
    """Plans are compared by values, so that a gradient that is cut off would not keep them from stopping the car."""
    own = torch.tensor([[0.0, 2.0, 1.0, 0.0, 10.0]])
    state = {"own": own, "size": torch.tensor([[5.0, 2.0]]), "road": torch.tensor([[0.0, 8.0, 4.0, 2.0]])}
    state |= {"cars": torch.tensor([[[14.0, 2.0, 10.0, 0.0]]]), "car_size": torch.tensor([[[5.0, 2.0]]])}
    state |= {"present": torch.ones(1, 1)}
    world = TrafficWorld(cars=1, dt=0.2, generator=torch.Generator().manual_seed(0))
    for price, stops in ((DrivingCost(lane=0.0), True), (DrivingCost(lane=0.0, steady=True), False)):
        plan = PlanEnergy(world, price, 1)
        going, braking = (plan(x=state, y=torch.tensor([[[a, 0.0]]])) for a in (0.0, -1.0))
        assert bool(braking < going) == stops


def test_a_pace_stands_in_for_the_speed_in_images_too() -> None:
    image, held = {"image": picture((40, 10), 1, 9.5, -1.5)}, torch.tensor([2.0], dtype=torch.float64)
    fast, slow = scene(speed=10.0) | image, scene(speed=2.0) | image
    price = PixelDrivingCost(crop=(40.0, 10.0), steady=True)
    assert float(price.near(slow)) < float(price.near(fast))
    assert float(price.near(fast | {"pace": held})) == float(price.near(slow))
    assert float(price.held(fast)["pace"]) == 10.0
    assert not PixelDrivingCost().held(fast)


def test_slowing_down_is_no_way_to_cheat() -> None:
    state = scene(cars=((12.0, 0.0),))
    own = state["own"].clone().requires_grad_()
    (slope,) = torch.autograd.grad(DrivingCost()(state | {"own": own}).sum(), own)
    assert float(slope[0, 4]) == 0
    assert float(slope[0, 0]) > 0  # but falling back is


def test_bad_weights_and_images_are_named() -> None:
    with pytest.raises(OptionError, match="lane"):
        DrivingCost(lane=-1.0)
    with pytest.raises(ShapeError, match="at least 3 channels"):
        PixelDrivingCost()(scene())

"""Costs of driving: proximity to others, crossing lane markings, leaving the road; for vectors and for images.

Source: Henaff, Canziani & LeCun (ICLR 2019), section 4 and its released code. In the own car's frame, l metres ahead
and c metres to the left of its centre, with its length L, width W and speed v:

- proximity = max over others of m_x(l) m_y(c), with m_x = 1 for |l| ≤ (L − 1)/2, falling linearly to 0 over
  d_safe = 1.5 s · |v| + 1 m, and m_y = 1 for |c| ≤ (W − 1)/2, falling to 0 at |c| = W;
- lane = max over markings with |l| ≤ L/2 of the triangle 1 − |c| / (half a lane);
- off-road = the same mask, over what is not road.

C = proximity + 0.2 · lane in the paper; its code adds off-road with weight 1. The reach of the masks grows with speed,
so speed and size are detached in them: otherwise the gradient would slow the car down to shrink the masks. A search
that compares values of the cost would still do so; for it the state has `pace` (B,), a fixed speed to use in the masks
(see `DrivingCost.held`). Each cost lies in [0, 1].

Shape letters: B samples, K other cars, C channels of an image of H × W pixels, P images of a history.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lowland.errors import OptionError, ShapeError
from lowland.worlds.base import State

CROP = (72.2, 14.8)
"""Size of an image in metres, along and across the heading: twice the look-ahead of 36.1 m, and four lanes."""
LANES, CARS, OFF_ROAD = 0, 1, 2
"""Channels of an image."""


def along(distance: Tensor, speed: Tensor, size: Tensor) -> Tensor:
    """m_x of |l| in metres; `speed` (…,) and `size` (…, 2) are broadcast against it, and no gradient reaches them."""
    full = ((size[..., 0].detach() - 1) / 2).clamp_min(0)
    safe = 1.5 * speed.detach().abs() + 1
    return ((full + safe - distance) / safe).clamp(0, 1)


def across(distance: Tensor, size: Tensor) -> Tensor:
    """m_y of |c| in metres."""
    width = size[..., 1].detach()
    full = ((width - 1) / 2).clamp_min(0)
    return ((width - distance) / (width - full)).clamp(0, 1)


def pace(state: State) -> Tensor:
    """The speed that sets the reach of proximity, (…,): `pace` if the state has it, or else the own speed."""
    return state["pace"] if "pace" in state else state["own"][..., 4]


def proximity(state: State) -> Tensor:
    """(B,), max over the other cars of m_x m_y at the point of their rectangle that is nearest in each direction.

    The rectangles are assumed to have the heading of the own car. Use images where other headings matter.

    >>> own, size = torch.tensor([[0.0, 0.0, 1.0, 0.0, 10.0]]), torch.tensor([[5.0, 2.0]])
    >>> ahead = {"cars": torch.tensor([[[12.5, 0.0, 9.0, 0.0]]]), "car_size": size[None], "present": torch.ones(1, 1)}
    >>> proximity({"own": own, "size": size, **ahead})
    tensor([0.5000])
    """
    own, size = state["own"][..., None, :], state["size"][..., None, :]
    way = state["cars"][..., :2] - own[..., :2]
    dx, dy = own[..., 2], own[..., 3]
    half = state["car_size"] / 2
    ahead = ((way[..., 0] * dx + way[..., 1] * dy).abs() - half[..., 0]).clamp_min(0)
    beside = ((way[..., 1] * dx - way[..., 0] * dy).abs() - half[..., 1]).clamp_min(0)
    return (along(ahead, pace(state)[..., None], size) * across(beside, size) * state["present"]).amax(dim=-1)


def _triangle(aside: Tensor, state: State) -> Tensor:
    """The lane mask of a straight line along the road whose signed distance to the left of the own centre is `aside`.

    Within the car's length the line comes nearer by (L / 2) |sin| of the angle between them.
    """
    own, half_lane = state["own"], state["road"][..., 2] / 2
    cosine, sine = own[..., 2].abs().clamp_min(1e-3), own[..., 3].abs()
    reach = state["size"][..., 0].detach() / 2
    nearest = ((aside.abs() - reach * sine) / cosine).clamp_min(0)
    return (1 - nearest / half_lane).clamp_min(0)


def lane(state: State) -> Tensor:
    """(B,), 1 on a marking and 0 in the middle of a lane.

    >>> road = torch.tensor([[0.0, 8.0, 4.0, 2.0]])
    >>> lane({"own": torch.tensor([[0.0, 3.0, 1.0, 0.0, 9.0]]), "size": torch.tensor([[5.0, 2.0]]), "road": road})
    tensor([0.5000])
    """
    y = state["own"][..., 1]
    right, left, width, first = state["road"].unbind(-1)
    lanes = torch.round((left - right) / width)
    base = first - width / 2
    line = torch.minimum(torch.round((y - base) / width).clamp_min(0), lanes).detach()
    return _triangle(base + line * width - y, state)


def off_road(state: State) -> Tensor:
    """(B,), 1 where the centre passes the edge of the road, 0 half a lane inside of it.

    >>> road = torch.tensor([[0.0, 8.0, 4.0, 2.0]])
    >>> off_road({"own": torch.tensor([[0.0, 1.0, 1.0, 0.0, 9.0]]), "size": torch.tensor([[5.0, 2.0]]), "road": road})
    tensor([0.5000])
    """
    y = state["own"][..., 1]
    inside = torch.minimum(y - state["road"][..., 0], state["road"][..., 1] - y).clamp_min(0)
    return _triangle(inside, state)


class DrivingCost:
    """C(s) = proximity + w_lane · lane + w_off · off-road of the traffic state, for `PlanEnergy` and for policies.

    Args:
        lane: w_lane, 0.2 in the paper.
        off_road: w_off, 1 in the released code, 0 in the paper.
        steady: in a plan, the reach of proximity is set by the speed at the start of the plan. Otherwise solvers that
            compare values, such as CEM or a line search, stop the car on the road, which makes the reach small.

    >>> road = torch.tensor([[0.0, 8.0, 4.0, 2.0]])
    >>> state = {"own": torch.tensor([[0.0, 3.0, 1.0, 0.0, 9.0]]), "size": torch.tensor([[5.0, 2.0]]), "road": road}
    >>> state |= {"cars": torch.zeros(1, 1, 4), "car_size": torch.ones(1, 1, 2), "present": torch.zeros(1, 1)}
    >>> DrivingCost()(state)
    tensor([0.1000])
    """

    def __init__(self, lane: float = 0.2, off_road: float = 1.0, steady: bool = False) -> None:
        for name, weight in (("lane", lane), ("off_road", off_road)):
            if not 0 <= weight < math.inf:
                raise OptionError(f"The weight of {name} must be a finite number of at least 0, but it is {weight}.")
        self.lane, self.off_road, self.steady = lane, off_road, steady

    def held(self, state: State) -> State:
        """Values that are held fixed from the start of a plan; `PlanEnergy` adds them to s[0]."""
        return {"pace": pace(state)} if self.steady else {}

    def parts(self, state: State) -> dict[str, Tensor]:
        """The three costs by name, (B,) each and not weighted."""
        return {"proximity": proximity(state), "lane": lane(state), "off_road": off_road(state)}

    def __call__(self, state: State, action: Tensor | None = None) -> Tensor:
        parts = self.parts(state)
        return parts["proximity"] + self.lane * parts["lane"] + self.off_road * parts["off_road"]


class PixelDrivingCost(DrivingCost):
    """The same costs as maxima over pixels of mask · channel, with masks at the centres of the pixels.

    The state has `image` (B, C, H, W), or (B, P, C, H, W) of which the last is used, as floating-point numbers in
    [0, 1] or uint8, with the channels lane markings, other cars, off-road (or the own car: then `off_road` must be 0).
    Row 0 is ahead and column 0 to the left; see `lowland.envs.picture`. It also has `own`, `size` and `road`.

    A sharp image is constant inside and outside a car, so that the maximum has almost no gradient with respect to the
    image. With `by_place` the gradient is that of the same cost in another form: the image is held fixed and the masks
    move over it with the position and heading in `own`, since max_q m(q) I(q + δ) = max_p m(p − δ) I(p). The values are
    the same.

    Args:
        lane, off_road, steady: as in `DrivingCost`.
        crop: metres that the image shows, along and across.
        by_place: differentiate with respect to the own position, which the world moves by kinematics (`EgoWorld`) or
            predicts (`ConvolutionalWorld`); False: with respect to the image.

    Raises:
        ShapeError: if there is no such image, or it has too few channels.

    >>> own = torch.tensor([[0.0, 0.0, 1.0, 0.0, 10.0]], requires_grad=True)
    >>> image = torch.zeros(1, 3, 64, 16)
    >>> image[:, CARS, 22:24] = 1.0  # the end of a car, 9.6 m ahead; the mask falls over 16 m
    >>> state = {"image": image, "own": own, "size": torch.tensor([[5.0, 2.0]])}
    >>> near = PixelDrivingCost(by_place=True).near(state)
    >>> (slope,) = torch.autograd.grad(near.sum(), own)
    >>> near.detach(), slope.flatten().tolist()[:1]
    (tensor([0.5257]), [0.0625])
    """

    def __init__(
        self,
        lane: float = 0.2,
        off_road: float = 1.0,
        crop: tuple[float, float] = CROP,
        by_place: bool = False,
        steady: bool = False,
    ) -> None:
        super().__init__(lane, off_road, steady)
        self.crop, self.by_place = crop, by_place

    def near(self, state: State) -> Tensor:
        """(B,), proximity alone; it needs no `road`."""
        image, ahead, beside, size = self._seen(state)
        speed = pace(state)[:, None, None].to(image.dtype)
        return (along(ahead, speed, size) * across(beside, size) * image[:, CARS]).amax(dim=(1, 2))

    def parts(self, state: State) -> dict[str, Tensor]:
        image, ahead, beside, size = self._seen(state)
        band = (ahead <= size[..., 0].detach() / 2).to(image.dtype)
        mask = band * (1 - beside / (state["road"][:, None, None, 2].to(image.dtype) / 2)).clamp_min(0)
        lane, off_road = ((mask * image[:, channel]).amax(dim=(1, 2)) for channel in (LANES, OFF_ROAD))
        return {"proximity": self.near(state), "lane": lane, "off_road": off_road}

    def _seen(self, state: State) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The newest image (B, C, H, W) in [0, 1], |l| and |c| of its pixels and size, broadcast to (B, H, W)."""
        image = state.get("image")
        if image is None or image.ndim not in (4, 5) or image.shape[-3] < 3:
            shape = None if image is None else tuple(image.shape)
            raise ShapeError(
                "The cost of images needs a state with 'image' (B, C, H, W) of at least 3 channels (lane markings, "
                f"other cars, off-road), but it is {shape}."
            )
        image = image[:, -1] if image.ndim == 5 else image
        image = image if image.is_floating_point() else image / 255
        ahead, left = (
            (0.5 - (torch.arange(count, dtype=image.dtype, device=image.device) + 0.5) / count) * metres
            for count, metres in zip(image.shape[-2:], self.crop, strict=True)
        )
        ahead, left = ahead[:, None], left[None]
        own, size = (state[name][:, None, None].to(image.dtype) for name in ("own", "size"))
        if self.by_place:
            image, still = image.detach(), own.detach()
            dx, dy, x, y = still[..., 2], still[..., 3], *(own - still)[..., :2].unbind(-1)
            turn = dx * own[..., 3] - dy * own[..., 2]
            ahead, left = ahead - (x * dx + y * dy) + left * turn, left - (y * dx - x * dy) - ahead * turn
        return image, ahead.abs(), left.abs(), size

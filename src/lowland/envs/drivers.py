"""Baseline drivers without learning: the human of the log, no action, constant speed, and a rule.

Shape letters: B samples, K nearest cars.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lowland.envs.replay import Policy
from lowland.worlds.kinematics import bounds


def human(state: dict[str, Tensor]) -> None:
    """The car follows its log, so any failure is an error in the evaluation."""


def no_action(state: dict[str, Tensor]) -> Tensor:
    """Constant speed and heading: a = b = 0."""
    return torch.zeros_like(state["own"][:, :2])


def constant_speed(state: dict[str, Tensor]) -> Tensor:
    """Constant speed (a = 0), with b steering to the middle of the nearest lane."""
    return torch.stack([torch.zeros_like(state["own"][:, 0]), keep_lane(state)], dim=1)


def keep_lane(state: dict[str, Tensor], reach: float = 1.5, most: float = 0.1) -> Tensor:
    """(B,), the turn, as a fraction of its bound, that steers back to the middle of the nearest lane.

    The target heading points at the middle of the lane `reach` seconds ahead, at most `most` radians off the road's
    direction; the turn reaches it in half a second.
    """
    _, y, dx, dy, v = state["own"].unbind(1)
    right, left, width, first = state["road"].unbind(1)
    last = torch.round((left - right) / width) - 1
    lane = torch.minimum(torch.round((y - first) / width).clamp_min(0), last)
    wanted = torch.atan((first + lane * width - y) / (reach * v.clamp_min(3.0))).clamp(-most, most)
    turn = (torch.atan2(dy, dx) - wanted) / (0.5 * v.clamp_min(3.0))
    return (turn / bounds(state["size"][:, 0])[:, 1]).clamp(-1, 1)


class IDM:
    """The intelligent driver model of Treiber, Hennecke & Helbing (2000), eq. 1–3, with lane keeping.

    dv/dt = a [1 − (v / v₀)⁴ − (s* / s)²],  s* = s₀ + v T + v (v − v_leader) / (2 √(a b)), with s the gap to the nearest
    car ahead on the path.

    Args:
        speed: v₀ in m/s.
        headway: T in s.
        gap: s₀ in m.
        acceleration, braking: a and b in m/s².

    >>> state = {"own": torch.tensor([[0.0, 1.8, 1.0, 0.0, 10.0]]), "size": torch.tensor([[4.5, 1.8]])}
    >>> state |= {"cars": torch.tensor([[[14.5, 1.8, 5.0, 0.0]]]), "car_size": torch.tensor([[[4.5, 1.8]]])}
    >>> state |= {"present": torch.ones(1, 1), "road": torch.tensor([[0.0, 3.6, 3.6, 1.8]])}
    >>> IDM()(state).sign()
    tensor([[-1.,  0.]])
    """

    def __init__(
        self,
        speed: float = 20.0,
        headway: float = 1.0,
        gap: float = 2.0,
        acceleration: float = 1.5,
        braking: float = 2.5,
    ) -> None:
        self.speed, self.headway, self.gap = speed, headway, gap
        self.acceleration, self.braking = acceleration, braking

    def __call__(self, state: dict[str, Tensor]) -> Tensor:
        own, size, cars = state["own"], state["size"], state["cars"]
        ahead, beside = cars[..., 0] - own[:, None, 0], (cars[..., 1] - own[:, None, 1]).abs()
        in_way = (state["present"] > 0) & (ahead > 0)
        in_way &= beside < (size[:, None, 1] + state["car_size"][..., 1]) / 2 + 0.2
        gap = ahead - (size[:, None, 0] + state["car_size"][..., 0]) / 2
        nearest, which = torch.where(in_way, gap, torch.inf).min(dim=1)
        leader = cars[..., 2].gather(1, which[:, None])[:, 0]
        v = own[:, 4]
        closing = torch.where(torch.isfinite(nearest), v - leader, 0.0)
        wanted = self.gap + (
            v * self.headway + v * closing / (2 * math.sqrt(self.acceleration * self.braking))
        ).clamp_min(0)
        a = self.acceleration * (1 - (v / self.speed) ** 4 - (wanted / nearest.clamp_min(0.1)).square())
        share = (a / bounds(size[:, 0])[:, 0]).clamp(-1, 1)
        return torch.stack([share, keep_lane(state)], dim=1)


def sanity_drivers() -> dict[str, Policy]:
    """The baseline drivers by name.

    >>> list(sanity_drivers())
    ['human', 'no action', 'constant speed', 'IDM']
    """
    return {"human": human, "no action": no_action, "constant speed": constant_speed, "IDM": IDM()}

"""Kinematics of a car: a unicycle with bounded acceleration and turn, and its inverse, actions from a logged path.

Shape letters: B samples, T frames.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lowland.errors import DomainError, ShapeError

ACCELERATION = 6.17
"""Bound of |a| in m/s², from the released code of Henaff, Canziani & LeCun (2019), in metres."""
TURN = 0.0649
"""Bound of |b| in 1/m for a car of at most 3.85 m; smaller for longer cars."""
SLOW = 0.5
"""Speed in m/s below which heading and turn of a logged car are not estimated."""


def bounds(length: Tensor) -> Tensor:
    """(…, 2), the largest |a| in m/s² and |b| in 1/m: 6.17 and 0.0649 · min((3.85 / length)², 1).

    >>> bounds(torch.tensor([3.85, 7.7]))
    tensor([[6.1700, 0.0649],
            [6.1700, 0.0162]])
    """
    turn = TURN * (3.85 / length).square().clamp_max(1.0)
    return torch.stack([torch.full_like(turn, ACCELERATION), turn], dim=-1)


def check_action(action: Tensor, batch: int) -> None:
    """Raise unless an action is (B, 2), finite and in shares of its bounds, −1 to 1.

    >>> check_action(torch.tensor([[0.0, 1.5]]), 1)
    Traceback (most recent call last):
    lowland.errors.DomainError: An action must lie in [-1, 1], in shares of its bounds, but sample 0 has [0.0, 1.5]: \
clamp it, or divide it by lowland.worlds.kinematics.bounds.
    """
    if action.shape != (batch, 2):
        raise ShapeError(f"An action must have shape ({batch}, 2), but it has {tuple(action.shape)}.")
    bad = ~(action.detach().abs() <= 1 + 1e-5).all(dim=1)
    if bool(bad.any()):
        row = int(bad.nonzero()[0])
        raise DomainError(
            f"An action must lie in [-1, 1], in shares of its bounds, but sample {row} has "
            f"{[round(value, 4) for value in action[row].tolist()]}: clamp it, or divide it by "
            "lowland.worlds.kinematics.bounds."
        )


def advance(own: Tensor, action: Tensor, length: Tensor, dt: float) -> Tensor:
    """p⁺ = p + v d dt;  d⁺ = normalise(d + d⊥ b v dt);  v⁺ = max(v + a dt, 0), with d⊥ = (d_y, −d_x).

    Source: Henaff, Canziani & LeCun, "Model-predictive policy learning with uncertainty regularization" (ICLR 2019),
    in the order of its released code: the heading turns with the old speed. Differentiable; the speed has gradient 0
    where it is held at 0. A positive turn is to the right.

    Args:
        own: (…, 5): x, y in metres, the unit vector of the heading, and the speed in m/s.
        action: (…, 2): a and b in shares of `bounds`. Values beyond 1 are not clamped; see `check_action`.
        length: (…,) of the car in metres.
        dt: time step in seconds.

    >>> advance(torch.tensor([[0.0, 0.0, 1.0, 0.0, 10.0]]), torch.zeros(1, 2), torch.tensor([4.0]), 0.2)
    tensor([[ 2.,  0.,  1.,  0., 10.]])
    """
    limit = bounds(length)
    x, y, dx, dy, v = own.unbind(-1)
    a, b = (action * limit).unbind(-1)
    swing = b * v * dt
    turned_x, turned_y = dx + dy * swing, dy - dx * swing
    norm = torch.sqrt(turned_x.square() + turned_y.square())
    faster = (v + a * dt).clamp_min(0)
    return torch.stack([x + v * dx * dt, y + v * dy * dt, turned_x / norm, turned_y / norm, faster], dim=-1)


def inverse(path: Tensor, length: Tensor, dt: float, every: int = 1) -> tuple[Tensor, Tensor]:
    """States and actions of a logged path, so that `advance` takes each state to the one `every` frames later.

    v d = (p[t + n] − p[t]) / (n dt), a = (v[t + n] − v[t]) / (n dt) and b v n dt = tan of the angle from d[t] to
    d[t + n], with n = `every`. Neither clipped nor smoothed. Below 0.5 m/s a car keeps the heading that it had when it
    last moved, its speed is what it moved along it, and b = 0.

    Args:
        path: (B, T, 2), x and y in metres.
        length: (B,) in metres.
        dt: seconds between frames.
        every: frames between two states that an action connects.

    Returns:
        States (B, T − n, 5) and actions (B, T − 2n, 2) in shares of `bounds`.

    Raises:
        ShapeError: for a path that is too short to have an action.

    >>> path = torch.tensor([[[0.0, 0.0], [1.0, 0.0], [2.1, 0.0]]])
    >>> own, action = inverse(path, torch.tensor([4.0]), dt=0.1)
    >>> own[0, 1].round(decimals=3), (action * 6.17).round(decimals=3)
    (tensor([ 1.,  0.,  1.,  0., 11.]), tensor([[[10.,  0.]]]))
    """
    if path.ndim != 3 or path.shape[2] != 2 or path.shape[1] < 2 * every + 1:
        raise ShapeError(
            f"Actions need a path (B, T, 2) of at least {2 * every + 1} frames, but its shape is {tuple(path.shape)}."
        )
    step = every * dt
    velocity = (path[:, every:] - path[:, :-every]) / step
    speed = velocity.norm(dim=-1)
    heading = _held(velocity / speed.clamp_min(SLOW)[..., None], speed >= SLOW)
    speed = torch.where(speed >= SLOW, speed, (velocity * heading).sum(-1).clamp_min(0))
    own = torch.cat([path[:, :-every], heading, speed[..., None]], dim=-1)

    here, there, v = heading[:, :-every], heading[:, every:], speed[:, :-every]
    along = (here * there).sum(-1)
    across = here[..., 1] * there[..., 0] - here[..., 0] * there[..., 1]
    # A car that turns round within one step has no finite b; what is returned then is large, and clipped by any user.
    tangent = across / torch.where(along.abs() > 1e-6, along, 1e-6)
    b = torch.where(v >= SLOW, tangent / (v.clamp_min(SLOW) * step), 0.0)
    a = (speed[:, every:] - v) / step
    return own, torch.stack([a, b], dim=-1) / bounds(length)[:, None]


def _held(heading: Tensor, moving: Tensor) -> Tensor:
    """Each heading, or where the car stands the last one before, or the first one after, or straight ahead."""
    frames = torch.arange(heading.shape[1], device=heading.device).expand(heading.shape[:2])
    last = torch.where(moving, frames, -1).cummax(dim=1).values
    first = moving.to(torch.int8).argmax(dim=1, keepdim=True)
    source = torch.where(last >= 0, last, first)[..., None].expand_as(heading)
    straight = torch.tensor([1.0, 0.0], dtype=heading.dtype, device=heading.device)
    return torch.where(moving.any(dim=1)[:, None, None], heading.gather(1, source), straight)

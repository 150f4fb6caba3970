"""What a driver sees of the traffic around, as one vector.

Legend: B samples, C other cars, H units.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.nn.layers import linear

_REACH, _SPEED = 20.0, 5.0
_PER_CAR, _OWN = 8, 7


class SceneEncoder(nn.Module):
    """(B, 2H + 7): the own car's speed, heading and place in its lane and on the road, and the others pooled.

    Each other car goes through a layer of H units, weighted by its nearness; the sum and the maximum are kept, so that
    neither the order of the cars nor their number counts (Zaheer et al. 2017, "Deep sets"). Positions and velocities
    are relative to the own car, hence the same anywhere along the road.

    Attributes:
        shapes: of what a state must have for one sample, by name; None is C.
        options: the arguments by which it was made.

    Args:
        hidden: H.
        generator: draws the weights.

    >>> state = {"own": torch.tensor([[0.0, 1.85, 1.0, 0.0, 9.0]]), "size": torch.tensor([[4.5, 1.8]])}
    >>> state |= {"cars": torch.zeros(1, 10, 4), "car_size": torch.ones(1, 10, 2), "present": torch.zeros(1, 10)}
    >>> state |= {"road": torch.tensor([[0.0, 22.2, 3.7, 1.85]])}
    >>> SceneEncoder(32)(state).shape
    torch.Size([1, 71])
    """

    def __init__(self, hidden: int = 64, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.options = {"hidden": hidden}
        self.shapes = {
            "own": (5,), "size": (2,), "cars": (None, 4), "car_size": (None, 2), "present": (None,), "road": (4,)
        }  # fmt: skip
        self.each = linear(_PER_CAR, hidden, generator)
        self.size = 2 * hidden + _OWN

    def forward(self, state: Mapping[str, Tensor]) -> Tensor:
        own, cars, road = state["own"], state["cars"], state["road"]
        x, y, dx, dy, v = own.unbind(dim=-1)
        right, left, width, first = road.unbind(dim=-1)
        me = torch.stack([x, y, v * dx, v * dy], dim=-1)
        along, across, faster, sideways = (cars - me[:, None]).unbind(dim=-1)
        long, wide = (0.5 * (state["car_size"] + state["size"][:, None])).unbind(dim=-1)
        gap, clear = (along.abs() - long) / _REACH, (across.abs() - wide) / width[:, None]
        near = state["present"] * torch.exp(-(gap.clamp_min(0) ** 2) / 2 - (clear.clamp_min(0) ** 2) / 2)
        seen = [
            (along / _REACH).clamp(-3, 3),
            torch.exp(-functional.softplus(8 * gap) / 2),
            torch.tanh(along / 4),
            (across / width[:, None]).clamp(-3, 3),
            clear.clamp(-1, 3),
            (faster / _SPEED).clamp(-3, 3),
            sideways.clamp(-3, 3),
            near,
        ]
        hidden = functional.silu(self.each(torch.stack(seen, dim=-1))) * near[..., None]
        phase = 2 * torch.pi * (y - first) / width
        mine = [
            v / _SPEED - 2,
            10 * dy,
            torch.sin(phase),
            torch.cos(phase),
            torch.exp(-((y - right) / width).clamp_min(-1)),
            torch.exp(-((left - y) / width).clamp_min(-1)),
            state["size"][:, 0] / _SPEED - 1,
        ]
        return torch.cat([torch.stack(mine, dim=-1), hidden.sum(dim=1), hidden.amax(dim=1)], dim=-1)

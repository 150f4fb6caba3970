"""A ball that falls onto rough ground: the direction after the bounce cannot be predicted from the past."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lowland.errors import OptionError

_RADIUS, _FALL, _SPEED, _FLOOR = 1.3, 1.4, 1.6, 1.5


class Bounces(NamedTuple):
    """Films of a bounce.

    `past` (N, P, S, S) and `future` (N, F, S, S) are frames with grey levels from 0 to 1, `velocity` (N,) the
    horizontal velocity after the bounce in pixels per frame, which is independent of the past.
    """

    past: Tensor
    future: Tensor
    velocity: Tensor


def bouncing_ball(
    count: int, generator: torch.Generator | None = None, *, side: int = 16, past: int = 3, future: int = 6
) -> Bounces:
    """Films of a ball that falls, strikes rough ground between two frames, and leaves in a random direction.

    Before the bounce the ball falls 1.4 pixels per frame with a horizontal velocity uniform on ±1 pixel per frame.
    After it, it rises at the same speed, with a new horizontal velocity, uniform on ±1.6. It is reflected by walls. It
    strikes the ground at a random time within one frame after the last frame of the past.

    Args:
        count: N.
        generator: draws positions, velocities and times; by default one with seed 0.
        side: S, at least 12 pixels.
        past, future: P and F.

    Raises:
        OptionError: for a count, a side or a number of frames that is too small.

    >>> films = bouncing_ball(5)
    >>> films.past.shape, films.future.shape
    (torch.Size([5, 3, 16, 16]), torch.Size([5, 6, 16, 16]))
    """
    if count < 1 or side < 12 or past < 1 or future < 1:
        raise OptionError(
            "A film needs count, past and future of at least 1 and a side of at least 12, not "
            f"{count}, {past}, {future} and {side}."
        )
    generator = generator or torch.Generator().manual_seed(0)
    place, before, after, share = torch.rand(4, count, 1, generator=generator, dtype=torch.float32)
    before, after = 2 * before - 1, _SPEED * (2 * after - 1)
    strike = 2.5 + (side - 6) * place
    # Frame k of the past is shown k + share frames before the strike, frame k of the future k + 1 − share after it.
    early = -(torch.arange(past - 1, -1, -1) + share)
    late = torch.arange(1, future + 1) - share
    x = torch.cat([strike + before * early, strike + after * late], dim=1)
    height = _FLOOR + _FALL * torch.cat([-early, late], dim=1)
    frames = _drawn(_mirrored(x, side), side - 1 - _mirrored(height, side), side)
    return Bounces(frames[:, :past], frames[:, past:], after[:, 0])


def _mirrored(place: Tensor, side: int) -> Tensor:
    """Position of a ball that is reflected when it touches an edge."""
    low, high = _FLOOR, side - 1 - _FLOOR
    phase = torch.remainder(place - low, 2 * (high - low))
    return low + torch.minimum(phase, 2 * (high - low) - phase)


def _drawn(x: Tensor, y: Tensor, side: int) -> Tensor:
    """Soft discs (N, T, S, S) at columns x and rows y, (N, T)."""
    line = torch.arange(side, dtype=x.dtype)
    across = (line - x[..., None]).square()
    down = (line - y[..., None]).square()
    frames = torch.exp(-(down[..., :, None] + across[..., None, :]) / _RADIUS**2)
    # Far from the ball a Gaussian is a denormal number, which is slow to compute with.
    return torch.where(frames < 1e-3, 0.0, frames)

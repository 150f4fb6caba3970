"""Functions of which a few points are given: sines of any amplitude and phase (Finn, Abbeel & Levine 2017)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from lowland.errors import OptionError

REACH = 5.0
"""x lies from −5 to 5."""
LEAST, MOST = 0.1, 5.0
"""Amplitudes."""


class SineTasks(NamedTuple):
    """N functions y = A sin(x + φ): `amplitude` and `phase` (N, 1), and S random points of each, `x` and `y` (N, S)."""

    amplitude: Tensor
    phase: Tensor
    x: Tensor
    y: Tensor

    def at(self, x: Tensor) -> Tensor:
        """The functions at points (N, S) or (S,)."""
        return self.amplitude * torch.sin(x + self.phase)


def sine_tasks(count: int, points: int, generator: torch.Generator) -> SineTasks:
    """Draw functions with A from 0.1 to 5, φ from 0 to π and x from −5 to 5, all evenly, as in "MAML" (section 5.1).

    Raises:
        OptionError: for fewer than one function or point.

    >>> tasks = sine_tasks(3, 10, torch.Generator().manual_seed(0))
    >>> tasks.x.shape, torch.equal(tasks.at(tasks.x), tasks.y)
    (torch.Size([3, 10]), True)
    """
    if count < 1 or points < 1:
        raise OptionError(f"There must be at least one function and one point, not {count} and {points}.")
    amplitude = LEAST + (MOST - LEAST) * torch.rand(count, 1, generator=generator)
    phase = math.pi * torch.rand(count, 1, generator=generator)
    x = REACH * (2 * torch.rand(count, points, generator=generator) - 1)
    return SineTasks(amplitude, phase, x, amplitude * torch.sin(x + phase))


def best_sine(x: Tensor, y: Tensor, at: Tensor, ridge: float = 1e-3) -> Tensor:
    """Least squares of sin x and cos x: what is said at other points if the function is known to be a sine.

    Args:
        x, y: known points, (N, S).
        at: points that are asked, (T,); the answer is (N, T).
        ridge: of the squares of both weights.

    >>> tasks = sine_tasks(2, 5, torch.Generator().manual_seed(0))
    >>> at = torch.linspace(-5, 5, 7)
    >>> bool((best_sine(tasks.x, tasks.y, at) - tasks.at(at)).abs().max() < 0.05)
    True
    """
    waves = torch.stack([x.sin(), x.cos()], dim=2)
    matrix = waves.mT @ waves + ridge * torch.eye(2)
    weights = torch.linalg.solve(matrix, waves.mT @ y[:, :, None])
    return (torch.stack([at.sin(), at.cos()], dim=1) @ weights)[:, :, 0]

"""Point sets in the plane, for energies that can be plotted.

Each is centred and scaled to about unit size by fixed constants, never by its sample mean and standard deviation, so
two draws lie on the same curve.

Letters: u uniform on [0, 1], e standard normal, σ the noise; draws for different points are independent.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from lowland.errors import OptionError, nearest

Draw: TypeAlias = Callable[[int, torch.Generator], Tensor]


@dataclass(frozen=True)
class Toy:
    """A point set: `draw(count, generator)` without noise, and its default noise."""

    draw: Draw
    noise: float


TOYS: dict[str, Toy] = {}
SPIRAL_LENGTH = 12.86
"""Of the spiral, in units of y: (θ √(θ² + 1) + arsinh θ) / 4π at θ = 4π."""


def toy(name: str, count: int = 1000, generator: torch.Generator | None = None, noise: float | None = None) -> Tensor:
    """Points from a set in the plane, float32 (count, 2).

    Args:
        name: "ellipse", "spiral", "two_moons", "pinwheel", "gaussian_mixture" or "rings".
        count: number of points.
        generator: draws the points; by default one with seed 0.
        noise: standard deviation σ of Gaussian noise added to each coordinate, in the units of the result. By default
            0.05, but 0 for the pinwheel and 0.15 for the mixture (where it is the width of the components).

    Raises:
        OptionError: for an unknown name, a count below 1 or negative noise.

    >>> toy("spiral", 500).shape
    torch.Size([500, 2])
    """
    if name not in TOYS:
        raise OptionError(f"There is no set of points called {name!r}. {nearest(name, TOYS)}")
    noise = TOYS[name].noise if noise is None else noise
    if count < 1 or not noise >= 0:
        raise OptionError(
            f"A set of points needs a count of at least 1 and no negative noise, not {count} and {noise}."
        )
    generator = generator or torch.Generator().manual_seed(0)
    points_N2 = TOYS[name].draw(count, generator)
    grain = torch.randn(count, 2, generator=generator, dtype=torch.float32)
    return points_N2.to(grain.dtype) + noise * grain


def distance_to(name: str, y: Tensor) -> Tensor:
    """Distance of points (N, 2) to a set in the plane, (N,), as to 20,000 points of it without noise.

    The points of a curve lie closer than 0.01 to each other.

    >>> distance_to("ellipse", torch.tensor([[5.0, 0.0]])).round(decimals=2)
    tensor([3.])
    """
    points = toy(name, 20_000, noise=0.0).to(y)
    return torch.cdist(y, points, compute_mode="donot_use_mm_for_euclid_dist").min(dim=1).values


def _register(noise: float) -> Callable[[Draw], Draw]:
    def enter(draw: Draw) -> Draw:
        TOYS[draw.__name__] = Toy(draw, noise)
        return draw

    return enter


def _uniform(count: int, generator: torch.Generator) -> Tensor:
    return torch.rand(count, generator=generator, dtype=torch.float32)


@_register(noise=0.05)
def ellipse(count: int, generator: torch.Generator) -> Tensor:
    """Points y = (2 sin z, cos z), z = 2πu: the manifold of the energy `Ellipse` with its default radii."""
    angle = 2 * math.pi * _uniform(count, generator)
    return torch.stack([2 * angle.sin(), angle.cos()], dim=1)


@_register(noise=0.05)
def spiral(count: int, generator: torch.Generator) -> Tensor:
    """Points y = z/(2π) · (cos z, sin z) − c, z = 4π√u: two turns of Archimedes' spiral, one unit apart, evenly filled.

    The mean without c is c = (1/(2π²), −1/π), and the mean square radius (1/2π)² (4π)² E u = 2.
    """
    angle = 4 * math.pi * _uniform(count, generator).sqrt()
    around = (angle / (2 * math.pi))[:, None] * torch.stack([angle.cos(), angle.sin()], dim=1)
    return around - around.new_tensor([1 / (2 * math.pi**2), -1 / math.pi])


@_register(noise=0.05)
def two_moons(count: int, generator: torch.Generator) -> Tensor:
    """Points y = √2 ((cos z, sin z) − (½, ¼)) or √2 ((1 − cos z, ½ − sin z) − (½, ¼)), equally likely, z = πu."""
    angle = math.pi * _uniform(count, generator)
    lower = _uniform(count, generator) < 0.5
    across = torch.where(lower, 1 - angle.cos(), angle.cos()) - 0.5
    up = torch.where(lower, 0.5 - angle.sin(), angle.sin()) - 0.25
    return math.sqrt(2) * torch.stack([across, up], dim=1)


@_register(noise=0.0)
def pinwheel(count: int, generator: torch.Generator) -> Tensor:
    """Five arms k, each bent by its own radius: r = 1 + 0.3 e₁, t = 0.1 e₂, y = 1.35 R(2πk/5 + ¼ eʳ) (r, t).

    R(φ) rotates by φ. After Johnson, Duvenaud, Wiltschko, Datta, Adams, "Composing graphical models with neural
    networks for structured representations and fast inference" (2016).
    """
    radius = 1 + 0.3 * torch.randn(count, generator=generator, dtype=torch.float32)
    across = 0.1 * torch.randn(count, generator=generator, dtype=torch.float32)
    arm = torch.randint(5, (count,), generator=generator)
    angle = 2 * math.pi * arm / 5 + 0.25 * radius.exp()
    first = radius * angle.cos() - across * angle.sin()
    second = radius * angle.sin() + across * angle.cos()
    return 1.35 * torch.stack([first, second], dim=1)


@_register(noise=0.15)
def gaussian_mixture(count: int, generator: torch.Generator) -> Tensor:
    """Points y = √2 (cos πk/4, sin πk/4), k uniform on 0 … 7: with noise, eight round Gaussians."""
    angle = math.pi / 4 * torch.randint(8, (count,), generator=generator)
    return math.sqrt(2) * torch.stack([angle.cos(), angle.sin()], dim=1)


@_register(noise=0.05)
def rings(count: int, generator: torch.Generator) -> Tensor:
    """Points y = r (cos z, sin z), z = 2πu, r one of 0.6, 1.2, 1.8 with odds 1 : 2 : 3, so evenly filled."""
    angle = 2 * math.pi * _uniform(count, generator)
    weights = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float32)
    ring = torch.multinomial(weights, count, replacement=True, generator=generator)
    return (0.6 * (ring + 1))[:, None] * torch.stack([angle.cos(), angle.sin()], dim=1)

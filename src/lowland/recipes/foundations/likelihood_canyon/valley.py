"""What is measured of a valley along the spiral: its depth, its walls, and where descent from noisy points ends."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from lowland.data.plane import distance_to, toy
from lowland.energies.base import Energy
from lowland.evaluation.steepness import curvature, slope
from lowland.inference import infer
from lowland.shaping.base import Batch
from lowland.shaping.contrastive.likelihood import MaximumLikelihoodGrid
from lowland.solvers.gradient_descent import GradientDescent

BOX = 2.6
"""Half the side of the square on which densities are normalised, in units of y."""
STEP, MOVES = 0.01, 50
"""Descent that is the same for all."""
TRIED = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
"""Step sizes of descent among which the validation points choose."""


class Probes(NamedTuple):
    """Points on the curve, 0.1 and 0.3 away from them in random directions, and with noise of 0.3, each (N, 2)."""

    on: Tensor
    close: Tensor
    beside: Tensor
    noisy: Tensor


def probes(count: int, generator: torch.Generator, device: str) -> Probes:
    """Points at which energies are measured."""
    on = toy("spiral", count, generator, noise=0.0)
    noise = torch.randn(count, 2, generator=generator)
    away = functional.normalize(noise, dim=1)
    return Probes(*(place.to(device) for place in (on, on + 0.1 * away, on + 0.3 * away, on + 0.3 * noise)))


def measured(energy: Energy, exact: MaximumLikelihoodGrid, validation: Probes, test: Probes) -> dict[str, float]:
    """Depths in nats, lengths in units of y, at the test points; `exact` gives log Z."""
    tried = [_after_descent(energy, validation.noisy, size) for size in TRIED]
    best = TRIED[tried.index(min(tried))]
    with torch.no_grad():
        honest = exact(energy, Batch(test.on)).losses["energy"].item()
        gap = energy(y=test.beside).mean() - energy(y=test.on).mean()
    return {
        "honest": honest,
        "gap": gap.item(),
        "slope": slope(energy, test.close).median().item(),
        "stiffness": curvature(energy, test.on).median().item(),
        "fixed": _after_descent(energy, test.noisy, STEP),
        "chosen": _after_descent(energy, test.noisy, best),
        "step": best,
        "idle": distance_to("spiral", test.noisy).median().item(),
    }


def _after_descent(energy: Energy, start: Tensor, size: float) -> float:
    """Median distance to the curve after descent."""
    found = infer(energy, over="y", solver=GradientDescent(size, max_steps=MOVES, tol=None), init=start)
    return distance_to("spiral", found.value).median().item()

"""Several forward models compared on held-out data: errors, calibration of futures, use of the actions, KL.

Shape letters: B samples, N drawn futures, T steps, D features.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lowland.evaluation.forward_models import (
    coverage,
    crps,
    errors_by_horizon,
    imagine,
    path_features,
    residual_futures,
    sensitivity,
)
from lowland.worlds.base import State, World
from lowland.worlds.forward import Start
from lowland.worlds.forward_training import ForwardTraining, kl_to_normal
from lowland.worlds.rollout import rollout

Models = Mapping[str, tuple[World, ForwardTraining]]
"""Forward models by name, each with its training, whose posterior gives the z of what happened."""
PAST_ERRORS = " + its past errors"
"""Ends the name of the baseline that adds past errors to the answers of a deterministic model."""


class ForecastReport(NamedTuple):
    """Measures of forward models and baselines by name; curves are (T,), one number for each step.

    Attributes:
        errors: of the best single answer, which with z is the mean of the futures.
        crps: see `lowland.evaluation.crps`.
        coverage: share of true values inside the interval that should contain them with probability `level`.
        level: that probability.
        sensitivity: rows [source of z, "own" or "swapped" actions, error], see `lowland.evaluation.sensitivity`.
        kl: of posterior and prior, in nats per step, of models with a posterior.
        shown: a few samples, for pictures.
        uncertainty: further measures of a model's uncertainty, where the caller adds them.
    """

    errors: dict[str, Tensor]
    crps: dict[str, Tensor]
    coverage: dict[str, Tensor]
    level: float
    sensitivity: dict[str, list[list[Any]]]
    kl: dict[str, Tensor]
    shown: dict[str, Any]
    uncertainty: Mapping[str, Any] = {}

    def error(self, name: str, z: str, actions: str) -> float:
        """The error of a model by the source of z and of the actions."""
        return next(error for source, kind, error in self.sensitivity[name] if (source, kind) == (z, actions))

    def swapped(self, name: str, z: str) -> float:
        """The error with another sample's actions over that with a sample's own: 1 where a model ignores them.

        Infinite where a model is exact with its own actions and not with those of others.
        """
        own, other = self.error(name, z, "own"), self.error(name, z, "swapped")
        return 1.0 if own == other else other / own if own else math.inf


@torch.no_grad()
def compare_forecasts(
    models: Models, held_out: Start, training: Start, count: int, generator: torch.Generator, seed: int = 0
) -> ForecastReport:
    """Compare forward models, the first of which has no posterior, on held-out starts.

    Baselines are those of `errors_by_horizon` and, for the futures, the first model with residuals of the training
    data added (`residual_futures`), under its name followed by `PAST_ERRORS`. The errors of the first model stand under
    `forward_models.MODEL`.

    Args:
        models: to compare.
        held_out, training: starts with what followed, see `lowland.worlds.forward.spaced_starts`.
        count: N.
        generator: of the choice of residuals.
        seed: of the latents.

    >>> from lowland.worlds import VectorWorld
    >>> from lowland.worlds.forward import spaced_starts
    >>> path = {"observation": torch.randn(40, 2), "actions": torch.zeros(39, 1)}
    >>> models = {"deterministic": (VectorWorld(2, 1), ForwardTraining())}
    >>> starts = spaced_starts([path], steps=4, most=10)
    >>> found = compare_forecasts(models, starts, starts, 9, torch.Generator())
    >>> found.crps["deterministic + its past errors"].shape, list(found.errors)[:2]
    (torch.Size([4]), ['model', 'copy the last state'])
    """
    x, y = held_out.x, held_out.y
    name, (first, _) = next(iter(models.items()))
    truth, steps = path_features(first, y), x["actions"].shape[1]
    errors = errors_by_horizon(first, x, y, held_out.before)
    futures = {
        name: imagine(world, x, count, seed)
        for name, (world, shaping) in models.items()
        if shaping.posterior is not None
    }
    futures[name + PAST_ERRORS] = residual_futures(first, x, training.x, training.y, count, generator)
    alone = path_features(first, rollout(first, x["state"], x["actions"], None, steps).states)
    scores, covered, level = {name: crps(alone[:, None], truth).mean(dim=(0, 2))}, {}, 0.0
    some = torch.linspace(0, len(truth) - 1, min(4, len(truth))).long()
    shown = {"truth": truth[some], "alone": alone[some], "past": first.features(x["state"])[some]}
    for name, samples in futures.items():
        scores[name] = crps(samples, truth).mean(dim=(0, 2))
        level, covered[name] = coverage(samples, truth)
        errors[name] = (samples.mean(dim=1) - truth).square().mean(dim=(0, 2)).sqrt()
        shown[name] = samples[some]
    return ForecastReport(errors, scores, covered, level, *dependence(models, x, y, seed), shown)


@torch.no_grad()
def dependence(
    models: Models, x: Mapping[str, Any], y: State, seed: int = 0
) -> tuple[dict[str, list[list[Any]]], dict[str, Tensor]]:
    """The parts `sensitivity` and `kl` of a `ForecastReport`: how models use their actions and z.

    Args:
        models: to measure.
        x: {"state": s[0], "actions": (B, T, A)}.
        y: s[1], …, s[T].
        seed: of the prior's z.
    """
    found: dict[str, list[list[Any]]] = {}
    kl: dict[str, Tensor] = {}
    for name, (world, shaping) in models.items():
        means = None
        if shaping.posterior is not None:
            means, log_variances = shaping.infer(world, x, y)
            kl[name] = kl_to_normal(means, log_variances).mean()
        found[name] = [[*key, error] for key, error in sensitivity(world, x, y, means, seed).items()]
    return found, kl


def mean_curve(reports: Sequence[ForecastReport], part: str, name: str) -> list[float]:
    """The mean over reports, such as those of several seeds, of one curve: `part` is "errors", "crps" or "coverage"."""
    return torch.stack([getattr(report, part)[name] for report in reports]).mean(dim=0).tolist()

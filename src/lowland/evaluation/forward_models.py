"""Evaluation of forward models: error by horizon, coverage and CRPS of futures, sensitivity to actions and z.

Shape letters: B samples, N drawn futures, T steps, D features, A size of an action, Z of a latent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from lowland.errors import OptionError, ShapeError
from lowland.tensors import PerSampleRNG, batch_size, repeat_rows, tree_map
from lowland.worlds.base import State, World
from lowland.worlds.rollout import rollout

MODEL, COPY, VELOCITY = "model", "copy the last state", "constant velocity"


@torch.no_grad()
def imagine(world: World, x: Mapping[str, Any], count: int, seed: int = 0) -> Tensor:
    """Features of `count` futures of each sample under its actions, z drawn from the prior: (B, N, T, D).

    Args:
        world: the forward model.
        x: {"state": s[0], "actions": (B, T, A)}, as from `lowland.worlds.windows`.
        count: N.
        seed: of the latents.

    Raises:
        OptionError: for fewer than one future.

    >>> from lowland.worlds import VectorWorld
    >>> x = {"state": {"observation": torch.zeros(4, 3)}, "actions": torch.zeros(4, 6, 1)}
    >>> imagine(VectorWorld(3, 1, latents=2), x, count=5).shape
    torch.Size([4, 5, 6, 3])
    """
    if count < 1:
        raise OptionError(f"At least one future is needed, but count is {count}.")
    actions, rows = x["actions"], batch_size(state=x["state"])
    horizon = actions.shape[1]
    z = None
    if world.latents:
        noise = PerSampleRNG(seed, torch.arange(rows, device=actions.device), actions.dtype)
        z = world.prior(noise, count, horizon).flatten(0, 1)
    found = rollout(world, repeat_rows(x["state"], count), repeat_rows(actions, count), z, horizon).states
    return path_features(world, found).unflatten(0, (rows, count))


def path_features(world: World, states: State) -> Tensor:
    """Features of stacked states, each tensor (B, T, …): (B, T, D)."""
    steps = next(iter(states.values())).shape[1]
    flat = tree_map(lambda tensor: tensor.flatten(0, 1), states)
    return world.features(flat).unflatten(0, (-1, steps))


@torch.no_grad()
def errors_by_horizon(world: World, x: Mapping[str, Any], y: State, before: State | None = None) -> dict[str, Tensor]:
    """Root mean squared error at each step, (T,), in standard deviations of the data, for the model and baselines.

    The model uses z = 0. The mean is over samples and features. The baselines are a copy of the last state and, if the
    state before it is given, linear extrapolation of the last change.

    Args:
        world: the forward model.
        x: {"state": s[0], "actions": (B, T, A)}.
        y: s[1], …, s[T].
        before: s[−1].
    """
    actions = x["actions"]
    truth = path_features(world, y)
    now = world.features(x["state"])[:, None]
    answers = {
        MODEL: path_features(world, rollout(world, x["state"], actions, None, actions.shape[1]).states),
        COPY: now,
    }
    if before is not None:
        times = torch.arange(1, actions.shape[1] + 1, device=actions.device, dtype=actions.dtype)
        answers[VELOCITY] = now + times[:, None] * (now - world.features(before)[:, None])
    return {name: (answer - truth).square().mean(dim=(0, 2)).sqrt() for name, answer in answers.items()}


@torch.no_grad()
def error_ahead(world: World, states: State, actions: Tensor, steps: int, every: int = 1) -> float:
    """Error of the model after a k-step roll-out under the actions really taken, in standard deviations of the data.

    sqrt(mean ‖φ(s[t+k]) − φ(ŝ[t+k])‖²) over episodes and over t in strides of `every`, where ŝ[t] = s[t], and φ are the
    z-scored features.

    Args:
        world: the forward model.
        states: s[0], …, s[T], each tensor (B, T + 1, …).
        actions: (B, T, A).
        steps: k.
        every: stride of t.

    Raises:
        OptionError: unless 1 ≤ k < T.

    >>> from lowland.worlds import VectorWorld
    >>> states = {"observation": torch.zeros(2, 9, 3)}
    >>> error_ahead(VectorWorld(3, 1), states, torch.zeros(2, 8, 1), steps=4) >= 0
    True
    """
    length = actions.shape[1]
    if not 1 <= steps < length:
        raise OptionError(f"steps must be from 1 to {length - 1}, below the length of the episodes, but it is {steps}.")
    errors = []
    for t in range(0, length - steps, every):
        now, then = (tree_map(lambda tensor, t=time: tensor[:, t], states) for time in (t, t + steps))
        found = rollout(world, now, actions[:, t : t + steps], None, steps).states
        off = path_features(world, found)[:, -1] - world.features(then)
        errors.append(off.square().sum(dim=1))
    return float(torch.stack(errors).mean().sqrt())


@torch.no_grad()
def residual_futures(
    world: World,
    x: Mapping[str, Any],
    known: Mapping[str, Any],
    happened: State,
    count: int,
    generator: torch.Generator,
) -> Tensor:
    """Futures of a deterministic model, (B, N, T, D): its prediction plus residuals drawn from known data.

    Each residual is that of a whole path, φ(s[1…T]) − φ(ŝ[1…T]), so the futures have the right average spread, but the
    same spread everywhere: a baseline for models with a latent.

    Args:
        world: the forward model, used with z = 0.
        x: {"state": s[0], "actions": (B, T, A)}.
        known: the same for the training data.
        happened: what followed there, s[1], …, s[T].
        count: N.
        generator: draws the residuals.

    >>> from lowland.worlds import VectorWorld
    >>> x = {"state": {"observation": torch.zeros(4, 3)}, "actions": torch.zeros(4, 6, 1)}
    >>> known = {"state": {"observation": torch.zeros(9, 3)}, "actions": torch.zeros(9, 6, 1)}
    >>> generator = torch.Generator().manual_seed(0)
    >>> residual_futures(VectorWorld(3, 1), x, known, {"observation": torch.zeros(9, 6, 3)}, 5, generator).shape
    torch.Size([4, 5, 6, 3])
    """

    def answer(one: Mapping[str, Any]) -> Tensor:
        return path_features(world, rollout(world, one["state"], one["actions"], None, one["actions"].shape[1]).states)

    left = path_features(world, happened) - answer(known)
    alone = answer(x)
    pick = torch.randint(len(left), (len(alone), count), generator=generator)
    return alone[:, None] + left[pick.to(left.device)]


def crps(samples: Tensor, truth: Tensor) -> Tensor:
    """CRPS = E|X − y| − ½ E|X − X'| per entry, (B, N, T, D) and (B, T, D) → (B, T, D); lower is better.

    The continuous ranked probability score; for a single answer it is the absolute error. The second term is over pairs
    of different samples, so its mean does not depend on N (Gneiting & Raftery 2007, equation 21; Ferro 2014).

    Raises:
        ShapeError: for samples and truth whose shapes do not match.

    >>> float(crps(torch.tensor([0.0, 2.0]).reshape(1, 2, 1, 1), torch.ones(1, 1, 1)))
    0.0
    """
    _check(samples, truth)
    count = samples.shape[1]
    apart = (samples - truth[:, None]).abs().mean(dim=1)
    if count == 1:
        return apart
    # Σ_{i<j} (x_(j) − x_(i)) = Σ_k (2k − N − 1) x_(k) for sorted x, without a table of pairs.
    ranks = torch.arange(1, count + 1, device=samples.device, dtype=samples.dtype)
    weights = (2 * ranks - count - 1)[:, None, None]
    return apart - (weights * samples.sort(dim=1).values).sum(dim=1) / (count * (count - 1))


def coverage(samples: Tensor, truth: Tensor, level: float = 0.8) -> tuple[float, Tensor]:
    """Fraction of true values inside the interval of samples that should contain them with probability `level`.

    The interval goes from the k-th lowest to the k-th highest of N samples. If the truth had the distribution of the
    samples, it would lie inside with probability 1 − 2k/(N + 1); k is chosen to bring this close to the level.

    Returns:
        That probability, and the fraction of samples and features inside at each step, (T,).

    Raises:
        OptionError: for a level that is not in (0, 1).
        ShapeError: for samples and truth whose shapes do not match.

    >>> coverage(torch.linspace(0, 1, 9).reshape(1, 9, 1, 1), torch.full((1, 1, 1), 0.5))
    (0.8, tensor([1.]))
    """
    if not 0 < level < 1:
        raise OptionError(f"level must be in (0, 1), but it is {level}.")
    _check(samples, truth)
    count = samples.shape[1]
    k = max(1, round((1 - level) / 2 * (count + 1)))
    ordered = samples.sort(dim=1).values
    inside = (ordered[:, k - 1] < truth) & (truth < ordered[:, count - k])
    return 1 - 2 * k / (count + 1), inside.to(samples.dtype).mean(dim=(0, 2))


@torch.no_grad()
def sensitivity(
    world: World, x: Mapping[str, Any], y: State, posterior: Tensor | None = None, seed: int = 0
) -> dict[tuple[str, str], float]:
    """Error of a roll-out (root mean square over all steps) by the source of z and of the actions.

    With z from the posterior, a model can ignore its actions and still be right, since z contains the future; with z
    from the prior it cannot. "swapped" gives each sample the actions of another one: the more the error increases, the
    more the model depends on its actions, as a planner needs (Henaff, Canziani & LeCun 2019, section 5).

    Args:
        world: the forward model.
        x: {"state": s[0], "actions": (B, T, A)}.
        y: s[1], …, s[T].
        posterior: means of q(z | s[t], s[t+1]) of all steps, (B, T, Z).
        seed: of the prior's z.

    Returns:
        By (z: "zero", "prior" or "posterior"; actions: "own" or "swapped").
    """
    actions = x["actions"]
    rows, horizon = actions.shape[:2]
    sources: dict[str, Tensor | None] = {"zero": None}
    if world.latents:
        noise = PerSampleRNG(seed, torch.arange(rows, device=actions.device), actions.dtype)
        sources["prior"] = world.prior(noise, horizon)
        if posterior is not None:
            sources["posterior"] = posterior
    truth = path_features(world, y)
    found = {}
    for name, z in sources.items():
        for kind, given in (("own", actions), ("swapped", actions.roll(1, dims=0))):
            answer = path_features(world, rollout(world, x["state"], given, z, horizon).states)
            found[name, kind] = (answer - truth).square().mean().sqrt().item()
    return found


def _check(samples: Tensor, truth: Tensor) -> None:
    if samples.ndim != 4 or truth.shape != samples.shape[:1] + samples.shape[2:]:
        raise ShapeError(
            f"Samples (B, N, T, D) and truth (B, T, D) must match, but they are {tuple(samples.shape)} and "
            f"{tuple(truth.shape)}."
        )

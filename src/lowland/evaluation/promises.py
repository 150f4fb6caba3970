"""What a policy promises inside a model, and the choice of the weight of uncertainty by promises that hold.

Shape letters: B samples, T steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lowland.errors import OptionError
from lowland.tensors import PerSampleRNG
from lowland.worlds.base import State, World
from lowland.worlds.rollout import transitions
from lowland.worlds.uncertainty import Ensemble, Spread, variance


@torch.no_grad()
def promised_return(world: World, policy: Callable[[State], Tensor], state: State, steps: int) -> float:
    """Mean sum of the rewards of T imagined steps, z = 0; the realised return of as many steps is its counterpart.

    Args:
        world: that predicts rewards, such as a `PlantWorld` or an `Ensemble` of several.
        policy: state → (B, A).
        state: s[0] of B roll-outs.
        steps: T.

    >>> from lowland.worlds.plant import PlantWorld
    >>> world, state = PlantWorld.reference_case()
    >>> isinstance(promised_return(world, lambda state: torch.zeros(4, 2), state, steps=3), float)
    True
    """
    done = transitions(world, state, lambda state, t: policy(state), None, steps)
    return float(torch.stack([step.following["reward"] for step in done]).sum(dim=0).mean())


@torch.no_grad()
def known_return(
    world: Ensemble,
    policy: Callable[[State], Tensor],
    state: State,
    steps: int,
    usual: Spread,
    lowest: float,
    most: float = 3.0,
) -> float:
    """As `promised_return`, but only what the model knows pays: r[t] ← lowest where U(s[t], a[t]) > most.

    A held-out model that says anything at all of places it has not seen cannot keep a promise. Steps there count as the
    lowest reward of the log, as if they led out of the plant (Kidambi et al. 2020, "MOReL", where they end the
    episode; a roll-out that comes back is paid again here).

    Args:
        world: whose members disagree where it does not know.
        policy, state, steps: as of `promised_return`.
        usual: uncertainty of one step on known data, in whose deviations U is measured.
        lowest: reward of an unknown step, at most 0 so that ending earlier is not better.
        most: deviations up to which a step is known.

    >>> from lowland.worlds.plant import PlantWorld
    >>> world, state = PlantWorld.reference_case()
    >>> pair = Ensemble([world, PlantWorld(3, 2, latents=2, hidden=16, dropout=0.2)])
    >>> usual = Spread(torch.zeros(1), torch.full((1,), 1e-9))
    >>> known_return(pair, lambda state: torch.zeros(4, 2), state, 5, usual, lowest=-1.0)
    -5.0
    """
    masks = world.draw_mask(PerSampleRNG(0, torch.zeros(1, dtype=torch.int64)), len(world.members))
    total = 0.0
    for step in transitions(world, state, lambda state, t: policy(state), None, steps):
        unsure = usual.score(variance(world, step.state, step.action, None, masks)[None])[0] > most
        total += float(step.following["reward"].where(~unsure, torch.tensor(lowest)).mean())
    return total


def kept_promise(promised: float, held_out: float) -> float:
    """P′ − |P − P′|: what a held-out model says, less what the promise is off by.

    >>> kept_promise(90.0, 20.0), kept_promise(30.0, 30.0)
    (-50.0, 30.0)
    """
    return held_out - abs(promised - held_out)


def choose_weight(weights: Sequence[float], promised: Sequence[float], held_out: Sequence[float]) -> float:
    """λ* = argmax_λ P′(λ) − |P(λ) − P′(λ)|: the weight whose promise holds in a model that had no part in it.

    A policy is trained for each weight λ of the uncertainty cost in a model of one half of the log. P is the return
    that this model promises, and P′ that of a model of the other half, in which the policy has exploited nothing. Where
    the promise is kept (P = P′), the best policy is chosen, which may be that of λ = 0; what is promised beyond what is
    kept counts against it. The plant is never touched. Of equals the smallest weight is taken.

    This is validation on held-out data, with a model in place of the plant. It is as good as that model: an error that
    both halves share, for instance where neither has data, is not seen.

    Args:
        weights: λ.
        promised: P for each.
        held_out: P′ for each.

    Raises:
        OptionError: for lists of different lengths, or empty ones.

    >>> choose_weight([0.0, 1.0, 4.0], [90.0, 60.0, 30.0], [20.0, 55.0, 30.0])
    1.0
    """
    if not weights or not len(weights) == len(promised) == len(held_out):
        raise OptionError("Each weight needs a promise and a held-out promise, and there must be at least one weight.")
    scores = [kept_promise(*pair) for pair in zip(promised, held_out, strict=True)]
    best = max(scores)
    return min(weight for weight, score in zip(weights, scores, strict=True) if score == best)

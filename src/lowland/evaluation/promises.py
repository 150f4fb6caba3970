"""What a policy promises inside a model, and the choice of the weight of uncertainty by promises that hold.

Shape letters: B samples, T steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lowland.errors import OptionError
from lowland.worlds.base import State, World
from lowland.worlds.rollout import transitions


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
    scores = [kept - abs(said - kept) for said, kept in zip(promised, held_out, strict=True)]
    best = max(scores)
    return min(weight for weight, score in zip(weights, scores, strict=True) if score == best)

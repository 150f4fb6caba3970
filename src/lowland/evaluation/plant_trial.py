"""How a policy, a planner and a model do in a plant and on its log."""

from __future__ import annotations

import time
from collections.abc import Callable

from torch import Tensor

from lowland.data.gym_log import GymLog
from lowland.envs.plant import run_plant
from lowland.evaluation.forward_models import COPY, MODEL, errors_by_horizon, sensitivity
from lowland.evaluation.model_uncertainty import uncertainty_report
from lowland.planning.control import Controller
from lowland.worlds.base import State, World
from lowland.worlds.forward import spaced_starts

_STARTS = 500


def mean_return(log: GymLog) -> float:
    """Mean sum of the rewards of an episode of a log with outcomes."""
    return sum(float(path["reward"].sum()) for path in log.paths) / len(log.paths)


def returns(
    environment: str, policy: Callable[[State], Tensor], episodes: int, length: int, early: int, seed: int
) -> dict[str, float]:
    """Mean returns of a policy in a plant: `return` of whole episodes, `realised` of their first steps.

    Args:
        environment: id in Gymnasium.
        policy: state → actions, see `lowland.envs.plant.run_plant`.
        episodes, length: their number and steps.
        early: steps that `realised` counts.
        seed: of the starts.

    >>> import torch
    >>> found = returns("Pendulum-v1", lambda state: torch.zeros(2, 1), 2, 5, 3, seed=0)
    >>> found["return"] < found["realised"] < 0
    True
    """
    runs = run_plant(environment, policy, episodes, length, seed)
    first = runs.rewards[:, :early].sum(dim=1)
    return {"return": float(runs.rewards.sum(dim=1).mean()), "realised": float(first.mean())}


def planned_returns(
    environment: str, controller: Controller, episodes: int, length: int, early: int, seed: int
) -> dict[str, float]:
    """As `returns`, with the median `latency` of an action in ms, and the processor seconds of all, `control`."""
    began = time.process_time()
    found = returns(environment, controller, episodes, length, early, seed)
    return found | {"latency": controller.latency()["median"], "control": time.process_time() - began}


def plant_diagnosis(world: World, held_out: GymLog, horizon: int, masks: int) -> dict[str, dict[str, float]]:
    """What a model knows of episodes that it has not seen.

    Args:
        world: with an uncertainty, such as an `Ensemble`.
        held_out: a log of such episodes.
        horizon: steps of a roll-out, fewer if the episodes are shorter.
        masks: of dropout, or members, by which the uncertainty is measured.

    Returns:
        `model`: its `error` at the end of roll-outs, root mean square in deviations; `swapped`, that with the actions
        of other samples as a multiple; and `rank`, the rank correlation of uncertainty and squared error of one step.
        `copy`: the error of a copy of the first state.
    """
    steps = min(horizon, max(len(path["actions"]) for path in held_out.paths) - 1)
    _, x, y = spaced_starts(held_out.paths, steps, _STARTS)
    errors = errors_by_horizon(world, x, y)
    own, other = (sensitivity(world, x, y)["zero", kind] for kind in ("own", "swapped"))
    rank = uncertainty_report(world, x, y, masks=masks).rank
    return {
        "model": {"error": float(errors[MODEL][-1]), "swapped": other / own, "rank": rank},
        "copy": {"error": float(errors[COPY][-1])},
    }

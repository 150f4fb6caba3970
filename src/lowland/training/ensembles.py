"""Training of an ensemble of forward models, whose disagreement is their uncertainty.

Shape letters: T steps, A size of an action.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lowland.training.fit import fit
from lowland.worlds.base import State
from lowland.worlds.forward import ForwardModel, windows
from lowland.worlds.forward_training import ForwardTraining
from lowland.worlds.uncertainty import Ensemble, Spread, usual_spread

_BATCH, _USUAL = 128, 2000


def fit_ensemble(
    ensemble: Ensemble,
    paths: Sequence[State],
    horizon: int,
    steps: int,
    lr: float = 3e-3,
    schedule: Callable[[int], float] | None = None,
    seed: int = 0,
) -> Spread:
    """Train the members in place on the same data, each in an order of its own, without latents.

    Source: Chua et al. 2018, "Deep reinforcement learning in a handful of trials", without its bootstrap.

    Args:
        ensemble: whose members differ by their first weights.
        paths: trajectories, as for `lowland.worlds.windows`.
        horizon: T, steps of the segments that they are cut into.
        steps: updates of each member, on up to 128 segments.
        lr: learning rate.
        schedule: of the rate, see `fit`.
        seed: of the order of the data; member n has seed + n.

    Returns:
        The usual uncertainty of one step on up to 2,000 of the segments, for `lowland.planning.PlanEnergy`.

    Raises:
        ShapeError: where no trajectory has T steps.

    >>> import torch
    >>> from lowland.worlds import VectorWorld
    >>> path = {"observation": torch.randn(40, 3), "actions": torch.zeros(39, 1)}
    >>> spread = fit_ensemble(Ensemble([VectorWorld(3, 1), VectorWorld(3, 1)]), [path], horizon=2, steps=3)
    >>> spread.mean.shape
    torch.Size([1])
    """
    x, y = windows(paths, horizon)
    count = min(_BATCH, len(x["actions"]))
    for number, world in enumerate(ensemble.members):
        energy, shaping = ForwardModel(world, x["state"], horizon), ForwardTraining(seed=number)
        fit(
            energy, (x, y), shaping, steps, count, lr, schedule=schedule, seed=seed + number, validation=0.0,
            progress=False,
        )  # fmt: skip
    state = {name: tensor[:_USUAL] for name, tensor in x["state"].items()}
    return usual_spread(ensemble, state, x["actions"][:_USUAL, :1], None, len(ensemble.members))

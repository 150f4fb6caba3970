"""Weights along a training: what an energy was after several numbers of steps of one run of `fit`."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from lowland.energies.base import Energy
from lowland.errors import OptionError
from lowland.training.recorder import Row


class Snapshots:
    """A callback for `fit` that keeps the weights of an energy, and the metrics, after some numbers of steps.

    It is called after steps that are logged: use the default `log_every=1`, or one that meets all of them.

    Args:
        energy: that is trained.
        steps: numbers of steps.

    Raises:
        OptionError: unless there are steps, in rising order.

    >>> import torch
    >>> import lowland as ll
    >>> energy, points = ll.energies.Gaussian(2), torch.ones(64, 2)
    >>> kept = Snapshots(energy, (1, 5))
    >>> result = ll.fit(energy, points, ll.shaping.MinimumEnergy(), max_steps=5, lr=0.1, callback=kept)
    >>> kept.restore(1)
    >>> energy.mean.detach()
    tensor([0.1000, 0.1000])
    """

    def __init__(self, energy: Energy, steps: Sequence[int]) -> None:
        check_rising("steps", steps)
        self.energy, self.steps = energy, tuple(steps)
        self.weights: dict[int, dict[str, Tensor]] = {}
        self.metrics: dict[int, Row] = {}

    def __call__(self, step: int, metrics: Row) -> None:
        if step in self.steps:
            self.weights[step] = {name: value.clone() for name, value in self.energy.state_dict().items()}
            self.metrics[step] = metrics

    def restore(self, step: int) -> None:
        """Load the weights of a step into the energy.

        Raises:
            OptionError: if they were not kept.
        """
        if step not in self.weights:
            known = ", ".join(map(str, self.weights)) or "none"
            raise OptionError(f"There are no weights after {step} steps: those that were kept are {known}.")
        self.energy.load_state_dict(self.weights[step])


def check_rising(name: str, steps: Sequence[float]) -> None:
    """Raise an OptionError unless there is a number or more, each larger than the one before.

    >>> check_rising("steps", (10, 10))
    Traceback (most recent call last):
    lowland.errors.OptionError: steps must be one or more rising numbers, not (10, 10).
    """
    if not steps or list(steps) != sorted(set(steps)):
        raise OptionError(f"{name} must be one or more rising numbers, not {steps}.")

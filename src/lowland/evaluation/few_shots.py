"""How well functions are known from a few of their points, by the code that a solver finds.

Legend: N functions, S points that are known, T points that are asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lowland.data.sine_tasks import REACH, SineTasks, best_sine
from lowland.energies.few_shots import FewShots
from lowland.inference import infer
from lowland.nn.hypernetwork import Conditional, OwnWeights
from lowland.solvers.adam import Adam
from lowland.solvers.multi_start import MultiStart

ASKED = 100
"""Points of a grid at which functions are compared."""


class Way(NamedTuple):
    """How a code is found: λ, steps of Adam, their size, and starts."""

    prior: float = 0.1
    steps: int = 150
    rate: float = 0.1
    starts: int = 4


def grid() -> Tensor:
    """The points that are asked, (T,)."""
    return torch.linspace(-REACH, REACH, ASKED)


def predicted(network: Conditional, x: Tensor, y: Tensor, way: Way, seed: int = 0) -> Tensor:
    """What a network says at the grid of functions with known points, (N, S) → (N, T), by the best z found."""
    energy = FewShots(network, x.shape[1], way.prior)
    solver = Adam(way.rate, max_steps=way.steps, tol=None)
    many = solver if way.starts == 1 else MultiStart(solver, way.starts)
    start = torch.zeros(len(x), network.code)
    found = infer(energy, x=x, y=y, over="z", solver=many, init=start, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        return energy.reconstruct(grid().expand(len(x), -1), None, found.value)


def errors(said: Tensor, tasks: SineTasks) -> Tensor:
    """The mean squared error of each function on the grid, (N,)."""
    return (said - tasks.at(grid())).square().mean(dim=1)


def ways_of(network: Conditional) -> list[Way]:
    """What there is to choose from: λ of a code, or how long all weights are tuned."""
    if isinstance(network, OwnWeights):
        return [Way(0.0, steps, 0.01, 1) for steps in (1, 10, 100)]
    return [Way(prior=prior) for prior in (0.01, 0.1, 1.0)]


def chosen_way(network: Conditional, tasks: SineTasks, shots: int, seed: int = 0) -> Way:
    """The way of the least mean error on functions for choosing."""
    x, y = tasks.x[:, :shots], tasks.y[:, :shots]
    return min(ways_of(network), key=lambda way: float(errors(predicted(network, x, y, way, seed), tasks).mean()))


def simple_rows(tasks: SineTasks, shots: Sequence[int]) -> dict[str, dict[int, Tensor]]:
    """Errors without a network: 0 everywhere, the value at the nearest known point, and who knows that it is a sine."""
    at, rows = grid(), dict[str, dict[int, Tensor]]()
    for count in shots:
        x, y = tasks.x[:, :count], tasks.y[:, :count]
        nearest = (at[None, :, None] - x[:, None]).abs().argmin(dim=2)
        said = {
            "zero": torch.zeros(len(x), ASKED), "nearest": y.gather(1, nearest), "sine": best_sine(x, y, at)
        }  # fmt: skip
        for name, one in said.items():
            rows.setdefault(name, {})[count] = errors(one, tasks)
    return rows

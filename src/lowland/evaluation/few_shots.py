"""How well functions are known from a few of their points, by the code that a solver finds.

Legend: N functions, S points that are known, T points that are asked.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

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


def judged(
    networks: Mapping[str, Conditional],
    choosing: SineTasks,
    test: SineTasks,
    shots: Sequence[int],
    shown: int,
    seed: int = 0,
) -> dict[str, Any]:
    """Rows of errors for each number of known points, and what is said of the first functions with five of them.

    Args:
        networks: trained, by name.
        choosing: functions on which the way of each network is chosen.
        test: others.
        shots: numbers of known points.
        shown: how many functions.
        seed: of the starts.

    Returns:
        "rows", with "error n", "median n", "half n" (of the interval for 95 %), "setting n" and "milliseconds n" for
        each network, and "error n" for the others; and "said", (shown, T) of each network and of "sine".
    """
    rows: dict[str, dict[str, float]] = {}
    said: dict[str, Tensor] = {}
    for name, row in simple_rows(test, shots).items():
        rows[name] = {f"error {count}": float(one.mean()) for count, one in row.items()}
    for name, network in networks.items():
        rows[name] = {}
        for count in shots:
            way = chosen_way(network, choosing, count, seed)
            began = time.process_time()
            found = predicted(network, test.x[:, :count], test.y[:, :count], way, seed)
            each = errors(found, test)
            half = 1.96 * float(each.std()) / len(each) ** 0.5 if len(each) > 1 else 0.0
            rows[name] |= {
                f"error {count}": float(each.mean()), f"median {count}": float(each.median()), f"half {count}": half,
                f"setting {count}": way.steps if isinstance(network, OwnWeights) else way.prior,
                f"milliseconds {count}": 1000 * (time.process_time() - began) / len(each),
            }  # fmt: skip
            if count == 5:
                said[name] = found[:shown]
    said["sine"] = best_sine(test.x[:shown, :5], test.y[:shown, :5], grid())
    return {"rows": rows, "said": said}

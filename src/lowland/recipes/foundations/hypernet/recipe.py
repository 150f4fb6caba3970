"""Networks made by a network: functions from few of their points, by codes that a solver finds."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, NamedTuple

from torch import Tensor

from lowland.data.sine_tasks import SineTasks, sine_tasks
from lowland.evaluation.few_shots import grid, judged
from lowland.nn.hypernetwork import Conditional, parameters_of, rivals
from lowland.plots.curves import curves
from lowland.recipes.base import Bound, Count, Positive, SeededRecipe, recipe
from lowland.reports.run import Run
from lowland.training.few_shots import train_conditional

NAMES, SHOTS = ("hyper", "concatenated", "film", "tuned"), (1, 5, 10)
TITLES = dict(zip((*NAMES, "sine"), ("weights from z", "z as input", "scales from z", "fine-tuned", "knows the sine"),
                  strict=True))  # fmt: skip
_SHOWN = 3


class Left(NamedTuple):
    """What the pictures need of a seed: test functions, what each network says to them, and the errors."""

    tasks: SineTasks
    said: dict[str, Tensor]
    losses: dict[str, tuple[list[float], list[float]]]


@recipe
@dataclass(frozen=True)
class HypernetRecipe(SeededRecipe):
    """E(x, y, z) = ½ Σ (y − h_z(x))² + ½ λ‖z‖²: a few points x, y of a function, and the code z of a network h."""

    tasks: Annotated[int, Bound(least=2)] = 1000
    """Functions to learn from."""
    points: Annotated[int, Bound(least=10)] = 20
    """Known points of each."""
    tested: Count = 200
    """Functions of the test, and half as many on which λ and the steps of tuning are chosen."""
    code: Count = 2
    """Numbers of z."""
    target: Count = 16
    """Units of both hidden layers of the network whose weights are made."""
    hidden: Count = 16
    """Units of the network that makes them."""
    steps: Count = 4000
    """Training steps of 64 functions."""
    rate: Positive = 0.003
    """Learning rate of Adam at the start."""
    code_rate: Positive = 0.01
    """Size of a step of descent for the codes in training."""

    accelerated: ClassVar[bool] = False
    stages: ClassVar[int] = 5
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"tasks": 30, "tested": 6, "target": 6, "hidden": 4, "steps": 20, "seeds": 1}
    }

    def measure(self, run: Run, seed: int) -> tuple[dict[str, dict[str, Any]], Left]:
        train = sine_tasks(self.tasks, self.points, self.generator(1000 + seed))
        choosing = sine_tasks(max(1, self.tested // 2), max(SHOTS), self.generator(2000 + seed))
        test = sine_tasks(self.tested, max(SHOTS), self.generator(3000 + seed))
        networks = dict(zip(NAMES, rivals(self.code, self.target, self.hidden, self.seed + seed), strict=True))
        numbers: dict[str, dict[str, Any]] = {}
        losses = {}
        for name, network in networks.items():
            found = run.stage(f"train-{name}", partial(self._train, network, train, seed), [network])
            numbers[name] = {"weights": parameters_of(network), "seconds": found["seconds"]}
            losses[TITLES[name]] = found["steps"], found["loss"]
        found = run.stage("judge", partial(judged, networks, choosing, test, SHOTS, _SHOWN, seed))
        for name, row in found["rows"].items():
            numbers.setdefault(name, {}).update(row)
        return numbers, Left(test, found["said"], losses)

    def _train(self, network: Conditional, train: SineTasks, seed: int) -> dict[str, Any]:
        began = time.process_time()
        found = train_conditional(
            network, train, self.steps, rate=self.rate, code_rate=self.code_rate, seed=self.seed + seed
        )
        line = found.history["loss/energy"]
        seconds = time.process_time() - began
        return {"seconds": seconds, "steps": list(map(float, line.steps)), "loss": list(line.values)}

    def figures(self, run: Run, first: Left) -> None:
        at = grid().tolist()
        pictures = []
        for row in range(min(_SHOWN, len(first.tasks.x))):
            lines: dict[str, Any] = {"function": (at, first.tasks.at(grid())[row].tolist())}
            lines |= {TITLES[name]: (at, one[row].tolist()) for name, one in first.said.items() if name != "sine"}
            points = first.tasks.x[row, :5].tolist()
            drawn = curves(lines, xlabel="x", ylabel="y")
            drawn.axes[0].plot(points, first.tasks.y[row, :5].tolist(), "o", color="black", markersize=5, zorder=5)
            pictures.append((drawn, f"Function {row + 1}"))
        run.grid("functions", pictures, columns=3)
        methods = [name for name in TITLES if run.measured.has(name, "error 1")]
        lines = {
            TITLES[name]: ([float(shots) for shots in SHOTS],
                           [max(1e-6, run.measured.mean(name, f"error {shots}") or 0.0) for shots in SHOTS])
            for name in methods
        }  # fmt: skip
        run.figure("shots", partial(curves, lines, xlabel="known points", ylabel="mean squared error", log="y"))
        run.figure("training", partial(curves, first.losses, xlabel="step", ylabel="energy of a batch", log="y"))

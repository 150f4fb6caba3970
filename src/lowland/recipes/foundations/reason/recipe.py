"""An energy that checks answers, and descent that finds them: more steps solve harder problems than trained for."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

from lowland.data.problems import additions, columns_of, inverse_columns
from lowland.energies.base import Energy
from lowland.energies.factor_graph import FactorGraph
from lowland.energies.prediction import Prediction
from lowland.evaluation.reasoning import Descended, descended, squared_error
from lowland.nn.factor_network import FactorNetwork
from lowland.plots import curves
from lowland.plots.images import image_rows
from lowland.recipes.base import Bound, Count, Positive, SeededRecipe, recipe, train
from lowland.reports.run import Run
from lowland.shaping.base import Shaping
from lowland.shaping.predictive.descent import Descent
from lowland.shaping.regularised.minimum_energy import MinimumEnergy
from lowland.solvers.gradient_descent import GradientDescent

KINDS = {"inverse": "linear_system", "addition": "addition"}
"""The kind of problem of each task, as `lowland.data.scopes` has it."""
LAYERS = 4
NETWORKS = {"network": (3, 3), "large network": (8, 8)}
"""Width and channels of the feed-forward networks: about as many parameters as the energy, or several times as many."""
TIMES = {"inverse": {"network": 2.8, "large network": 1.4}, "addition": {"network": 4.0, "large network": 4.0}}
"""Steps of the networks, of 64 problems each, for each of the energy: about as much processor time, or more."""
MOMENTUM = 0.8
"""Of the steps in training; in use it is 0.9."""


class Task(NamedTuple):
    """Problems of one kind: their size, the training steps of the energy, and draws of easy and of harder ones."""

    size: int
    steps: int
    draw: Callable[[int, torch.Generator], tuple[Tensor, Tensor]]
    draw_harder: Callable[[int, torch.Generator], tuple[Tensor, Tensor]]


class Left(NamedTuple):
    """What the picture needs: an ill-conditioned matrix's inverse, and the answers after each number of steps."""

    truth: Tensor
    answers: Tensor


@recipe
@dataclass(frozen=True)
class ReasonRecipe(SeededRecipe):
    """E(x, y) over the parts of a problem, minimised over the answer y by as many steps as the problem needs."""

    unknowns: Annotated[int, Bound(least=3)] = 8
    """Rows of the matrices to invert."""
    ridge: Positive = 0.5
    """δ of A = (2 R Rᵀ + δ I) / N in training."""
    harder_ridge: Positive = 0.1
    """δ of the harder matrices."""
    entries: Annotated[int, Bound(least=2)] = 20
    """Sums in each problem of addition."""
    largest: Positive = 1.0
    """Largest number to add in training."""
    harder_largest: Positive = 2.5
    """Largest number of the harder additions."""
    problems: Count = 10000
    """Problems to train on, of each kind."""
    tested: Count = 100
    """Test problems of each kind and difficulty."""
    steps: Count = 600
    """Training steps of the energy for the inverse, of 32 problems each."""
    addition_steps: Count = 300
    """The same for addition."""
    unrolled: Count = 10
    """Steps of descent in training."""
    doublings: Count = 5
    """How often the number of steps of descent is doubled in use."""

    accelerated: ClassVar[bool] = False
    stages: ClassVar[int] = 9
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {
            "seeds": 2, "problems": 64, "tested": 6, "steps": 3, "addition_steps": 2,
            "unrolled": 2, "doublings": 2,
        },
    }  # fmt: skip

    @property
    def marks(self) -> list[int]:
        """The numbers of steps after which the error is measured."""
        return [self.unrolled * 2**power for power in range(self.doublings + 1)]

    def task(self, name: str) -> Task:
        """The problems of a task."""
        if name == "inverse":
            size, steps, draw = self.unknowns, self.steps, inverse_columns
            easy, hard = self.ridge, self.harder_ridge
        else:
            size, steps, draw = self.entries, self.addition_steps, additions
            easy, hard = self.largest, self.harder_largest

        def drawing(how: float) -> Callable[[int, torch.Generator], tuple[Tensor, Tensor]]:
            return lambda count, generator: draw(count, size, how, generator)

        return Task(size, steps, drawing(easy), drawing(hard))

    def measure(self, run: Run, seed: int) -> tuple[dict[str, dict[str, Any]], Left]:
        numbers: dict[str, dict[str, Any]] = {}
        pictured: list[Left] = []
        for index, name in enumerate(KINDS):
            with run.below(name):
                found, left = self._measure(run, name, 10 * seed + index)
            numbers |= {f"{name}: {method}": row for method, row in found.items()}
            pictured += left
        return numbers, pictured[0]

    def _measure(self, run: Run, name: str, seed: int) -> tuple[dict[str, dict[str, Any]], list[Left]]:
        task, kind = self.task(name), KINDS[name]
        x, y = task.draw(self.problems, self.generator(1000 + seed))
        solver = GradientDescent(1.0, momentum=MOMENTUM, max_steps=self.unrolled, tol=None)
        energy = FactorGraph(kind, task.size, generator=self.generator(seed))
        learn = partial(self._train, energy, (x, y), Descent(solver, seed=seed), task.steps, 32, seed)
        seconds = {"energy": run.stage("energy", learn, [energy])}
        networks: dict[str, FactorNetwork] = {}
        for method, (width, channels) in NETWORKS.items():
            steps = round(TIMES[name][method] * task.steps)
            network = FactorNetwork(kind, task.size, LAYERS, width, channels, self.generator(seed))
            wrapped = Prediction(x.shape[1], y.shape[1], hidden=())
            wrapped.network = network
            learn = partial(self._train, wrapped, (x, y), MinimumEnergy(), steps, 64, seed)
            seconds[method] = run.stage(method, learn, [network])
            networks[method] = network
        if seed < len(KINDS):
            run.save_energy(name, energy)
        tested = run.stage("test", partial(self._test, task, energy, networks, y, seed))
        numbers: dict[str, dict[str, Any]] = tested["numbers"]
        for method, module in (("energy", energy), *networks.items()):
            size = sum(parameter.numel() for parameter in module.parameters())
            numbers[method] |= {"parameters": size, "seconds": seconds[method]}
        numbers["energy"]["share"] = numbers["energy"]["harder"] / numbers["network"]["harder"]
        numbers["energy"]["share of large"] = numbers["energy"]["harder"] / numbers["large network"]["harder"]
        if name != "inverse":
            return numbers, []
        shown = run.stage("picture", partial(self._picture, energy, seed))
        return numbers, [Left(shown["truth"], shown["answers"])]

    def _train(
        self, energy: Energy, data: tuple[Tensor, Tensor], shaping: Shaping, steps: int, batch: int, seed: int
    ) -> float:
        """The processor time of training, in seconds."""
        began = time.process_time()
        train(energy, data, shaping, steps, batch_size=batch, lr=5e-3, clip=1.0, seed=seed)
        return time.process_time() - began

    def _test(
        self, task: Task, energy: FactorGraph, networks: dict[str, FactorNetwork], y: Tensor, seed: int
    ) -> dict[str, Any]:
        easy = task.draw(self.tested, self.generator(2000 + seed))
        hard = task.draw_harder(self.tested, self.generator(3000 + seed))
        numbers: dict[str, dict[str, float]] = {"mean answer": {}, "energy": {}}
        for measure, (x, truth) in (("same", easy), ("harder", hard)):
            numbers["mean answer"][measure] = squared_error(y.mean().expand_as(truth), truth)
            for method, network in networks.items():
                with torch.no_grad():
                    numbers.setdefault(method, {})[measure] = squared_error(network(x), truth)
            found = descended(energy, x, truth, self.marks).errors
            numbers["energy"] |= {f"{measure} after {mark}": error for mark, error in found.items()}
            numbers["energy"] |= {measure: found[self.marks[-1]], f"{measure} as trained": found[self.marks[0]]}
        return {"numbers": numbers}

    def _picture(self, energy: FactorGraph, seed: int) -> dict[str, Tensor]:
        """All columns of the inverse of one harder matrix."""
        size = self.unknowns
        x, _ = inverse_columns(1, size, self.harder_ridge, self.generator(4000 + seed))
        matrix = x[:, size:].reshape(1, size, size).double().expand(size, size, size)
        x, y = columns_of(matrix, torch.arange(size))
        found: Descended = descended(energy, x, y, self.marks)
        return {"truth": y.T, "answers": found.answers.transpose(1, 2)}

    def figures(self, run: Run, first: Left) -> None:
        for name in KINDS:
            run.grid(name, [(partial(self._curves, run, name, measure), "") for measure in ("same", "harder")])
        run.show(pictured=", ".join(str(mark) for mark in self.marks))
        tiles = torch.stack([*first.answers, first.truth])
        run.figure("descent", partial(image_rows, {"A⁻¹": tiles}, each=False))

    def _curves(self, run: Run, name: str, measure: str) -> Figure:
        results = run.measured
        lines: dict[str, Any] = {"energy": results.curve(f"{name}: energy", f"{measure} after {{}}", self.marks)}
        for method in ("network", "large network"):
            lines[method] = (self.marks, [results.mean(f"{name}: {method}", measure)] * len(self.marks))
        return curves(lines, xlabel="steps of descent", ylabel="squared error", log="xy")

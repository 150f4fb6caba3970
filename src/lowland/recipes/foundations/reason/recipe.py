"""An energy that checks answers, and descent that finds them: more steps solve harder problems than trained for."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

from lowland.data.problems import additions, columns_of, inverse_columns
from lowland.data.sudoku import sudokus
from lowland.energies.base import Energy
from lowland.energies.factor_graph import FactorGraph
from lowland.energies.prediction import Prediction
from lowland.evaluation.reasoning import descended, squared_error, whole_boards
from lowland.nn.factor_network import FactorNetwork
from lowland.plots import curves
from lowland.plots.boards import boards
from lowland.plots.images import image_rows
from lowland.recipes.base import Bound, Count, Positive, SeededRecipe, recipe, train
from lowland.reports.run import Run
from lowland.shaping.base import Shaping
from lowland.shaping.predictive.descent import Descent
from lowland.shaping.regularised.minimum_energy import MinimumEnergy
from lowland.solvers.gradient_descent import GradientDescent

KINDS = {"inverse": "linear_system", "addition": "addition", "sudoku": "sudoku"}
"""The kind of problem of each task, as `lowland.data.scopes` has it."""
LAYERS = 4
NETWORKS = {"network": (3, 3), "large network": (8, 8)}
"""Width and channels of the feed-forward networks: about as many parameters as the energy, or several times as many."""
TIMES = {"inverse": {"network": 5.0, "large network": 2.5}, "addition": {"network": 7.0, "large network": 7.0}}
TIMES["sudoku"] = {"network": 3.2, "large network": 2.0}
"""Steps of the networks, of twice as many problems, for each of the energy: about as much processor time, or more."""
MOMENTUM = 0.8
"""Of the steps in training; in use it is 0.9."""


class Task(NamedTuple):
    """Problems of one kind: their size, training steps of the energy and problems in each, easy and harder draws."""

    size: int
    steps: int
    batch: int
    draw: Callable[[int, torch.Generator], tuple[Tensor, Tensor]]
    draw_harder: Callable[[int, torch.Generator], tuple[Tensor, Tensor]]


class Left(NamedTuple):
    """What the pictures need: a harder problem, its solution, and the answers after each number of steps."""

    given: Tensor
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
    block: Literal[2, 3] = 3
    """Side of the blocks of a Sudoku, whose boards have block² rows."""
    clues: Count = 45
    """Clues of the Sudokus to learn from."""
    harder_clues: Count = 36
    """Clues of the harder ones."""
    problems: Count = 10000
    """Problems to train on, of each kind."""
    tested: Count = 100
    """Test problems of each kind and difficulty."""
    steps: Count = 1500
    """Training steps of the energy for the inverse, of 32 problems each."""
    addition_steps: Count = 300
    """The same for addition."""
    sudoku_steps: Count = 500
    """The same for Sudokus, of 8 each."""
    unrolled: Count = 10
    """Steps of descent in training."""
    ahead: Annotated[int, Bound(least=0)] = 40
    """Most steps in training before those, which are not differentiated."""
    doublings: Count = 6
    """How often the number of steps of descent is doubled in use."""

    accelerated: ClassVar[bool] = False
    stages: ClassVar[int] = 14
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {
            "seeds": 2, "problems": 64, "tested": 6, "steps": 3, "addition_steps": 2,
            "sudoku_steps": 2, "block": 2, "clues": 10, "harder_clues": 8, "unrolled": 2, "ahead": 2, "doublings": 2,
        },
    }  # fmt: skip

    @property
    def marks(self) -> list[int]:
        """The numbers of steps after which the error is measured."""
        return [self.unrolled * 2**power for power in range(self.doublings + 1)]

    def task(self, name: str) -> Task:
        """The problems of a task."""
        batch, draw = 32, {"inverse": inverse_columns, "addition": additions, "sudoku": _sudokus}[name]
        if name == "inverse":
            size, steps, easy, hard = self.unknowns, self.steps, self.ridge, self.harder_ridge
        elif name == "addition":
            size, steps, easy, hard = self.entries, self.addition_steps, self.largest, self.harder_largest
        else:
            size, steps, easy, hard, batch = self.block, self.sudoku_steps, self.clues, self.harder_clues, 8

        def drawing(how: Any) -> Callable[[int, torch.Generator], tuple[Tensor, Tensor]]:
            return lambda count, generator: draw(count, size, how, generator)

        return Task(size, steps, batch, drawing(easy), drawing(hard))

    def measure(self, run: Run, seed: int) -> tuple[dict[str, dict[str, Any]], dict[str, Left]]:
        numbers: dict[str, dict[str, Any]] = {}
        pictured: dict[str, Left] = {}
        for index, name in enumerate(KINDS):
            with run.below(name):
                found, left = self._measure(run, name, 10 * seed + index)
            numbers |= {f"{name}: {method}": row for method, row in found.items()}
            pictured[name] = left
        return numbers, pictured

    def _measure(self, run: Run, name: str, seed: int) -> tuple[dict[str, dict[str, Any]], Left]:
        task, kind = self.task(name), KINDS[name]
        x, y = task.draw(self.problems, self.generator(1000 + seed))
        solver = GradientDescent(1.0, momentum=MOMENTUM, max_steps=self.unrolled, tol=None)
        energy = FactorGraph(kind, task.size, generator=self.generator(seed))
        learn = partial(
            self._train, energy, (x, y), Descent(solver, seed=seed, ahead=self.ahead), task.steps, task.batch, seed
        )
        seconds = {"energy": run.stage("energy", learn, [energy])}
        networks: dict[str, FactorNetwork] = {}
        for method, (width, channels) in NETWORKS.items():
            steps = round(TIMES[name][method] * task.steps)
            network = FactorNetwork(kind, task.size, LAYERS, width, channels, self.generator(seed))
            wrapped = Prediction(x.shape[1], y.shape[1], hidden=())
            wrapped.network = network
            learn = partial(self._train, wrapped, (x, y), MinimumEnergy(), steps, 2 * task.batch, seed)
            seconds[method] = run.stage(method, learn, [network])
            networks[method] = network
        if seed < len(KINDS):
            run.save_energy(name, energy)
        tested = run.stage("test", partial(self._test, name, energy, networks, y, seed))
        numbers: dict[str, dict[str, Any]] = tested["numbers"]
        for method, module in (("energy", energy), *networks.items()):
            size = sum(parameter.numel() for parameter in module.parameters())
            numbers[method] |= {"parameters": size, "seconds": seconds[method]}
        numbers["energy"]["share"] = numbers["energy"]["harder"] / numbers["network"]["harder"]
        numbers["energy"]["share of large"] = numbers["energy"]["harder"] / numbers["large network"]["harder"]
        shown = run.stage("picture", partial(self._picture, name, energy, seed))
        return numbers, Left(**shown)

    def _train(
        self, energy: Energy, data: tuple[Tensor, Tensor], shaping: Shaping, steps: int, batch: int, seed: int
    ) -> float:
        """The processor time of training, in seconds."""
        began = time.process_time()
        train(energy, data, shaping, steps, batch_size=batch, lr=5e-3, clip=1.0, seed=seed)
        return time.process_time() - began

    def _test(
        self, name: str, energy: FactorGraph, networks: dict[str, FactorNetwork], y: Tensor, seed: int
    ) -> dict[str, Any]:
        task = self.task(name)
        easy = task.draw(self.tested, self.generator(2000 + seed))
        hard = task.draw_harder(self.tested, self.generator(3000 + seed))
        numbers: dict[str, dict[str, float]] = {method: {} for method in ("mean answer", *networks, "energy")}
        for measure, (x, truth) in (("same", easy), ("harder", hard)):
            found = descended(energy, x, truth, self.marks)
            with torch.no_grad():
                answers = {method: network(x) for method, network in networks.items()}
            answers |= {"mean answer": y.mean(dim=0).expand_as(truth), "energy": found.answers[-1]}
            for method, answer in answers.items():
                numbers[method][measure] = squared_error(answer, truth)
                if name == "sudoku":
                    numbers[method][f"{measure} boards"] = whole_boards(answer, truth, self.block**2)
            numbers["energy"] |= {f"{measure} after {mark}": error for mark, error in found.errors.items()}
            away = 100 * found.ran_away[-1].double().mean().item()
            numbers["energy"] |= {f"{measure} as trained": found.errors[self.marks[0]], f"{measure} away": away}
        return {"numbers": numbers}

    def _picture(self, name: str, energy: FactorGraph, seed: int) -> dict[str, Tensor]:
        """One harder Sudoku, or all columns of the inverse of one harder matrix."""
        task, generator = self.task(name), self.generator(4000 + seed)
        x, y = task.draw_harder(1, generator)
        if name == "inverse":
            matrix = x[:, task.size :].reshape(1, task.size, task.size).double().expand(task.size, -1, -1)
            x, y = columns_of(matrix, torch.arange(task.size))
        return {"given": x, "truth": y, "answers": descended(energy, x, y, self.marks).answers}

    def figures(self, run: Run, first: dict[str, Left]) -> None:
        for name in reversed(KINDS):  # the first is the picture of the page
            run.grid(name, [(partial(self._curves, run, name, measure), "") for measure in ("same", "harder")])
        run.show(pictured=", ".join(str(mark) for mark in self.marks))
        inverse, sudoku = first["inverse"], first["sudoku"]
        tiles = torch.cat([inverse.answers, inverse.truth[None]]).transpose(1, 2)
        run.figure("descent", partial(image_rows, {"A⁻¹": tiles}, each=False))
        chosen = range(0, len(self.marks), 2)
        titles = [f"{self.marks[index]} steps" for index in chosen]
        answers = sudoku.answers[list(chosen), 0]
        run.figure("boards", partial(boards, answers, sudoku.given[0], sudoku.truth[0], titles))

    def _curves(self, run: Run, name: str, measure: str) -> Figure:
        results = run.measured
        lines: dict[str, Any] = {"energy": results.curve(f"{name}: energy", f"{measure} after {{}}", self.marks)}
        for method in ("network", "large network"):
            lines[method] = (self.marks, [results.mean(f"{name}: {method}", measure)] * len(self.marks))
        return curves(lines, xlabel="steps of descent", ylabel="squared error", log="xy")


def _sudokus(count: int, block: int, clues: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    made = sudokus(count, block, clues, generator)
    return made.x, made.y

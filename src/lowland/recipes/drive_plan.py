"""Planning in place of a policy (rows W2, W3): model-predictive control in traffic with every solver, and its actor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from lowland.envs.drivers import sanity_drivers
from lowland.envs.episodes import Episodes, Logs, read_logs
from lowland.envs.replay import Replay
from lowland.errors import OptionError, nearest
from lowland.evaluation.success import summary
from lowland.planning.control import Controller
from lowland.planning.energy import PlanEnergy
from lowland.planning.policies import Imitation, Policy
from lowland.plots.style import BLUE, ORANGE
from lowland.recipes.base import falling, recipe
from lowland.recipes.drive import as_drive, drive
from lowland.recipes.drive_logs import write_log
from lowland.recipes.drive_methods import DETERMINISTIC, DRIVERS, IMITATION
from lowland.recipes.drive_options import SMALL, DriveOptions, model_folder
from lowland.recipes.drive_page import success_bars
from lowland.reports.run import Run
from lowland.shaping.regularised.minimum_energy import MinimumEnergy
from lowland.solvers.adam import Adam
from lowland.solvers.base import Solver
from lowland.solvers.cem import CEM
from lowland.solvers.gradient_descent import GradientDescent
from lowland.solvers.icem import ICEM
from lowland.solvers.langevin import Langevin
from lowland.solvers.lbfgs import LBFGS
from lowland.solvers.mppi import MPPI
from lowland.training.fit import fit
from lowland.worlds.base import State, World
from lowland.worlds.driving_costs import DrivingCost

SOLVERS: dict[str, Callable[[int, int], Solver]] = {
    "Adam": lambda steps, samples: Adam(0.03, max_steps=steps, tol=None),
    "gradient descent": lambda steps, samples: GradientDescent(0.01, max_steps=steps, tol=None),
    "L-BFGS": lambda steps, samples: LBFGS(max_steps=steps, tol=None, max_line_search=6),
    "Langevin": lambda steps, samples: Langevin(0.02, temperature=1e-4, max_steps=steps),
    "CEM": lambda steps, samples: CEM(samples, max_steps=steps, tol=None, deviation=0.3),
    "iCEM": lambda steps, samples: ICEM(samples, max_steps=steps, tol=None, deviation=0.3),
    "MPPI": lambda steps, samples: MPPI(samples, max_steps=steps, tol=None, deviation=0.3),
}
"""By name: (steps, samples) → a solver; actions are in shares of their bounds."""
STARTS = (-0.6, -0.2, 0.0, 0.2)
"""Accelerations of the plans, straight ahead, that are tried beside the last one as starts."""


@recipe(
    "drive-plan",
    shows="No policy is needed to drive: at every step a plan is sought that has a low energy in the model, its first "
    "action is done, and the next plan starts from the rest. Every solver is tried, and an actor learns from one.",
    rows=("W2", "W3"),
    minutes=90,
    title="Driving by planning",
)
@dataclass(frozen=True)
class DrivePlanRecipe(DriveOptions):
    """Receding horizons in the forward model of the recipe `drive`, in the same held-out traffic."""

    models: str = ""
    """Folder of trained models to plan with, such as RUN/checkpoints; `shipped`: those of the package. None: train."""
    horizon: int = 15
    """Steps of 0.2 s of a plan."""
    solvers: tuple[str, ...] = tuple(SOLVERS)
    """By which plans are sought."""
    solver_steps: int = 5
    """Steps of a solver for each plan; 5 in the paper."""
    samples: int = 64
    """Candidates of CEM, iCEM and MPPI in each step."""
    teacher: str = "Adam"
    """The solver whose plans the actor learns from."""
    lessons: int = 450
    """Trips in the training recordings from which the actor learns."""
    rounds: int = 3
    """Parts of the lessons. In the first the teacher drives, in the others the actor, and the teacher tells what to do
    where that leads (DAgger: Ross, Gordon & Bagnell 2011)."""
    actor_steps: int = 15000
    """Updates of the actor after each round, of 128 states each."""
    episodes: int = 100
    """Test episodes at most, evenly spaced in the test recordings."""

    files: ClassVar[tuple[str, ...]] = ("tracks", "models")
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": SMALL
        | {
            "solvers": ("Adam", "CEM"), "solver_steps": 1, "samples": 4, "lessons": 4, "rounds": 2,
            "actor_steps": 3, "episodes": 2, "horizon": 3,
        }
    }  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in (*self.solvers, self.teacher):
            if name not in SOLVERS:
                raise OptionError(f"There is no solver called {name!r} here. {nearest(name, SOLVERS)}")
        if min(self.horizon, self.solver_steps, self.lessons, self.rounds, self.actor_steps) < 1 or self.samples < 4:
            raise OptionError(
                "horizon, solver_steps, lessons, rounds and actor_steps must be at least 1, and samples at least 4."
            )
        if self.teacher not in self.solvers:
            raise OptionError(f"The teacher {self.teacher!r} must be one of the solvers that drive.")
        object.__setattr__(self, "models", model_folder(self.models))

    def run(self, run: Run) -> None:
        run.expect(5 + len(self.solvers) + 2)
        logs = read_logs(self.tracks, self.cars, self.device, self.recordings, reading=self.reading)
        segments = {} if self.models else logs.segments(self.windows, self.model_horizon, self.generator())
        episodes = [logs.episodes(self.episodes), []]
        base = as_drive(self)
        world = base.world(run, DETERMINISTIC, segments, 0)
        found: dict[str, dict[str, Any]] = {}
        for name, driver in sanity_drivers().items():
            found[name] = run.stage(f"test/{name.replace(' ', '-')}", partial(drive, episodes, driver))
        for name in self.solvers:
            found[name] = run.stage(f"test/{name.replace(' ', '-')}", partial(self._planned, name, world, episodes))
        actor = base.policy(IMITATION, 0)
        learned = run.stage("actor", partial(self._distilled, world, actor, logs), [actor])
        label = f"actor of {self.teacher}"
        found[label] = run.stage("test/actor", partial(drive, episodes, actor.eval()))
        self._results(run, found, label, base.data)
        run.part(self._page, found, label, learned)
        run.part(write_log, logs)

    def planner(self, name: str, world: World) -> Controller:
        """A receding horizon in the model, with one of the `SOLVERS`."""
        plan = PlanEnergy(world, DrivingCost(steady=True), self.horizon, futures=0, discount=0.99).to(self.device)
        starts = torch.zeros(len(STARTS), self.horizon, 2, device=self.device)
        starts[:, :, 0] = torch.tensor(STARTS, device=self.device)[:, None]
        return Controller(plan, SOLVERS[name](self.solver_steps, self.samples), self.generator(5), starts)

    def _planned(self, name: str, world: World, episodes: list[list[Episodes]]) -> dict[str, Any]:
        outcome = drive(episodes, self.planner(name, world))
        # Latency is that of one car: a batch of cars is planned for at less cost each.
        alone = self.planner(name, world)
        replay = episodes[0][0].replay
        state = replay.reset(episodes[0][0].numbers[:1])
        for _ in range(min(20, 4 * self.episodes)):
            state, _ = replay.step(alone(state))
        return {**outcome, "latency": alone.latency()}

    def _distilled(self, world: World, actor: Policy, logs: Logs) -> dict[str, float]:
        """In the training recordings the teacher tells what to do, and the actor learns it."""
        teacher, found = self.planner(self.teacher, world), []
        episodes, learned = logs.episodes(self.lessons, "train"), {}
        for number in range(self.rounds):
            driver = actor.eval() if number else None
            for replay, numbers in episodes:
                if len(some := numbers[number :: self.rounds]):
                    found += _demonstrations(replay, some, teacher, driver)
            x = {name: torch.cat([state[name] for state, _ in found]) for name in found[0][0]}
            y = torch.cat([action for _, action in found])
            result = fit(
                Imitation(actor), (x, y), MinimumEnergy(), self.actor_steps, min(128, len(y)), self.rate,
                schedule=partial(falling, self.actor_steps), validation=0.0, progress=False, seed=self.seed,
            )  # fmt: skip
            learned = {"states": float(len(y)), "error": result.history["loss/energy"].values[-1]}
        return learned

    def _results(self, run: Run, found: dict[str, dict[str, Any]], label: str, test: str) -> None:
        data = f"{test}, {len(found['human']['test'])} episodes"
        for name, outcome in found.items():
            share = 100 * summary(outcome["test"])["success"].value
            method = DRIVERS[name][0] if name in DRIVERS else name
            run.result(id="W3" if name == label else "W2", claim="success", method=method, measured=share, data=data)
        for name, outcome in found.items():
            if "latency" in outcome:
                run.result(
                    id="W2", claim="planning latency for one car, median, ms", method=name,
                    measured=outcome["latency"]["median"], data=f"horizon {self.horizon} steps of 0.2 s",
                )  # fmt: skip

    def _page(self, run: Run, found: dict[str, dict[str, Any]], label: str, learned: dict[str, float]) -> None:
        rows = []
        for name, outcome in found.items():
            row = summary(outcome["test"])
            method = DRIVERS[name][0] if name in DRIVERS else name
            share = 100 * row["success"].value
            late = outcome.get("latency")
            ends = row["reasons"]
            rows.append(
                [method, share, 100 * row["success"].low, 100 * row["success"].high, row["distance"],
                 ends.get("collision", 0), ends.get("off road", 0), late and late["median"], late and late["p95"]]
            )  # fmt: skip
        share = {name: f"{100 * summary(outcome['test'])['success'].value:.0f} %" for name, outcome in found.items()}
        planned = {name: share[name] for name, outcome in found.items() if "latency" in outcome}
        run.finding(
            f"Planning anew at every step arrives in {', '.join(f'{rate} ({name})' for name, rate in planned.items())} "
            f"of the episodes, the {label} in {share[label]}; the human in {share['human']}, no action in "
            f"{share['no action']}."
        )
        run.section("Who arrives")
        colours = {name: BLUE for name, outcome in found.items() if "latency" in outcome} | {label: ORANGE}
        run.figure("success", success_bars({n: summary(o["test"])["success"] for n, o in found.items()}, colours))
        names = ("driver", "success, %", "from", "to", "metres", "collisions", "off road", "latency, ms", "95 %, ms")
        caption = (
            f"Each plan is {self.horizon} steps of 0.2 s and gets {self.solver_steps} steps of its solver, from the "
            "last plan on or from an even one, whichever is lower. Intervals are Wilson's. The actor learned from "
            f"{learned['states']:.0f} states in {self.rounds} rounds; after the first the actor drove, and the teacher "
            "told what to do."
        )
        run.table(names, rows, caption)


def _demonstrations(
    replay: Replay, numbers: Tensor, teacher: Controller, driver: Policy | None
) -> list[tuple[State, Tensor]]:
    """The states of some episodes with the teacher's actions there; without a driver the teacher drives."""
    found, state = [], replay.reset(numbers)
    teacher.reset()
    while len(replay.episodes):
        action = teacher(state)
        found.append((state, action))
        with torch.no_grad():
            state, info = replay.step(action if driver is None else driver(state))
        left = (~info["done"]).nonzero()[:, 0]
        if len(left) < len(action):
            replay.select(left)
            teacher.select(left)
            state = {name: leaf[left] for name, leaf in state.items()}
    return found

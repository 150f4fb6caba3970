"""Planning in place of a policy: model-predictive control in traffic with every solver, and an actor that learns it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar

import torch

from lowland.envs.drivers import sanity_drivers
from lowland.envs.episodes import Episodes, Logs, drive
from lowland.envs.replay import Policy as Driver
from lowland.errors import OptionError, nearest
from lowland.evaluation.driving import latency_of_one, percent
from lowland.evaluation.success import summary
from lowland.planning.control import Controller
from lowland.planning.energy import PlanEnergy
from lowland.planning.policies import Imitation, Policy
from lowland.planning.policy_methods import DETERMINISTIC
from lowland.plots.bars import interval_bars
from lowland.plots.style import BLUE, ORANGE
from lowland.recipes.base import Bound, Count, recipe, train
from lowland.recipes.driving.common import SMALL, DriveOptions, show_log
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
from lowland.training.dagger import dagger
from lowland.worlds.base import World
from lowland.worlds.driving_costs import DrivingCost

SOLVERS: dict[str, Callable[[int, int], Solver]] = {
    "Adam": lambda steps, samples: Adam(0.03, max_steps=steps, tol=None),
    "gradient descent": lambda steps, samples: GradientDescent(0.01, max_steps=steps, tol=None),
    "L-BFGS": lambda steps, samples: LBFGS(max_steps=steps, tol=None, max_line_search=6),
    "Langevin": lambda steps, samples: Langevin(0.02, temperature=1e-4, max_steps=steps),
    "CEM": lambda steps, samples: CEM(samples, max_steps=steps, tol=None, deviation=0.1),
    "iCEM": lambda steps, samples: ICEM(samples, max_steps=steps, tol=None, deviation=0.1),
    "MPPI": lambda steps, samples: MPPI(samples, max_steps=steps, tol=None, deviation=0.1),
}
"""By name: (steps, samples) → a solver; actions are in shares of their bounds."""
STARTS = (-0.6, -0.2, 0.0, 0.2)
"""Constant accelerations, straight ahead, of the plans that are tried as starts beside the last plan."""


@recipe
@dataclass(frozen=True)
class DrivePlanRecipe(DriveOptions):
    """Receding-horizon control in the forward model of the recipe `drive`, in the same held-out traffic."""

    horizon: Count = 15
    """Steps of 0.2 s of a plan."""
    solvers: tuple[str, ...] = tuple(SOLVERS)
    """Solvers that plan."""
    solver_steps: Count = 5
    """Steps of a solver for each plan; 5 in the paper."""
    samples: Annotated[int, Bound(least=4)] = 64
    """Candidates of CEM, iCEM and MPPI in each step."""
    teacher: str = "Adam"
    """The solver whose plans the actor learns from."""
    demonstrations: Count = 450
    """Episodes in the training recordings from which the actor learns."""
    rounds: Count = 3
    """Parts of the demonstrations. In the first the teacher drives, in the others the actor does, and the teacher
    labels the states that it reaches (DAgger: Ross, Gordon & Bagnell 2011)."""
    actor_steps: Count = 15000
    """Updates of the actor after each round, of 128 states each."""
    episodes: Count = 100
    """Test episodes at most, evenly spaced in the test recordings."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": SMALL
        | {
            "solvers": ("Adam", "CEM"), "solver_steps": 1, "samples": 4, "demonstrations": 4, "rounds": 2,
            "actor_steps": 3, "episodes": 2, "horizon": 3,
        }
    }  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in (*self.solvers, self.teacher):
            if name not in SOLVERS:
                raise OptionError(f"There is no solver called {name!r} here. {nearest(name, SOLVERS)}")
        if self.teacher not in self.solvers:
            raise OptionError(f"The teacher {self.teacher!r} must be one of the solvers that drive.")

    def run(self, run: Run) -> None:
        run.expect(5 + len(self.solvers) + 2)
        logs = self.logs(run)
        segments = {} if self.models else logs.segments(self.windows, self.model_horizon, self.generator())
        episodes = logs.episodes(self.episodes)
        world = self.world(run, DETERMINISTIC, segments, 0).world
        tests = {name: partial(_test, episodes, driver) for name, driver in sanity_drivers().items()}
        tests |= {name: partial(self._planned, name, world, episodes) for name in self.solvers}
        found = {name: run.stage(f"test/{name.replace(' ', '-')}", test) for name, test in tests.items()}
        actor = self.new_policy(False, 0)
        learned = run.stage("actor", partial(self._distilled, world, actor, logs), [actor])
        label = f"actor of {self.teacher}"
        found[label] = run.stage("test/actor", partial(_test, episodes, actor.eval()))
        for name, outcome in found.items():
            run.measured.add({name: _measures(outcome)})
        show_log(run, logs, self)
        run.show(count=len(found["human"]["test"]), actor=label, states=learned["states"])
        run.part(self._draw, found, label)

    def planner(self, name: str, world: World) -> Controller:
        """A receding horizon in the model, with one of the `SOLVERS`."""
        plan = PlanEnergy(world, DrivingCost(steady=True), self.horizon, futures=0, discount=0.99).to(self.device)
        starts = torch.zeros(len(STARTS), self.horizon, 2, device=self.device)
        starts[:, :, 0] = torch.tensor(STARTS, device=self.device)[:, None]
        return Controller(plan, SOLVERS[name](self.solver_steps, self.samples), self.generator(5), starts)

    def _planned(self, name: str, world: World, episodes: Sequence[Episodes]) -> dict[str, Any]:
        outcome = _test(episodes, self.planner(name, world))
        # Latency is that of one car: a batch of cars is planned for at less cost each.
        return outcome | {"latency": latency_of_one(self.planner(name, world), episodes[0], min(20, 4 * self.episodes))}

    def _distilled(self, world: World, actor: Policy, logs: Logs) -> dict[str, float]:
        """The actor learns the teacher's actions in the training recordings."""
        episodes, learned = logs.episodes(self.demonstrations, "train"), {}
        for x, y in dagger(actor, self.planner(self.teacher, world), episodes, self.rounds):
            options = {"batch_size": min(128, len(y)), "lr": self.rate, "seed": self.seed}
            result = train(Imitation(actor), (x, y), MinimumEnergy(), self.actor_steps, **options)
            learned = {"states": float(len(y)), "error": result.history["loss/energy"].values[-1]}
        return learned

    def _draw(self, run: Run, found: Mapping[str, dict[str, Any]], actor: str) -> None:
        bars = {name: percent([outcome["test"]]) for name, outcome in found.items()}
        colours = dict.fromkeys(self.solvers, BLUE) | {actor: ORANGE}
        run.figure("success", lambda: interval_bars(bars, xlabel="success, %", colours=colours, most=100))


def _test(episodes: Sequence[Episodes], driver: Driver) -> dict[str, Any]:
    return {"test": drive(episodes, driver)}


def _measures(outcome: dict[str, Any]) -> dict[str, float]:
    row, (value, low, high) = summary(outcome["test"]), percent([outcome["test"]])
    found = {"success": value, "low": low, "high": high, "distance": row["distance"]}
    found |= {reason: row["reasons"].get(reason, 0) for reason in ("collision", "off road")}
    return found | {name: outcome["latency"][name] for name in ("median", "p95") if "latency" in outcome}

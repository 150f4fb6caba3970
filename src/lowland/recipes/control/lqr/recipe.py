"""Planning by every solver against the exact answer, where there is one: the linear-quadratic problem."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor

from lowland.evaluation.optimality import optimality, relative_gap
from lowland.planning.energy import PlanEnergy
from lowland.plots import curves
from lowland.plots.plans import plan_paths
from lowland.recipes.base import Bound, Count, Recipe, recipe
from lowland.reports.run import Run
from lowland.solvers.adam import Adam
from lowland.solvers.base import Solver
from lowland.solvers.cem import CEM
from lowland.solvers.gradient_descent import GradientDescent
from lowland.solvers.icem import ICEM
from lowland.solvers.langevin import Langevin
from lowland.solvers.lbfgs import LBFGS
from lowland.solvers.mppi import MPPI
from lowland.worlds.linear import LinearWorld, riccati
from lowland.worlds.rollout import rollout

STEP, NEAR = 0.1, 1.0
"""Seconds of a step, and how many percent above the least cost a plan may be to count as optimal."""
EXACT = "Riccati equation"


@recipe
@dataclass(frozen=True)
class LqrRecipe(Recipe):
    """A mass on a rail: position in m, speed in m/s, an acceleration in m/s² as action, steps of 0.1 s."""

    horizon: Count = 30
    """T, steps of the plan."""
    starts: Count = 16
    """States to plan from, drawn from N(0, 1)."""
    samples: Annotated[int, Bound(least=32)] = 256
    """Candidates of a step of CEM, iCEM and MPPI."""
    steps: Count = 100
    """Steps of CEM, iCEM and MPPI."""
    descents: Count = 1000
    """Largest number of steps of the solvers that follow gradients."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"horizon": 10, "starts": 3, "samples": 64, "steps": 30, "descents": 200}
    }

    def run(self, run: Run) -> None:
        solvers = self._solvers()
        run.expect(len(solvers))
        world = LinearWorld([[1.0, STEP], [0.0, 1.0]], [[0.5 * STEP**2], [STEP]]).to(self.device)
        plan = PlanEnergy(world, _cost, self.horizon)
        state = {"state": torch.randn(self.starts, 2, generator=self.generator()).to(self.device)}
        gains, value = riccati(world, torch.diag(torch.tensor([1.0, 0.1])), 0.1 * torch.eye(1), self.horizon)
        with torch.no_grad():
            exact = rollout(world, state, lambda s, t: -s["state"] @ gains[t].T, None, self.horizon)
            best = 0.5 * (state["state"] @ value * state["state"]).sum(dim=1)
            idle = plan(x=state, y=torch.zeros_like(exact.actions))
        difference = float(exact.actions.abs().max())
        run.measured.add({"nothing": {"gap": 100 * relative_gap(idle, best), "difference": difference}})
        plans, paths = {EXACT: exact.actions.cpu()}, {}
        for name, solver in solvers.items():
            found = run.stage(name, partial(self._solve, plan, state, solver, best, exact.actions))
            numbers = {"gap": 100 * found["gap"], "difference": found["away"]}
            run.measured.add({name: {**numbers, "steps": found["steps"], "seconds": found["seconds"]}})
            plans[name], paths[name] = found["actions"], found["way"]
        run.show(near=[name for name in solvers if run.measured.each(name, "gap")[0] < NEAR], step=STEP)
        run.part(self._draw, plans, paths, {name: part.cpu() for name, part in state.items()}, world.cpu())

    def _solvers(self) -> dict[str, Solver]:
        crowd = {"samples": self.samples, "max_steps": self.steps, "tol": None}
        made: tuple[Solver, ...] = (
            GradientDescent(0.2, momentum=0.9, max_steps=self.descents, tol=1e-5),
            Adam(0.05, max_steps=self.descents, tol=1e-5),
            LBFGS(tol=1e-5),
            Langevin(0.2, temperature=1e-6, max_steps=self.descents),
            CEM(**crowd),
            ICEM(colour=0.5, **crowd),
            MPPI(**crowd),
        )
        return {type(solver).__name__: solver for solver in made}

    def _solve(
        self, plan: PlanEnergy, state: dict[str, Tensor], solver: Solver, best: Tensor, actions: Tensor
    ) -> dict[str, Any]:
        found = optimality(plan, state, solver, best, actions, self.generator(1))
        return {
            "gap": found.gap, "away": found.distance, "seconds": found.seconds, "steps": found.steps,
            "actions": found.value, "way": {"steps": found.at, "gaps": found.gaps},
        }  # fmt: skip

    def _draw(
        self, run: Run, plans: dict[str, Tensor], paths: dict[str, Any], state: dict[str, Tensor], world: LinearWorld
    ) -> None:
        shown = {}
        for name in (EXACT, "LBFGS", "MPPI"):
            with torch.no_grad():
                states = rollout(world, state, plans[name], None, self.horizon).states["state"]
            shown[name] = torch.cat([state["state"][:, None], states], dim=1), plans[name][:, :, 0]
        run.figure("plans", plan_paths(shown, STEP))
        lines = {name: (path["steps"], [max(gap, 1e-7) for gap in path["gaps"]]) for name, path in paths.items()}
        drawn = curves(lines, title="Convergence", xlabel="step", ylabel="cost above the optimum", log="xy")
        run.figure("convergence", drawn)


def _cost(state: Any, action: Tensor) -> Tensor:
    position, speed = state["state"].unbind(dim=1)
    return 0.5 * (position.square() + 0.1 * speed.square() + 0.1 * action.square().sum(dim=1))

"""Planning by every solver against the exact answer, where there is one: the linear-quadratic problem."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar

import torch
from matplotlib.figure import Figure
from torch import Tensor

from lowland.inference import infer
from lowland.planning.energy import PlanEnergy
from lowland.plots import curves
from lowland.plots.style import BLUE, INK, MUTED, ORANGE, figure, ruled
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
        run.measured.add({"nothing": {"gap": 100 * _gap(idle, best), "difference": difference}})
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
        began = time.process_time()
        with torch.no_grad():
            found = infer(plan, x=state, over="y", solver=solver, generator=self.generator(1), record=True)
            spent = time.process_time() - began
            assert found.trajectory is not None
            looks = sorted({round(len(found.trajectory) ** (n / 40)) - 1 for n in range(41)})
            way = [_gap(plan(x=state, y=found.trajectory[n].reshape(actions.shape)), best) for n in looks]
        return {
            "gap": _gap(found.energy, best),
            "away": float((found.value - actions).abs().max()),
            "seconds": spent,
            "steps": int(found.steps.max()),
            "actions": found.value,
            "way": {"steps": [look + 1 for look in looks], "gaps": way},
        }

    def _draw(
        self, run: Run, plans: dict[str, Tensor], paths: dict[str, Any], state: dict[str, Tensor], world: LinearWorld
    ) -> None:
        run.figure("plans", _plans(world, state, plans))
        lines = {name: (path["steps"], [max(gap, 1e-7) for gap in path["gaps"]]) for name, path in paths.items()}
        drawn = curves(lines, title="Convergence", xlabel="step", ylabel="cost above the optimum", log="xy")
        run.figure("convergence", drawn)


def _cost(state: Any, action: Tensor) -> Tensor:
    position, speed = state["state"].unbind(dim=1)
    return 0.5 * (position.square() + 0.1 * speed.square() + 0.1 * action.square().sum(dim=1))


def _gap(energy: Tensor, best: Tensor) -> float:
    return float(((energy - best) / best).mean())


def _plans(world: LinearWorld, state: dict[str, Tensor], shown: dict[str, Tensor]) -> Figure:
    drawn = figure(9, 3.4)
    left, right = drawn.subplots(1, 2)
    horizon = shown[EXACT].shape[1]
    styles = {EXACT: (INK, 5.0, 0.18, "-"), "LBFGS": (BLUE, 1.4, 1.0, "-"), "MPPI": (ORANGE, 1.4, 1.0, (0, (3, 2)))}
    for name, (colour, width, alpha, line) in styles.items():
        with torch.no_grad():
            states = rollout(world, state, shown[name], None, horizon).states["state"]
        path = torch.cat([state["state"][:, None], states], dim=1)
        for row in range(min(3, len(path))):
            label = name if row == 0 else None
            look = {"color": colour, "linewidth": width, "alpha": alpha, "linestyle": line, "label": label}
            left.plot(*path[row].T.numpy(), **look)
            right.plot(STEP * torch.arange(horizon), shown[name][row, :, 0], **look)
    left.scatter(*state["state"][:3].T.numpy(), s=26, color=MUTED, zorder=5)
    left.scatter([0], [0], marker="x", s=36, color=INK, zorder=5)
    ruled(left, "Where the plans lead", "position, m", "speed, m/s")
    ruled(right, "What the plans are", "time, s", "acceleration, m/s²")
    right.legend(frameon=False, fontsize=8, labelcolor=INK)
    return drawn

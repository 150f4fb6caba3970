"""Speed of planning: model steps, MPPI compared with `pytorch_mppi`, and training of a policy through the model.

    python benchmarks/planning.py [--quick] [--json FILE]

Both planners get the same network, cost, number of candidates, iterations and horizon, and plan for one state at a time
with a warm start, as in control. `pytorch_mppi` is timed plain and with its `compile` (not with --quick: that takes
minutes), and its better time counts. It is not a dependency of Lowland. All run alternately in one process with one
thread; times are processor times.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import torch
from core import device, race, row, speed, table, versions
from report import write
from torch import Tensor

import lowland as ll
from lowland.domains import Box
from lowland.nn.scene import SceneEncoder
from lowland.planning import BackpropThroughModel, Controller, PlanEnergy, Policy
from lowland.shaping import Batch
from lowland.tensors import batch_size
from lowland.worlds import VectorWorld
from lowland.worlds.base import State
from lowland.worlds.driving_costs import DrivingCost
from lowland.worlds.traffic import TrafficWorld, example

ITERATIONS, HORIZON = 4, 20


def cost(state: Any, action: Tensor) -> Tensor:
    """Angle² + 0.1 speed² + 0.001 torque², as in Pendulum-v1."""
    seen = state["observation"]
    turn = torch.atan2(seen[:, 1], seen[:, 0])
    return turn.square() + 0.1 * seen[:, 2].square() + 0.004 * action[:, 0].square()


def states(count: int) -> dict[str, Tensor]:
    turn = torch.linspace(-3, 3, count)
    return {"observation": torch.stack([turn.cos(), turn.sin(), torch.zeros(count)], dim=1)}


def rival(world: VectorWorld, samples: int, compiled: bool) -> Callable[[], Any] | str:
    """`pytorch_mppi` on the same problem, or why it cannot be run."""
    try:
        from pytorch_mppi import MPPI
    except ImportError as error:
        return f"not installed: {error}"

    def dynamics(state: Tensor, action: Tensor) -> Tensor:
        return world.step({"observation": state}, action)["observation"]

    def running(state: Tensor, action: Tensor) -> Tensor:
        return cost({"observation": state}, action)

    one = torch.ones(1)
    planner = MPPI(
        dynamics, running, 3, 0.25 * torch.eye(1), num_samples=samples, horizon=HORIZON, lambda_=1.0, u_min=-one,
        u_max=one,
    )  # fmt: skip
    if compiled:
        planner.compile()
    seen = states(1)["observation"][0]

    def run() -> None:
        with torch.no_grad():
            for turn in range(ITERATIONS):
                planner.command(seen, shift_nominal_trajectory=turn == 0)

    return run


def latency(hidden: int, samples: int, rounds: int, compiled: bool) -> dict[str, Any]:
    world = VectorWorld(3, 1, hidden=hidden).requires_grad_(False)
    plan = PlanEnergy(world, cost, HORIZON)
    controller = Controller(
        plan, ll.solvers.MPPI(samples=samples, max_steps=ITERATIONS, tol=None, check_every=ITERATIONS)
    )
    here = states(1)
    name = f"MPPI, {samples} × {ITERATIONS} × {HORIZON}, network of {hidden}"
    contestants: dict[str, Callable[[], Any]] = {"ours": lambda: controller(here)}
    why = ""
    for kind in (False, True) if compiled else (False,):
        made = rival(world, samples, kind)
        if isinstance(made, str):
            why = made
        else:
            contestants["compiled" if kind else "plain"] = made
    times = race(contestants, rounds, 1)
    ours = 1000 * statistics.median(times["ours"])
    if why:
        return row(name, "ms", ours, "pytorch_mppi", None, 1, why=why)
    best = min((kind for kind in contestants if kind != "ours"), key=lambda kind: statistics.median(times[kind]))
    theirs = 1000 * statistics.median(times[best])
    label = "pytorch_mppi" + (", compiled" if best == "compiled" else "")
    return row(name, "ms", ours, label, theirs, 1, ratio=speed(times["ours"], times[best]))


def alone(case: str, unit: str, ours: float) -> dict[str, Any]:
    return row(case, unit, ours, "none", None, 1, why="no rival")


def imagined(rounds: int, batch: int = 1024) -> dict[str, Any]:
    world = VectorWorld(3, 1, hidden=64).requires_grad_(False)
    plan, x = PlanEnergy(world, cost, HORIZON), states(batch)
    y = torch.zeros(batch, HORIZON, 1)

    def run() -> None:
        with torch.no_grad():
            plan(x=x, y=y)

    seconds = statistics.median(race({"ours": run}, rounds, 1)["ours"])
    return row(
        f"imagined steps with their cost, batch of {batch}",
        "steps/s",
        batch * HORIZON / seconds,
        "none",
        None,
        1,
        why="no rival",
    )


def pendulum_updates(rounds: int, batch: int = 96) -> dict[str, Any]:
    world = VectorWorld(3, 1, latents=4, hidden=64, dropout=0.1)
    plan = PlanEnergy(world, cost, 30, uncertainty=0.5, masks=10, futures=1, discount=0.99)
    policy = Policy(world.features, 3, Box(1, low=-1.0, high=1.0))
    return updates("pendulum", plan, policy, states(batch), rounds)


def driving_updates(rounds: int, batch: int = 32) -> dict[str, Any]:
    """Model, policy and batch of the recipe `drive`."""
    plan = PlanEnergy(TrafficWorld(latents=20), DrivingCost(), 30, uncertainty=0.5, masks=10, futures=1, discount=0.99)
    eyes = SceneEncoder()
    policy = Policy(eyes, eyes.size, Box(2, low=-1.0, high=1.0), (128, 128))
    return updates("driving", plan, policy, example(10, batch), rounds)


def updates(name: str, plan: PlanEnergy, policy: Policy, state: State, rounds: int) -> dict[str, Any]:
    batch = batch_size(state=state)
    shaping, data = BackpropThroughModel(policy), Batch(None, state)
    optimiser, weights = torch.optim.Adam(policy.parameters(), lr=1e-4, fused=True), list(policy.parameters())

    def run() -> None:
        loss = shaping(plan, data).losses["policy"]
        for parameter, gradient in zip(weights, torch.autograd.grad(loss, weights), strict=True):
            parameter.grad = gradient
        torch.nn.utils.clip_grad_norm_(weights, 50)
        optimiser.step()
        shaping.advance()

    seconds = statistics.median(race({"ours": run}, rounds, 1)["ours"])
    return row(
        f"policy updates, {name}, T = 30, 10 masks, batch of {batch}",
        "updates/s",
        1 / seconds,
        "none",
        None,
        1,
        why="no rival",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="under a minute: three rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows to this file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rounds = 3 if options.quick else 15
    sizes = ((64, 128), (64, 512), (512, 512))
    rows = [imagined(rounds), *(latency(*size, rounds, not options.quick) for size in sizes)]
    rows += [pendulum_updates(rounds), driving_updates(rounds)]
    print(f"{date.today()}, {device()}\n")
    print(table(rows))
    if options.json:
        write(options.json, __doc__.splitlines()[0], device(), versions("pytorch-mppi"), rows)


if __name__ == "__main__":
    main()

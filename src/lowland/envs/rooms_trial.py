"""How well goals in rooms are reached by planning in a world, and what else could have been done.

Shape letters: B dots, T steps, S pixels of a side.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from lowland.domains import Box
from lowland.envs.two_rooms import REACHED, STEP, Driver, Rooms, Tasks, run_rooms
from lowland.planning.control import Controller
from lowland.planning.energy import PlanEnergy
from lowland.planning.hierarchy import Hierarchy
from lowland.solvers.adam import Adam
from lowland.solvers.base import Solver
from lowland.solvers.cem import CEM
from lowland.solvers.mppi import MPPI
from lowland.worlds.base import Cost, State, World
from lowland.worlds.latent import LatentWorld, goal_cost


class OracleRooms(World):
    """The rooms themselves as a world: the code is the place. What a planner misses here is the planner's fault.

    States are {"code": (B, 2), "walls": (B, W, 2)}; other parts pass through.

    >>> world = OracleRooms()
    >>> state = {"code": torch.tensor([[0.2, 0.5]]), "walls": torch.full((1, 1, 2), 0.5)}
    >>> world.step(state, torch.tensor([[1.0, 0.0]]))["code"]
    tensor([[0.2600, 0.5000]])
    """

    def __init__(self) -> None:
        super().__init__(Box(2, low=-1.0, high=1.0))

    def step(self, state: State, action: Tensor, z: Tensor | None = None, mask: Tensor | None = None) -> State:
        return {**state, "code": Rooms(state["walls"]).move(state["code"], action)}

    def features(self, state: State) -> Tensor:
        return state["code"]


class Planner:
    """Plans towards the goal of each episode, in a world that sees images, or in `OracleRooms`.

    The energy of a plan is Σ_t ‖h[t] − h_goal‖² / D, so that a plan that comes near early has less.

    Args:
        world: a `LatentWorld`, whose encoder sees images, or `OracleRooms`.
        control: state {"code", "goal"} → action, such as a `Controller` or a `Hierarchy`.
        tasks: episodes.
        size: S.
    """

    def __init__(self, world: World, control: Controller | Hierarchy, tasks: Tasks, size: int) -> None:
        self.world, self.control, self.tasks, self.rows = world, control, tasks, torch.arange(len(tasks.goal))
        sees = isinstance(world, LatentWorld)
        with torch.no_grad():
            self.goal = world.encoder(tasks.rooms.draw(tasks.goal, size)) if sees else tasks.goal

    def __call__(self, images: Tensor, place: Tensor, rows: Tensor) -> Tensor:
        if len(rows) < len(self.rows):
            self.control.select(torch.isin(self.rows, rows).nonzero()[:, 0])
        self.rows, goal = rows, self.goal[rows]
        if isinstance(self.world, LatentWorld):
            with torch.no_grad():
                return self.control({**self.world.encode({"image": images}), "goal": goal})
        return self.control({"code": place, "goal": goal, "walls": self.tasks.rooms.walls[rows]})


def goal_planner(
    world: World,
    solver: Solver,
    horizon: int,
    tasks: Tasks,
    size: int,
    generator: torch.Generator,
    cost: Cost = goal_cost,
) -> Planner:
    """A `Planner` with a receding horizon of T steps."""
    return Planner(world, Controller(PlanEnergy(world, cost, horizon, futures=0), solver, generator), tasks, size)


def crowd(samples: int, steps: int, solver: type[CEM] | type[MPPI] = MPPI, deviation: float = 1.5) -> Solver:
    """MPPI or CEM for plans in rooms.

    The first deviation of candidates, 1.5 times the largest action, and the temperature of MPPI, 0.03, were chosen in
    the true rooms.

    Args:
        samples: plans that are compared in each step.
        steps: of the solver for each action.
        solver: which of them.
        deviation: the first one of candidates.
    """
    options: dict[str, Any] = {"samples": samples, "max_steps": steps, "tol": None, "deviation": deviation}
    return MPPI(temperature=0.03, **options) if solver is MPPI else solver(**options)


def straight(tasks: Tasks) -> Driver:
    """Straight to the goal, wherever walls are."""
    return lambda images, place, rows: ((tasks.goal[rows] - place) / STEP).clamp(-1, 1)


def wandering(generator: torch.Generator) -> Driver:
    """Random actions."""
    return lambda images, place, rows: 2 * torch.rand(len(place), 2, generator=generator) - 1


def drivers(
    world: LatentWorld,
    others: Mapping[str, LatentWorld],
    tasks: Tasks,
    horizon: int,
    size: int,
    samples: int = 128,
    steps: int = 3,
    seed: int = 0,
) -> dict[str, Driver]:
    """Planners in a learned world, the same planner in others, and drivers that plan nothing, by name.

    `MPPI`, `CEM` and `gradient` plan in `world`, by MPPI also `oracle`, the true rooms, and each of the others.

    Args:
        world: trained.
        others: worlds of other kinds, by name.
        tasks: episodes.
        horizon: T, steps of a plan.
        size: S.
        samples: plans that MPPI and CEM compare in each of their steps.
        steps: of these solvers for each action; gradient descent takes four times as many.
        seed: of candidates and random actions.
    """

    def plans(world: World, solver: Solver) -> Driver:
        return goal_planner(world, solver, horizon, tasks, size, torch.Generator().manual_seed(seed))

    found: dict[str, Driver] = {
        "MPPI": plans(world, crowd(samples, steps)),
        "CEM": plans(world, crowd(samples, steps, CEM)),
        "gradient": plans(world, Adam(0.2, max_steps=4 * steps, tol=None)),
        "oracle": plans(OracleRooms(), crowd(samples, steps)),
    }
    found |= {name: plans(other, crowd(samples, steps)) for name, other in others.items()}
    return found | {"straight": straight(tasks), "random": wandering(torch.Generator().manual_seed(seed + 1))}


def level_drivers(
    upper: PlanEnergy,
    lower: PlanEnergy,
    stride: int,
    flat: Sequence[int],
    tasks: Tasks,
    size: int,
    calls: int,
    steps: tuple[int, int],
    seed: int = 0,
) -> dict[str, Driver]:
    """Plans on two levels, flat plans in the lower world and in the true rooms, and a straight line, by name.

    All spend as many steps of a model on an action: `flat T` and `oracle T` all of them on one plan of T steps,
    `hierarchy` half of them on each level. An upper plan, made for k actions, has k times as many.

    Args:
        upper, lower: plans of the two levels, whose worlds are `LatentWorld`s.
        stride: k.
        flat: horizons of flat plans; the last is that of the oracle.
        tasks: episodes.
        size: S.
        calls: steps of a model for one action.
        steps: of MPPI for an upper plan, and for all others.
        seed: of candidates.
    """

    def search(calls: int, horizon: int, steps: int, deviation: float = 1.5) -> Solver:
        return crowd(max(4, calls // (steps * horizon)), steps, deviation=deviation)

    def level(plan: PlanEnergy, solver: Solver, offset: int) -> Controller:
        return Controller(plan, solver, torch.Generator().manual_seed(seed + offset))

    def plans(world: World, horizon: int, cost: Cost) -> Driver:
        solver = search(calls, horizon, steps[1])
        return goal_planner(world, solver, horizon, tasks, size, torch.Generator().manual_seed(seed), cost)

    half = calls // 2
    # Latents have a deviation of 1, and actions bounds of 1.
    above = level(upper, search(stride * half, upper.horizon, steps[0], 1.0), 1)
    below = level(lower, search(half, lower.horizon, steps[1]), 0)
    found: dict[str, Driver] = {"hierarchy": Planner(lower.world, Hierarchy(above, below, stride), tasks, size)}
    found |= {f"flat {horizon}": plans(lower.world, horizon, lower.cost) for horizon in flat}
    return found | {f"oracle {flat[-1]}": plans(OracleRooms(), flat[-1], goal_cost), "straight": straight(tasks)}


def judge(tasks: Tasks, driver: Driver, steps: int, size: int) -> dict[str, Any]:
    """Share of the goals reached, whether each was, the places, and processor milliseconds of one decision."""
    began = time.process_time()
    reached, path = run_rooms(tasks, driver, steps, size)
    # A dot that has arrived stays, and needs no decision.
    moves = int((path[:, :-1] - tasks.goal[:, None]).norm(dim=2).gt(REACHED).sum())
    each = 1000 * (time.process_time() - began) / max(1, moves)
    return {"success": float(100 * reached.double().mean()), "reached": reached, "path": path, "decision": each}

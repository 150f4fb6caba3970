"""How well goals in rooms are reached by planning in a world, and what else could have been done.

Shape letters: B dots, T steps, S pixels of a side.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lowland.domains import Box
from lowland.envs.two_rooms import STEP, Rooms, Tasks, run_rooms
from lowland.planning.control import Controller
from lowland.planning.energy import PlanEnergy
from lowland.solvers.adam import Adam
from lowland.solvers.base import Solver
from lowland.solvers.cem import CEM
from lowland.solvers.mppi import MPPI
from lowland.worlds.base import State, World
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


Driver = Callable[[Tensor, Tensor], Tensor]
"""(images (B, 2, S, S), places (B, 2)) → actions (B, 2)."""


def planner(world: World, solver: Solver, horizon: int, tasks: Tasks, size: int, generator: torch.Generator) -> Driver:
    """A receding horizon towards the goal, in a `LatentWorld` that sees images, or in `OracleRooms`.

    The energy of a plan is Σ_t ‖h[t] − h_goal‖² / D, so that a plan that comes near early has less.
    """
    control = Controller(PlanEnergy(world, goal_cost, horizon, futures=0), solver, generator)
    if isinstance(world, LatentWorld):
        with torch.no_grad():
            goal = world.encoder(tasks.rooms.draw(tasks.goal, size))

        def drive(images: Tensor, place: Tensor) -> Tensor:
            with torch.no_grad():
                return control({"code": world.encoder(images), "goal": goal})

        return drive
    return lambda images, place: control({"code": place, "goal": tasks.goal, "walls": tasks.rooms.walls})


def straight(tasks: Tasks) -> Driver:
    """Straight to the goal, wherever walls are."""
    return lambda images, place: ((tasks.goal - place) / STEP).clamp(-1, 1)


def wandering(generator: torch.Generator) -> Driver:
    """Random actions."""
    return lambda images, place: 2 * torch.rand(len(place), 2, generator=generator) - 1


def drivers(
    world: LatentWorld,
    blind: LatentWorld,
    tasks: Tasks,
    horizon: int,
    size: int,
    samples: int = 128,
    steps: int = 3,
    seed: int = 0,
) -> dict[str, Driver]:
    """Planners in a learned world, the same planner in others, and drivers that plan nothing, by name.

    `MPPI`, `CEM` and `gradient` plan in `world`, by MPPI also `blind`, trained without inverse dynamics, and `oracle`,
    the true rooms. The first deviation of candidates, 1.5 times the largest action, and the temperature of MPPI, 0.03,
    were chosen in the true rooms.

    Args:
        world, blind: trained.
        tasks: episodes.
        horizon: T, steps of a plan.
        size: S.
        samples: plans that MPPI and CEM compare in each of their steps.
        steps: of these solvers for each action; gradient descent takes four times as many.
        seed: of candidates and random actions.
    """
    crowd: dict[str, Any] = {"samples": samples, "max_steps": steps, "tol": None, "deviation": 1.5}

    def plans(world: World, solver: Solver) -> Driver:
        return planner(world, solver, horizon, tasks, size, torch.Generator().manual_seed(seed))

    return {
        "MPPI": plans(world, MPPI(temperature=0.03, **crowd)),
        "CEM": plans(world, CEM(**crowd)),
        "gradient": plans(world, Adam(0.2, max_steps=4 * steps, tol=None)),
        "oracle": plans(OracleRooms(), MPPI(temperature=0.03, **crowd)),
        "blind": plans(blind, MPPI(temperature=0.03, **crowd)),
        "straight": straight(tasks),
        "random": wandering(torch.Generator().manual_seed(seed + 1)),
    }


def judge(tasks: Tasks, driver: Driver, steps: int, size: int) -> dict[str, Any]:
    """Share of the goals reached, whether each was, the places, and processor milliseconds of one decision."""
    began = time.process_time()
    reached, path = run_rooms(tasks, driver, steps, size)
    each = 1000 * (time.process_time() - began) / (len(reached) * steps)
    return {"success": float(100 * reached.double().mean()), "reached": reached, "path": path, "decision": each}

"""Model-predictive control: plan, take the first action, shift the plan by one step, plan again."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

import torch
from torch import Tensor

from lowland.energies.base import Energy
from lowland.energies.protocols import offered
from lowland.errors import InferenceError, OptionError, ShapeError, check_instance
from lowland.inference import Solution, Status, infer, solve
from lowland.planning.energy import PlanEnergy
from lowland.solvers.base import Solver, bind
from lowland.solvers.cem import finite
from lowland.tensors import PerSampleRNG, batch_size, tree_leaves
from lowland.worlds.base import State
from lowland.worlds.rollout import rollout, transitions


class Controller:
    """A policy that plans with a receding horizon: state → the first action of argmin_y E(state, y), (B, A).

    Each plan starts from the last one, shifted by one step with its last action repeated, and draws new futures (row
    W2; Henaff, Canziani & LeCun 2019, section 3.2, where the solver is Adam with 5 steps). Any solver works; iCEM keeps
    the shifted plan among its elites. `reset` discards the plan, and so does another number of rows.

    With few steps a solver does not leave its local minimum, such as from driving on to braking, and steps of fixed
    size may increase the energy. With `starts`, or a `policy`, the solver starts from the best of the shifted plan, of
    these and of what the policy does in the world, and its result is used only where it has a lower energy.

    Args:
        plan: the energy of a sequence of actions, a `PlanEnergy`, or one times a positive number.
        solver: minimises it; a few steps suffice, since each plan starts from the last.
        generator: draws the futures, masks and candidates; by default one with seed 0.
        starts: further plans (N, T, A) to start from; None: the shifted plan only.
        policy: state → (B, A); its roll-out in the world, with z = 0, is a plan to start from as well.

    Raises:
        UnsupportedError: for an energy that is no plan.
        InferenceError: in a call, if a plan has no finite cost.

    >>> import lowland as ll
    >>> plan = PlanEnergy.reference_case().energy
    >>> controller = Controller(plan, ll.solvers.LBFGS())
    >>> controller({"state": torch.tensor([[1.0, 0.0]])}).shape, len(controller.seconds)
    (torch.Size([1, 1]), 1)
    """

    def __init__(
        self,
        plan: Energy,
        solver: Solver,
        generator: torch.Generator | None = None,
        starts: Tensor | None = None,
        policy: Callable[[State], Tensor] | None = None,
    ) -> None:
        core = offered(plan, PlanEnergy, "Controller")[1]
        check_instance(solver, Solver, "solver")
        shape = plan.domains["y"].shape
        if starts is not None and (starts.ndim != 3 or starts.shape[1:] != shape or not len(starts)):
            raise ShapeError(f"starts must be plans (N, {shape[0]}, {shape[1]}), but it is {tuple(starts.shape)}.")
        self.starts, self.policy = starts, policy
        self.energy, self.plan, self.solver = plan, core, solver
        self.generator = generator or torch.Generator().manual_seed(0)
        self.found: Solution | None = None
        """The last plan."""
        self.seconds: list[float] = []
        """Wall time of each call, for all its rows together."""

    def reset(self, batch: int | None = None) -> None:
        """Discard the last plan, as at the start of an episode; `batch` is ignored."""
        self.found = None

    def select(self, rows: Tensor) -> None:
        """Keep the plans of some rows only, for instance when other episodes have ended."""
        if self.found is not None:
            names = ("value", "energy", "status", "exact", "steps", "residual")
            kept = {name: getattr(self.found, name)[rows] for name in names}
            self.found = dataclasses.replace(self.found, **kept, trajectory=None, accepted=None)

    @torch.no_grad()
    def __call__(self, state: State) -> Tensor:
        """The next action (B, A)."""
        began = time.perf_counter()
        x, before = self.plan.draw(state, self.generator), self.found
        start = None
        if before is not None and len(before.value) == batch_size(state=state):
            start = torch.cat([before.value[:, 1:], before.value[:, -1:]], dim=1)
        if self.starts is not None or self.policy is not None:
            found = self._from_lowest(x, start, state)
        else:
            found = self._again(x, start) if start is not None else self._first(x)
        broken = (found.status == Status.NON_FINITE) | (found.status == Status.OVERFLOW)
        if bool(broken.any()):
            raise InferenceError(
                f"No plan with a finite cost was found for {int(broken.sum())} of {len(broken)} states, the first is "
                f"state {int(broken.nonzero()[0])}: check whether the cost or the world returns NaN there, or use "
                "smaller steps."
            )
        self.found = found
        self.seconds.append(time.perf_counter() - began)
        return found.value[:, 0]

    def _from_lowest(self, x: State, shifted: Tensor | None, state: State) -> Solution:
        problem = bind(self.energy, {"x": x}, "y", checked=True)
        tried = [] if shifted is None else [problem.domain.pack(shifted)[:, None]]
        if self.starts is not None:
            tried.append(problem.domain.pack(self.starts)[None].expand(batch_size(x=x), -1, -1))
        if (policy := self.policy) is not None:
            done = rollout(self.plan.world, state, lambda now, t: policy(now), None, self.plan.horizon)
            tried.append(problem.domain.pack(done.actions)[:, None])
        tried_BND = torch.cat(tried, dim=1)
        energy, which = finite(problem.candidates(tried_BND)).min(dim=1)
        start = problem.domain.unpack(tried_BND[torch.arange(len(which)), which])
        found = self._again(x, start)
        worse = ~(found.energy < energy) & torch.isfinite(energy)
        status = torch.where(worse, int(Status.MAX_STEPS), found.status).to(found.status.dtype)
        kept = torch.where(worse[:, None, None], start, found.value)
        energy = torch.where(worse, energy, found.energy)
        return dataclasses.replace(found, value=kept, energy=energy, status=status, exact=found.exact & ~worse)

    def _first(self, x: State) -> Solution:
        return infer(self.energy, x=x, over="y", solver=self.solver, generator=self.generator)

    def _again(self, x: State, start: Tensor) -> Solution:
        """As `_first`, without its look at the data and at how plan and world fit: they did one step before."""
        problem = bind(self.energy, {"x": x}, "y", checked=True)
        return solve(problem, self.solver, problem.domain.pack(start), generator=self.generator)

    def latency(self) -> dict[str, float]:
        """Mean, median, 95th percentile and worst wall time of a call, in milliseconds.

        Raises:
            OptionError: before the first call.
        """
        if not self.seconds:
            raise OptionError("The controller has not planned yet and has no latency: call it first.")
        times = 1000 * torch.tensor(self.seconds, dtype=torch.float64)
        median, late = times.quantile(torch.tensor([0.5, 0.95], dtype=torch.float64)).tolist()
        return {"mean": float(times.mean()), "median": median, "p95": late, "worst": float(times.max())}


@torch.no_grad()
def demonstrations(controller: Controller, state: State, steps: int) -> tuple[dict[str, Tensor], Tensor]:
    """States and actions of a controller in its own world, from which `Imitation` distils a policy (system W3).

    Args:
        controller: is reset before and after the episodes.
        state: s[0] of B episodes.
        steps: T.

    Returns:
        States s[0], …, s[T − 1] and the actions there, T · B rows.
    """
    if steps < 1:
        raise OptionError(f"steps must be at least 1, but it is {steps}.")
    controller.reset()
    world, first = controller.plan.world, tree_leaves(state, "The state")[0]
    z = None
    if world.latents:
        rows = torch.arange(len(first), device=first.device)
        z = world.prior(PerSampleRNG.from_generator(controller.generator, rows, first.dtype), steps)
    done = list(transitions(world, state, lambda state, t: controller(state), z, steps))
    controller.reset()
    states = {name: torch.cat([step.state[name] for step in done]) for name in state}
    return states, torch.cat([step.action for step in done])

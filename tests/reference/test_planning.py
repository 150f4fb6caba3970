"""Plans against Riccati's equation, gradients by hand, and what averaging over futures must do."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

import lowland as ll
from lowland.domains import Box
from lowland.errors import DomainError, InferenceError, OptionError, ShapeError, UnsupportedError
from lowland.planning import Controller, PlanEnergy, Policy, demonstrations
from lowland.planning.energy import square_cost
from lowland.solvers.base import bind
from lowland.tensors import PerSampleRNG
from lowland.worlds.linear import LinearWorld, riccati
from lowland.worlds.rollout import rollout
from lowland.worlds.uncertainty import usual_spread, variance
from lowland.worlds.vector import VectorWorld

DOUBLE = LinearWorld([[1.0, 0.1], [0.0, 1.0]], [[0.0], [0.1]]).double()
STARTS = {"state": torch.tensor([[1.0, 0.0], [0.0, -2.0]]).double()}
GRADIENT = (ll.solvers.GradientDescent(0.1, 0.9, tol=1e-6), ll.solvers.LBFGS(tol=1e-6))
CROWDS = (ll.solvers.CEM(), ll.solvers.MPPI(), ll.solvers.ICEM(samples=128, colour=0.5, max_steps=50))


def noisy(actions: Any = None) -> LinearWorld:
    return LinearWorld([[1.0, 0.1], [0.0, 1.0]], [[0.0], [0.1]], [[0.0], [0.3]], actions)


def exact(horizon: int) -> tuple[Tensor, Tensor]:
    gains, cost = riccati(DOUBLE, torch.eye(2), torch.eye(1), horizon)
    state = STARTS["state"]
    with torch.no_grad():
        found = rollout(DOUBLE, STARTS, lambda s, t: -s["state"] @ gains[t].T, None, horizon)
    return found.actions, 0.5 * (state @ cost * state).sum(dim=1)


@pytest.mark.parametrize("solver", GRADIENT, ids=lambda solver: type(solver).__name__)
def test_plans_by_gradient_are_those_of_riccati(solver: ll.solvers.Solver) -> None:
    actions, cost = exact(20)
    found = ll.infer(PlanEnergy(DOUBLE, square_cost, 20), x=STARTS, over="y", solver=solver)
    torch.testing.assert_close(found.value, actions, rtol=0, atol=1e-3)
    torch.testing.assert_close(found.energy.detach(), cost, rtol=1e-6, atol=0)


@pytest.mark.parametrize("solver", CROWDS, ids=lambda solver: type(solver).__name__)
def test_plans_without_gradients_come_within_a_twentieth(solver: ll.solvers.Solver) -> None:
    found = ll.infer(PlanEnergy(DOUBLE, square_cost, 20), x=STARTS, over="y", solver=solver)
    assert bool((found.energy.detach() <= 1.05 * exact(20)[1]).all())


def test_the_mean_over_futures_costs_what_the_noise_adds() -> None:
    """In a linear world with quadratic cost, E[cost] = cost at z = 0 + ½ Σ_t tr Cov s[t]; 4,000 futures, so that the
    standard error is under 3 %, of which 4 are allowed."""
    world, y = noisy(), torch.zeros(1, 5, 1)
    x = {"state": torch.ones(1, 2)}
    still = PlanEnergy(world, square_cost, 5, futures=0)(x=x, y=y)
    average = PlanEnergy(world, square_cost, 5, futures=4000)(x=x, y=y)
    step, noise = torch.tensor([[1.0, 0.1], [0.0, 1.0]]), torch.diag(torch.tensor([0.0, 0.09]))
    covariance, added = torch.zeros(2, 2), 0.0
    for _ in range(5):
        covariance = step @ covariance @ step.T + noise
        added += 0.5 * float(covariance.trace())
    assert float((average - still).detach()) == pytest.approx(added, rel=0.12)


def test_care_weighs_the_worst_future_most() -> None:
    """F at β < 0 grows with |β| from the mean to the largest of all futures."""
    x, y = {"state": torch.ones(1, 2)}, torch.zeros(1, 5, 1)
    plans = [PlanEnergy(noisy(), square_cost, 5, futures=50, beta=beta) for beta in (0.0, -0.1, -1.0, -math.inf)]
    values = [float(plan(x=x, y=y).detach()) for plan in plans]
    assert values == sorted(values)
    with pytest.raises(UnsupportedError, match="beta"):
        PlanEnergy(noisy(), square_cost, 5, beta=1.0)
    with pytest.raises(UnsupportedError, match="not minimised over its futures"):
        ll.infer(plans[0], x=x, y=y, over="z")


def test_candidates_share_the_state_its_futures_and_masks() -> None:
    """The same numbers as rows that were copied, to the rounding of another order of sums."""
    world = VectorWorld(2, 1, latents=3, hidden=16, dropout=0.3).double()
    plan = PlanEnergy(world, _observed, 4, uncertainty=0.5, masks=5, futures=3, discount=0.9)
    x = plan.draw({"observation": STARTS["state"]}, torch.Generator().manual_seed(5))
    problem = bind(plan, {"x": x}, "y")
    points = PerSampleRNG(1, torch.arange(2), torch.float64).normal(6, 4)
    copied = problem.repeat(6).value(points.reshape(-1, 4)).reshape(2, 6)
    torch.testing.assert_close(problem.candidates(points), copied, rtol=1e-12, atol=1e-12)


def test_it_is_the_sum_of_what_the_world_and_the_variance_say() -> None:
    world = VectorWorld(2, 1, latents=2, hidden=16, dropout=0.3).double()
    state = {"observation": STARTS["state"]}
    y = PerSampleRNG(2, torch.arange(2), torch.float64).normal(4, 1).clamp(-1, 1)
    spread = usual_spread(world, state, y)
    plan = PlanEnergy(world, _observed, 4, 0.5, hinge=0.1, spread=spread, masks=5, futures=2, discount=0.9)
    x = plan.draw(state)
    expected = torch.zeros(2, dtype=torch.float64)
    for future in range(2):
        now = state
        for t in range(4):
            given = (now, y[:, t], x["futures"][:, future, t])
            scored = (variance(world, *given, x["masks"][:, t]) - spread.mean[t]) / spread.std[t]
            uncertainty = (scored - 0.1).clamp_min(0)
            now = world.step(*given)
            expected += 0.5 * 0.9**t * (_observed(now, y[:, t]) + 0.5 * uncertainty)
    torch.testing.assert_close(plan(x=x, y=y), expected, rtol=1e-6, atol=1e-9)


def test_the_receding_horizon_follows_the_exact_feedback() -> None:
    """Planned anew in each state, the first action is the first gain of Riccati times that state."""
    gains, _ = riccati(DOUBLE, torch.eye(2), torch.eye(1), 20)
    controller, state = Controller(PlanEnergy(DOUBLE, square_cost, 20), ll.solvers.LBFGS(tol=1e-7)), STARTS
    cold = None
    for _ in range(5):
        action = controller(state)
        torch.testing.assert_close(action, -state["state"] @ gains[0].T, rtol=0, atol=1e-5)
        assert controller.found is not None
        cold = cold or int(controller.found.steps.max())
        state = {"state": DOUBLE.step(state, action)["state"].detach()}
    assert int(controller.found.steps.max()) < cold, "the shifted plan is a better start than none"
    assert controller.latency()["worst"] > 0
    assert len(controller(map_rows(state)).shape) == 2


def test_a_controller_of_a_multiple_takes_the_same_actions() -> None:
    plan = PlanEnergy(DOUBLE, square_cost, 20)
    one, two = (Controller(energy, ll.solvers.LBFGS(tol=1e-7)) for energy in (plan, 1.0 * plan))
    for _ in range(2):  # the second plan starts from the first one
        assert torch.equal(one(STARTS), two(STARTS))
    with pytest.raises(UnsupportedError, match="Controller needs a PlanEnergy, or one times a positive number"):
        Controller(-1.0 * plan, ll.solvers.LBFGS())


def test_a_plan_starts_from_the_lowest_of_several() -> None:
    """Between two valleys, of which the far one is deeper, only a start there finds it; no step may end higher."""
    world = LinearWorld([[1.0]], [[1.0]])

    def valleys(state: Any, action: Tensor) -> Tensor:
        place = state["state"][:, 0]
        return torch.minimum((place - 0.5).square() + 1, (place + 3).square())

    plan, state = PlanEnergy(world, valleys, 2), {"state": torch.zeros(1, 1)}
    starts = torch.tensor([[[0.0], [0.0]], [[-2.5], [0.0]]])
    near = Controller(plan, ll.solvers.Adam(0.05, max_steps=40, tol=None))
    far = Controller(plan, ll.solvers.Adam(0.05, max_steps=40, tol=None), starts=starts)
    assert float(near(state)) > 0
    assert float(far(state)) < -2.5
    wild = Controller(plan, ll.solvers.GradientDescent(10.0, max_steps=1, tol=None), starts=starts)
    assert float(wild(state)) == -2.5, "what the solver found is higher than its start"
    assert wild.found is not None
    torch.testing.assert_close(wild.found.energy, plan(x=state, y=starts[1:]).detach())
    with pytest.raises(ShapeError, match="starts must be plans"):
        Controller(plan, ll.solvers.Adam(), starts=starts[:, :1])


def test_a_capped_line_search_looks_no_further() -> None:
    """Half a step is needed to go down, so that one look finds none and two do."""
    world = LinearWorld([[1.0]], [[1.0]])
    plan = PlanEnergy(world, lambda state, action: state["state"][:, 0].abs(), 1)
    ends = [
        ll.infer(
            plan, x={"state": torch.tensor([[0.4]])}, over="y", solver=ll.solvers.LBFGS(max_line_search=n, max_steps=1)
        )
        for n in (1, 2)
    ]
    assert float(ends[0].value) == 0.0
    assert float(ends[1].value) == pytest.approx(-0.5)


def map_rows(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor[:1] for name, tensor in state.items()}


def test_an_actor_is_distilled_from_plans() -> None:
    """The optimal policy is linear, so that a linear actor imitates the controller; action errors below 2 % of its."""
    plan = PlanEnergy(DOUBLE, square_cost, 20)
    states, actions = demonstrations(Controller(plan, ll.solvers.LBFGS(tol=1e-6)), STARTS, 20)
    actor = Policy(DOUBLE.features, 2, DOUBLE.actions, hidden=()).double()
    ll.fit(
        ll.planning.Imitation(actor), (states, actions), ll.shaping.MinimumEnergy(), 800, lr=2e-2, validation=0.0,
        progress=False,
    )  # fmt: skip
    assert float((actor(states).detach() - actions).norm() / actions.norm()) < 0.02


def _observed(state: Any, action: Tensor) -> Tensor:
    return state["observation"].square().sum(dim=1) + action.square().sum(dim=1)


def _nan(state: Any, action: Tensor) -> Tensor:
    return torch.full_like(action[:, 0], torch.nan)


@pytest.mark.parametrize("solver", [*GRADIENT, *CROWDS], ids=lambda solver: type(solver).__name__)
def test_a_cost_that_is_not_a_number(solver: ll.solvers.Solver) -> None:
    plan = PlanEnergy(noisy(), _nan, 3, futures=2)
    state = {"state": torch.ones(2, 2)}
    assert ll.infer(plan, x=state, over="y", solver=solver).status.tolist() == [ll.Status.NON_FINITE] * 2
    with pytest.raises(InferenceError, match="cost"):
        Controller(plan, solver)(state)


def test_bad_input_gets_one_sentence() -> None:
    plan = PlanEnergy(noisy(Box(1, low=-1.0, high=1.0)), square_cost, 3)
    state = {"state": torch.ones(1, 2)}
    with pytest.raises(OptionError, match="horizon"):
        PlanEnergy(noisy(), square_cost, 0)
    with pytest.raises(OptionError, match="dropout"):
        PlanEnergy(noisy(), square_cost, 3, uncertainty=0.5)
    with pytest.raises(OptionError, match="function"):
        PlanEnergy(noisy(), 3.0, 3)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ShapeError, match="'state'"):
        plan(x={"stat": torch.ones(1, 2)}, y=torch.zeros(1, 3, 1))
    with pytest.raises(ShapeError, match="one number for each row"):
        PlanEnergy(noisy(), lambda s, a: s["state"], 3)(x=state, y=torch.zeros(1, 3, 1))
    with pytest.raises(DomainError, match="leaves its domain"):
        ll.infer(plan, x=state, over="y", init=torch.full((1, 3, 1), 2.0))
    with pytest.raises(UnsupportedError, match="only the actions"):
        ll.infer(plan, y=torch.zeros(1, 3, 1), over="x")
    with pytest.raises(OptionError, match="max_line_search must be at least 1"):
        ll.solvers.LBFGS(max_line_search=0)
    with pytest.raises(OptionError, match="not planned yet"):
        Controller(plan, ll.solvers.Adam()).latency()

"""Training of a policy by back-propagation of the planned cost through a frozen world.

Shape letters: B samples, F futures, R = B · F rows, T steps, A size of an action.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from lowland.energies.base import Energy
from lowland.energies.protocols import offered
from lowland.errors import OptionError, UnsupportedError, check_instance
from lowland.planning.energy import PlanEnergy, parts_of, square_cost
from lowland.planning.policies import Policy
from lowland.registry import register
from lowland.shaping.base import Batch, Losses, Shaping, ShapingCase
from lowland.tensors import PerSampleRNG, batch_size, tree_leaves
from lowland.worlds.base import State
from lowland.worlds.linear import LinearWorld

Disturb = Callable[[State, PerSampleRNG], State]


@register("shaping")
class BackpropThroughModel(Shaping):
    """L = mean over states and futures of Σ_t γᵗ [C(s[t+1], π(s[t])) + λ U] + μ/2 mean_t ‖π(s[t]) − a*[t]‖².

    The gradient flows through the world, which is not trained, into the policy (system W4; Henaff, Canziani & LeCun
    2019, sections 3.2 and 3.3). Futures, masks and the noise of the policy are drawn anew at every training step.
    Methods of the literature are settings of the `PlanEnergy` and of this class:

        VG    deterministic world (or futures=0), uncertainty=0          value gradients, Heess et al. 2015
        SVG   futures=1, gaussian policy, uncertainty=0                  stochastic value gradients, the same
        MPUR  uncertainty > 0: λ = 0.5 in the paper                      system W7
        MPER  uncertainty=0, expert > 0 and the log's actions as y       system W8

    `ll.fit(plan, Batch(None, states), BackpropThroughModel(policy), lr=1e-4, clip=50)` trains it; data for MPER are
    pairs (states, actions (B, T, A)). The paper has T = 30 and γ = 0.99. In place of states the data may have parts, as
    x of a `PlanEnergy` has: {"state": s[0], "futures": (B, F, T, Z)} for futures that are not from the prior.

    Energies: `PlanEnergy`.

    Args:
        policy: trained in place, as the group "policy".
        expert: weight μ of the distance to the expert's actions, in units of the cost.
        disturb: (state, noise) → state: perturbs the start states at each training step, so that the policy also sees
            states outside the log; None for none.
        seed: of futures, masks and noise.

    Raises:
        OptionError: for a negative μ.
        UnsupportedError: for an energy that is not a `PlanEnergy`, or an expert without actions.

    >>> case = BackpropThroughModel.reference_case()
    >>> sorted(case.shaping(case.energy, case.batch).losses)
    ['policy']
    """

    def __init__(self, policy: Policy, expert: float = 0.0, disturb: Disturb | None = None, seed: int = 0) -> None:
        super().__init__(seed)
        check_instance(policy, nn.Module, "policy")
        if not expert >= 0:
            raise OptionError(f"expert must be at least 0, but it is {expert}.")
        self.policy, self.expert, self.disturb = policy, expert, disturb

    def groups(self, energy: Energy) -> dict[str, Iterable[nn.Parameter]]:
        return {"policy": self.policy.parameters()}

    def prepare(self, energy: Energy, data: Batch) -> None:
        """Nothing: the world is trained already."""

    def after_step(self, energy: Energy, batch: Batch) -> None:
        """Nothing: the world does not change."""

    def forward(self, energy: Energy, batch: Batch) -> Losses:
        weight, plan = offered(energy, PlanEnergy, type(self).__name__)
        if self.expert and batch.y is None:
            raise UnsupportedError("expert > 0 needs the expert's actions (B, T, A): pass data as (states, actions).")
        given = parts_of(batch.x)
        state, rows = given["state"], tree_leaves(given["state"], "x")[0]
        if self.disturb is not None:
            state = self.disturb(state, self.noise(rows))
        x = plan.sample(given | {"state": state}, self.noise(rows), self.noise(rows[:1]))
        count = max(plan.futures, 1)
        noise_RTA = None
        if self.policy.gaussian:
            noise_RTA = self.noise(rows).normal(count, plan.horizon, self.policy.actions.size).flatten(0, 1)
        done: list[Tensor] = []

        def act(state: State, t: int) -> Tensor:
            done.append(self.policy(state, None if noise_RTA is None else noise_RTA[:, t]))
            return done[-1]

        terms = plan.terms(act=act, **x)
        loss = weight * plan.total(terms).mean()
        metrics = {"cost": terms.cost.mean().detach(), "uncertainty": terms.uncertainty.mean().detach()}
        if self.expert:
            actions = torch.stack(done, dim=1).unflatten(0, (batch_size(x=state), count))
            away = (actions - batch.y[:, None]).square().sum(dim=-1).mean()
            loss = loss + 0.5 * self.expert * away
            metrics["from_expert"] = away.detach()
        return Losses({"policy": loss}, metrics)

    @classmethod
    def reference_case(cls) -> ShapingCase:
        world = LinearWorld([[1.0, 0.1], [0.0, 1.0]], [[0.0], [0.1]], disturbance=[[0.0], [0.1]])
        policy = Policy(lambda state: state["state"], 2, world.actions, hidden=(16,), gaussian=True)
        state = torch.randn(16, 2, generator=torch.Generator().manual_seed(0))
        plan = PlanEnergy(world, square_cost, horizon=5, futures=2)
        return ShapingCase(cls(policy), plan, Batch(None, {"state": state}))

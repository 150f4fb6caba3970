"""The cost to go after a plan: what a short horizon leaves out, learned along with a policy inside the model.

Shape letters: B samples, T steps.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from lowland.energies.base import Energy
from lowland.energies.protocols import offered
from lowland.errors import OptionError, UnsupportedError
from lowland.nn.layers import mlp
from lowland.planning.backprop_through_model import BackpropThroughModel, Disturb
from lowland.planning.energy import PlanEnergy
from lowland.planning.policies import Policy
from lowland.registry import register
from lowland.shaping.base import Batch, Losses, ShapingCase
from lowland.tensors import tree_leaves
from lowland.worlds.base import State, World
from lowland.worlds.plant import PlantWorld


def reward_cost(state: State, action: Tensor) -> Tensor:
    """C = −r, the cost of a plant whose reward a `PlantWorld` predicts; nothing is paid after its end.

    >>> reward_cost({"reward": torch.tensor([2.0, -1.0])}, torch.zeros(2, 1))
    tensor([-2.,  1.])
    """
    return -state["reward"]


class CostToGo(nn.Module):
    """V(s) = c(s) · d · f(s): the discounted cost of a policy from a state on; 0 where the plant has ended.

    Args:
        world: whose `features` f sees.
        size: of the features.
        scale: d, in units of the cost: of the order of the cost of a step over 1 − γ.
        hidden: sizes of the hidden layers.
        generator: draws the weights.

    >>> world, state = PlantWorld.reference_case()
    >>> CostToGo(world, 3)(state).shape
    torch.Size([4])
    """

    def __init__(
        self,
        world: World,
        size: int,
        scale: float = 1.0,
        hidden: tuple[int, ...] = (128, 128),
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.scale, self.size = scale, size
        self.look = [world]  # in a list, since the world is not part of the network
        self.network = mlp(size, *hidden, 1, generator=generator)

    def forward(self, state: State) -> Tensor:
        value = self.scale * self.network(self.look[0].features(state)[:, : self.size].clamp(-10, 10))[:, 0]
        return state["alive"] * value if "alive" in state else value


@register("shaping")
class ActorCritic(BackpropThroughModel):
    """The loss of `BackpropThroughModel`, and ½ mean (V(s) − [Σ_t γᵗ (C + λU) + γᵀ V̄(s[T])])² / d² of a `CostToGo`.

    The plan's `final` is V̄, a slow copy of V (its moving average), so that a policy trained over short roll-outs counts
    what comes after them. V learns from the states of the log where roll-outs start, and from those where they end.
    Source: Hafner et al. 2020, "Dream to control", with the uncertainty cost of Henaff, Canziani & LeCun 2019; the slow
    copy as in Lillicrap et al. 2016.

    Energies: `PlanEnergy` whose `final` is a `CostToGo`, which this shaping updates.

    Args:
        policy, disturb, seed: as of `BackpropThroughModel`.
        value: V, trained as the group "value".
        momentum: of the slow copy.

    Raises:
        OptionError: for a momentum that is not in [0, 1).
        UnsupportedError: for a plan whose `final` is not a `CostToGo`.

    >>> case = ActorCritic.reference_case()
    >>> sorted(case.shaping(case.energy, case.batch).losses)
    ['policy', 'value']
    """

    def __init__(
        self,
        policy: Policy,
        value: CostToGo,
        momentum: float = 0.98,
        disturb: Disturb | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(policy, 0.0, disturb, seed)
        if not 0 <= momentum < 1:
            raise OptionError(f"momentum must be in [0, 1), but it is {momentum}.")
        self.value, self.momentum = value, momentum

    def groups(self, energy: Energy) -> dict[str, Iterable[nn.Parameter]]:
        return super().groups(energy) | {"value": self.value.parameters()}

    def after_step(self, energy: Energy, batch: Batch) -> None:
        """V̄ ← m V̄ + (1 − m) V."""
        slow = self._slow(energy)[1]
        with torch.no_grad():
            for old, new in zip(slow.parameters(), self.value.parameters(), strict=True):
                old.lerp_(new, 1 - self.momentum)

    def forward(self, energy: Energy, batch: Batch) -> Losses:
        plan, _ = self._slow(energy)
        seen: list[State] = []

        def watch(module: nn.Module, inputs: tuple[State, ...]) -> None:
            seen.append({name: part.detach() for name, part in inputs[0].items()})

        hook = self.policy.register_forward_pre_hook(watch)
        try:
            found = super().forward(energy, batch)
        finally:
            hook.remove()
        rows = tree_leaves(batch.x, "x")[0]
        starts = [batch.x, seen[-1]]
        with torch.no_grad():
            given = [plan.sample(start, self.noise(rows), self.noise(rows[:1])) for start in starts]
            goals = [plan.total(plan.terms(act=lambda s, t: self.policy(s), **one)).flatten() for one in given]
        away = torch.cat([(self.value(s) - goal) for s, goal in zip(starts, goals, strict=True)]) / self.value.scale
        weight = torch.cat([s.get("alive", torch.ones_like(goal)) for s, goal in zip(starts, goals, strict=True)])
        loss = 0.5 * (weight * away.square()).mean()
        return Losses(found.losses | {"value": loss}, found.metrics | {"value": loss.detach()})

    def _slow(self, energy: Energy) -> tuple[PlanEnergy, CostToGo]:
        plan = offered(energy, PlanEnergy, type(self).__name__)[1]
        if not isinstance(plan.final, CostToGo) or plan.final is self.value:
            raise UnsupportedError("The plan needs final=CostToGo(…), a copy of the value that is trained.")
        return plan, plan.final

    @classmethod
    def reference_case(cls) -> ShapingCase:
        world, state = PlantWorld.reference_case()
        world.latents = 0
        policy = Policy(world.features, 5, world.actions, hidden=(16,))
        plan = PlanEnergy(world, reward_cost, horizon=3, final=CostToGo(world, 3))
        return ShapingCase(cls(policy, CostToGo(world, 3)), plan, Batch(None, state))

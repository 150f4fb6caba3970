"""The cost to go after a plan: what a short horizon leaves out, learned from the costs of a log.

Shape letters: B samples, L steps of an episode.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from lowland.domains import Reals
from lowland.errors import OptionError
from lowland.nn.vector_eyes import VectorEyes
from lowland.planning.policies import Policy
from lowland.worlds.base import State


def reward_cost(state: State, action: Tensor) -> Tensor:
    """C = −r, the cost of a plant whose reward a `PlantWorld` predicts; nothing is paid after its end.

    >>> reward_cost({"reward": torch.tensor([2.0, -1.0])}, torch.zeros(2, 1))
    tensor([-2.,  1.])
    """
    return -state["reward"]


class CostToGo(nn.Module):
    """V(s) = c(s) (m + d f(s)): the discounted cost of the behaviour from a state on; 0 where the plant has ended.

    It is the `final` of a `PlanEnergy` and makes one step of policy improvement out of a short horizon. f is a `Policy`
    whose action is a number, so that `Imitation(value.network)` on states and `value.scaled(costs)` trains it.

    Source: the terminal value of Argenson & Dulac-Arnold 2021, "Model-based offline planning", section 3.1, a
    regression on the returns of the log.

    Args:
        inputs: what f sees of a state.
        hidden: sizes of the hidden layers.
        generator: draws the weights.

    >>> CostToGo(VectorEyes(3))({"observation": torch.zeros(4, 3)}).shape
    torch.Size([4])
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self, inputs: VectorEyes, hidden: tuple[int, ...] = (128, 128), generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.network = Policy(inputs, inputs.size, Reals(1), hidden, generator=generator)
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("deviation", torch.ones(()))

    def forward(self, state: State) -> Tensor:
        value = self.mean + self.deviation * self.network(state)[:, 0]
        return state["alive"] * value if "alive" in state else value

    @torch.no_grad()
    def scaled(self, costs: Tensor) -> Tensor:
        """Set m and d to mean and deviation of costs to go (B,), and return (G − m) / d, (B, 1)."""
        self.mean.copy_(costs.mean())
        self.deviation.copy_(costs.std().clamp_min(1e-6))
        return ((costs - self.mean) / self.deviation)[:, None]


def costs_to_go(paths: Sequence[Mapping[str, Tensor]], discount: float) -> Tensor:
    """G[t] = −Σ_k γᵏ r[t+k+1] of all steps of the episodes, below one another.

    What follows an episode that was cut and not ended is taken to cost its mean step for ever: −r̄ / (1 − γ).

    Args:
        paths: episodes with "reward" and "alive", as in `GymLog.paths`.
        discount: γ in [0, 1).

    Raises:
        OptionError: for another discount.

    >>> path = {"reward": torch.tensor([0.0, 1.0, 1.0]), "alive": torch.tensor([1.0, 1.0, 0.0])}
    >>> costs_to_go([path], 0.5)
    tensor([-1.5000, -1.0000])
    """
    if not 0 <= discount < 1:
        raise OptionError(f"discount must be in [0, 1), but it is {discount}.")
    found = []
    for path in paths:
        costs = (-path["reward"][1:]).tolist()
        after = sum(costs) / len(costs) / (1 - discount) if float(path["alive"][-1]) else 0.0
        for cost in reversed(costs):
            after = cost + discount * after
            found.append(after)
        found[len(found) - len(costs) :] = found[len(found) - len(costs) :][::-1]
    return torch.tensor(found)


def best_episodes(paths: Sequence[Mapping[str, Tensor]], share: float) -> list[Mapping[str, Tensor]]:
    """The episodes of highest reward, until they hold this share of all steps: what imitation should start from.

    >>> low, high = ({"reward": torch.full((3,), r), "actions": torch.zeros(2, 1)} for r in (0.0, 1.0))
    >>> float(best_episodes([low, high], 0.5)[0]["reward"][0])
    1.0
    """
    ranked = sorted(paths, key=lambda path: -float(path["reward"].sum()))
    needed, kept = share * sum(len(path["actions"]) for path in paths), []
    for path in ranked:
        if kept and sum(len(one["actions"]) for one in kept) >= needed:
            break
        kept.append(path)
    return kept

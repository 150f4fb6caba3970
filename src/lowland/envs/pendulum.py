"""Gymnasium's pendulum: its angle, its cost, and what counts as a swing-up.

An observation (…, 3) is (cos θ, sin θ, dθ/dt), with θ measured from upright in rad. An action (…, 1) is a fraction of
the largest torque, 2 N m, which is too weak to lift the pendulum without swinging. Steps last 0.05 s.

Shape letters: N episodes, T steps.
"""

from __future__ import annotations

from torch import Tensor

from lowland.worlds.base import State

PENDULUM, SECONDS = "Pendulum-v1", 0.05
"""The environment's id in Gymnasium, and the length of a step in s."""
UPRIGHT, LAST = 0.3, 50
"""A swing-up must end with this many steps within this angle of upright, in rad."""


def angle(observation: Tensor) -> Tensor:
    """θ in (−π, π], from upright.

    >>> import torch
    >>> angle(torch.tensor([[1.0, 0.0, 5.0], [0.0, 1.0, 5.0]]))
    tensor([0.0000, 1.5708])
    """
    return observation[..., 1].atan2(observation[..., 0])


def swing_cost(state: State, action: Tensor) -> Tensor:
    """θ² + 0.1 (dθ/dt)² + 0.001 torque², minus the reward of `Pendulum-v1`; differentiable.

    >>> import torch
    >>> swing_cost({"observation": torch.tensor([[1.0, 0.0, 2.0]])}, torch.tensor([[1.0]]))
    tensor([0.4040])
    """
    observation = state["observation"]
    return angle(observation).square() + 0.1 * observation[:, 2].square() + 0.004 * action[:, 0].square()


def swung_up(observations: Tensor) -> float:
    """Fraction of episodes (N, T + 1, 3) that stay within 0.3 rad of upright during the last 50 steps, 2.5 s.

    >>> import torch
    >>> still = torch.tensor([1.0, 0.0, 0.0]).expand(2, 60, 3).clone()
    >>> still[1, 20] = torch.tensor([-1.0, 0.0, 0.0])
    >>> swung_up(still)
    0.5
    """
    return float((angle(observations[:, -LAST:]).abs() <= UPRIGHT).all(dim=1).double().mean())

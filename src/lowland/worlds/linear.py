"""A linear world, in which the optimal plan is known in closed form."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lowland.domains import Domain, Reals
from lowland.errors import ShapeError
from lowland.registry import register
from lowland.worlds.base import State, World, WorldCase

if TYPE_CHECKING:
    from collections.abc import Sequence


@register("world")
class LinearWorld(World):
    """s[t+1] = A s[t] + B a[t] + C z[t], for states {"state": (B, S)} (system W1, textbook).

    Args:
        transition: A, (S, S), as a tensor or as nested lists.
        effect: B, (S, A).
        disturbance: C, (S, Z), or None for a world without noise.
        actions: domain of one action; None for all of ℝᴬ.

    Raises:
        ShapeError: for matrices whose sizes do not match.

    >>> world = LinearWorld([[1.0, 0.1], [0.0, 1.0]], [[0.0], [0.1]])
    >>> world.step({"state": torch.tensor([[1.0, 2.0]])}, torch.ones(1, 1))["state"]
    tensor([[1.2000, 2.1000]], grad_fn=<AddBackward0>)
    """

    def __init__(
        self,
        transition: Tensor | Sequence[Sequence[float]],
        effect: Tensor | Sequence[Sequence[float]],
        disturbance: Tensor | Sequence[Sequence[float]] | None = None,
        actions: Domain | None = None,
    ) -> None:
        a, b = torch.as_tensor(transition), torch.as_tensor(effect)
        c = a.new_zeros(len(a), 0) if disturbance is None else torch.as_tensor(disturbance)
        if a.ndim != 2 or b.ndim != 2 or c.ndim != 2 or not a.shape[0] == a.shape[1] == b.shape[0] == c.shape[0]:
            raise ShapeError(
                "A linear world needs A of shape (S, S), B of shape (S, A) and C of shape (S, Z), but they are "
                f"{tuple(a.shape)}, {tuple(b.shape)} and {tuple(c.shape)}."
            )
        super().__init__(Reals(b.shape[1]) if actions is None else actions, latents=c.shape[1])
        self.transition, self.effect = nn.Parameter(a.clone()), nn.Parameter(b.clone())
        self.register_buffer("disturbance", c.clone())

    def step(self, state: State, action: Tensor, z: Tensor | None = None, mask: Tensor | None = None) -> State:
        after = state["state"] @ self.transition.T + action @ self.effect.T
        return {"state": after if z is None else after + z @ self.get_buffer("disturbance").T}

    def features(self, state: State) -> Tensor:
        return state["state"]

    @classmethod
    def reference_case(cls) -> WorldCase:
        return WorldCase(cls([[1.0, 0.1], [0.0, 1.0]], [[0.0], [0.1]]), {"state": torch.tensor([[1.0, 2.0]])})


def riccati(world: LinearWorld, state_cost: Tensor, action_cost: Tensor, horizon: int) -> tuple[list[Tensor], Tensor]:
    """The optimal plan in a linear world under the cost ½ s[t+1]ᵀ Q s[t+1] + ½ a[t]ᵀ R a[t], by dynamic programming.

        K_t = (R + Bᵀ M B)⁻¹ Bᵀ M A,   P_t = Aᵀ M (A − B K_t),   M = Q + P_{t+1},   P_T = 0

    Source: Kalman 1960, "Contributions to the theory of optimal control", equation 6.

    Args:
        state_cost: Q, (S, S).
        action_cost: R, (A, A).
        horizon: T.

    Returns:
        The gains K_0 … K_{T−1}, (A, S) each, with a[t] = −K_t s[t], and P_0: the minimal cost from s is ½ sᵀ P_0 s.

    >>> gains, cost = riccati(LinearWorld([[1.0]], [[1.0]]), torch.eye(1), torch.eye(1), horizon=1)
    >>> gains, cost
    ([tensor([[0.5000]])], tensor([[0.5000]]))
    """
    a, b = world.transition.detach(), world.effect.detach()
    gains, cost = [], torch.zeros_like(a)
    for _ in range(horizon):
        ahead = state_cost.to(a) + cost
        gains.append(torch.linalg.solve(action_cost.to(a) + b.T @ ahead @ b, b.T @ ahead @ a))
        cost = a.T @ ahead @ (a - b @ gains[-1])
    return gains[::-1], cost

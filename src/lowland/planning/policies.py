"""Policies: networks from states to actions, and the energy of imitation.

Shape letters: B samples, A size of an action.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from lowland.domains import Box, Domain, Reals
from lowland.energies.base import Energy, ReferenceCase, squared_distance
from lowland.energies.structure import Structure
from lowland.errors import DomainError, OptionError, ShapeError, UnsupportedError, nearest
from lowland.nn.layers import mlp
from lowland.planning.energy import AnyState, unfit
from lowland.registry import register
from lowland.worlds.base import State

_BOUNDS = ("tanh", "clamp")
_LOG_DEVIATIONS = (-5.0, 1.0)


class Policy(nn.Module):
    """a = π(s), or a ∼ N(μ(s), σ²(s)) with `gaussian`, inside the domain of an action.

    Henaff, Canziani & LeCun 2019, section 3.3: three fully connected layers of 256 units on the output of `inputs`. σ
    is clamped to [e⁻⁵, e], and a Gaussian action is projected onto its domain.

    Args:
        inputs: state → (B, `size`), such as `world.features`; an `nn.Module` is trained with the policy.
        size: of what `inputs` returns.
        actions: domain of an action, `world.actions`.
        hidden: sizes of the hidden layers.
        gaussian: whether a call with noise draws from N(μ, σ²).
        bound: how the output of the network is mapped into a box: "tanh", or "clamp", which has no gradient outside.
        generator: draws the initial weights; by default one with seed 0.

    Attributes:
        observation: options of an environment that shows what the policy sees, such as `image` and `history`; set in
            a policy that `lowland run drive` made or that was loaded.
        bounds: (low, high) of the actions in the units of the plant, A numbers each. With them `act` returns actions in
            these units, and `actions` must be [−1, 1]; without them it returns what the network does. A call, as in
            training, always returns the latter.
        certificate: what was measured of the policy, numbers by name; see `lowland.training.policy_export.CERTIFICATE`.

    Raises:
        OptionError: for an unknown bound.

    >>> policy = Policy(lambda state: state["observation"], 3, Box(2, low=-1.0, high=1.0))
    >>> policy({"observation": torch.zeros(5, 3)}).shape
    torch.Size([5, 2])
    """

    def __init__(
        self,
        inputs: Callable[[State], Tensor],
        size: int,
        actions: Domain,
        hidden: tuple[int, ...] = (256, 256, 256),
        gaussian: bool = False,
        bound: str = "tanh",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if bound not in _BOUNDS:
            raise OptionError(f"There is no bound called {bound!r}. {nearest(bound, _BOUNDS)}")
        self.inputs, self.actions, self.gaussian, self.bound = inputs, actions, gaussian, bound
        self.hidden = tuple(hidden)
        self.observation: dict[str, Any] = {}
        self.bounds: tuple[Sequence[float], Sequence[float]] | None = None
        self.certificate: dict[str, float] = {}
        self.network = mlp(size, *hidden, actions.size * (2 if gaussian else 1), generator=generator)

    def distribution(self, state: State) -> tuple[Tensor, Tensor | None]:
        """μ (B, A) inside the domain, and log σ (B, A), or None for a deterministic policy."""
        mean, log_deviation = self.network(self.inputs(state)), None
        if self.gaussian:
            mean, log_deviation = mean.chunk(2, dim=1)
            log_deviation = (log_deviation - 1).clamp(*_LOG_DEVIATIONS)
        if self.bound == "tanh" and isinstance(self.actions, Box):
            half = 0.5 * (self.actions.high - self.actions.low)
            return self.actions.low + half * (1 + torch.tanh(mean)), log_deviation
        return self.actions.project(mean), log_deviation

    def forward(self, state: State, noise: Tensor | None = None) -> Tensor:
        """The action (B, A): the mean, or with noise ∼ N(0, I), (B, A), a draw of a Gaussian policy."""
        mean, log_deviation = self.distribution(state)
        if noise is None or log_deviation is None:
            return mean
        return self.actions.project(mean + log_deviation.exp() * noise)

    def in_units(self, shares: Tensor) -> Tensor:
        """Actions (B, A) of the network in the units of the plant: low + (a + 1)/2 · (high − low), if it has `bounds`.

        >>> policy = Policy(lambda state: state["observation"], 3, Box(1, low=-1.0, high=1.0))
        >>> policy.bounds = ([-2.0], [4.0])
        >>> policy.in_units(torch.tensor([[-1.0], [0.0], [1.0]])).flatten().tolist()
        [-2.0, 1.0, 4.0]
        """
        if self.bounds is None:
            return shares
        low, high = (torch.tensor(bound, dtype=shares.dtype, device=shares.device) for bound in self.bounds)
        return (low + 0.5 * (shares + 1) * (high - low)).clamp(low, high)

    @torch.no_grad()
    def act(self, observation: Mapping[str, npt.ArrayLike] | npt.ArrayLike) -> npt.NDArray[np.floating[Any]]:
        """The action (A,) for an observation of Gymnasium, or (B, A) for those of a vector environment.

        With `bounds` it is in the units of the plant. An observation that is an array (D,) or (B, D) is what a plant
        shows; parts of a dictionary that the policy does not use are ignored. Images are uint8, or from 0 to 1.

        Raises:
            UnsupportedError: if `inputs` has no `shapes`.
            ShapeError, DomainError: for an observation of other shapes or values.
        """
        shapes: Mapping[str, tuple[int | None, ...]] | None = getattr(self.inputs, "shapes", None)
        if shapes is None:
            raise UnsupportedError("What this policy looks at has no `shapes`: call it with a batch of tensors.")
        parts = observation if isinstance(observation, Mapping) else {"observation": observation}
        like = next(self.parameters())
        state: dict[str, Tensor] = {}
        batched = set()
        for name, shape in shapes.items():
            leaf = torch.as_tensor(np.asarray(parts.get(name, ())), device=like.device)
            more = leaf.ndim - len(shape)
            if more not in (0, 1) or any(n not in (None, m) for n, m in zip(shape, leaf.shape[more:], strict=True)):
                raise ShapeError(
                    f"This policy looks at {name} of shape {shape}, but the observation has "
                    f"{f'shape {tuple(leaf.shape)}' if name in parts else 'none'}: "
                    + ("make the environment with **policy.observation." if self.observation else "use its own plant.")
                )
            if leaf.dtype != torch.uint8:
                leaf = leaf.to(like.dtype)
                if not bool(torch.isfinite(leaf).all()):
                    raise DomainError(f"{name} has NaN or infinity, so there is no action for it: check the sensor.")
                if name == "image" and float(leaf.max()) > 1:
                    raise DomainError(
                        "Images are uint8, or from 0 to 1, but this one has numbers up to "
                        f"{float(leaf.max()):g}: divide it by 255."
                    )
            batched.add(more)
            state[name] = leaf if more else leaf[None]
        if len(batched) > 1:
            raise ShapeError("Some parts of the observation have a batch axis and others have none.")
        action = self.in_units(self(state)).cpu().numpy()
        return action if batched == {1} else action[0]


@register("energy")
class Imitation(Energy):
    """E(x, y) = ½ ‖y − π(x)‖², or −log N(y; μ(x), σ²(x)) for a Gaussian policy: x is a state, y an action.

    Trained by `ll.shaping.MinimumEnergy()` on states and actions of a log, it is one-step imitation, or behaviour
    cloning (system W8; Henaff, Canziani & LeCun 2019, section 5). Trained on `demonstrations` of a planner, the policy
    is distilled from the planner (system W3).

    Args:
        policy: is trained in place.

    >>> policy = Policy(lambda state: state["observation"], 3, Box(2, low=-1.0, high=1.0))
    >>> Imitation(policy)(x={"observation": torch.zeros(5, 3)}, y=torch.zeros(5, 2)).shape
    torch.Size([5])
    """

    def __init__(self, policy: Policy) -> None:
        super().__init__(x=AnyState(), y=policy.actions)
        self.policy = policy

    def energy(self, x: State, y: Tensor, z: Any) -> Tensor:
        mean, log_deviation = self._distribution(x)
        if log_deviation is None:
            return 0.5 * squared_distance(y, mean)
        misfit = 0.5 * ((y - mean) * torch.exp(-log_deviation)).square() + log_deviation
        return misfit.sum(dim=1) + 0.5 * y.shape[1] * math.log(2 * math.pi)

    def structure(self, over: tuple[str, ...], x: Any, y: Any, z: Any) -> Structure:
        if over != ("y",) or x is None:
            return Structure()
        return Structure(minimiser=lambda: self._distribution(x)[0], convex=True)

    def _distribution(self, x: State) -> tuple[Tensor, Tensor | None]:
        try:
            mean, log_deviation = self.policy.distribution(x)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            raise unfit("The policy", x, error) from error
        if mean.ndim != 2:  # the size of the batch is not compared, since an exported program leaves it open
            raise ShapeError(
                f"The policy gives actions of shape {tuple(mean.shape)} for this state: give (B, …) parts."
            )
        return mean, log_deviation

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """The minimising action is that of the policy, here half the state."""
        policy = Policy(lambda state: state["state"], 2, Reals(2), hidden=())
        policy.load_state_dict({"network.0.weight": 0.5 * torch.eye(2), "network.0.bias": torch.zeros(2)})
        x = torch.tensor([[1.0, -4.0]])
        return ReferenceCase(cls(policy), {"x": {"state": x}}, "y", minimum=torch.zeros(1), minimiser=x / 2)

"""A world model as an energy of trajectories: low where the model predicts what happened.

Shape letters: B samples, T steps, A size of an action, Z of a latent, D features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lowland.domains import Product, Reals
from lowland.energies.base import Energy, ReferenceCase
from lowland.energies.structure import Structure
from lowland.errors import OptionError, ShapeError, check_instance
from lowland.registry import register
from lowland.tensors import PerSampleRNG, take, tree_map
from lowland.worlds.base import State, World
from lowland.worlds.rollout import rollout
from lowland.worlds.vector import VectorWorld


@register("energy")
class ForwardModel(Energy):
    """E(x, y, z) = (1/T) Σ_t ‖φ(s[t]) − φ(ŝ[t])‖², ŝ[t+1] = g(ŝ[t], a[t], z[t]), ŝ[0] = s[0].

    x = {"state": s[0], "actions": (B, T, A)}, y = {s[1], …, s[T]}, each tensor (B, T, …), and z (B, T, Z) where the
    world has latents. φ are the z-scored features of the world. For a given z, the minimising y is the prediction of
    the world; for a given y, the minimising z is the information that the prediction lacked. Trained by
    `ForwardTraining`. Source: Henaff, Canziani & LeCun 2019, equation 1; unrolled as in their appendix B.

    Args:
        world: g and φ.
        state: an example of a state, for its names and shapes.
        horizon: T.

    Raises:
        OptionError: if `world` is not a world, or for a horizon below 1.

    >>> from lowland.worlds.vector import VectorWorld
    >>> start = {"observation": torch.zeros(2, 3)}
    >>> energy = ForwardModel(VectorWorld(observations=3, actions=1), start, horizon=4)
    >>> energy({"state": start, "actions": torch.zeros(2, 4, 1)}, {"observation": torch.zeros(2, 4, 3)}).shape
    torch.Size([2])
    """

    def __init__(self, world: World, state: State, horizon: int) -> None:
        check_instance(world, World, "The world of a ForwardModel")
        if horizon < 1:
            raise OptionError(f"The horizon must be at least 1 step, but it is {horizon}.")
        one = {name: Reals(*tensor.shape[1:]) for name, tensor in state.items()}
        many = {name: Reals(horizon, *tensor.shape[1:]) for name, tensor in state.items()}
        x = Product({"state": Product(one), "actions": Reals(horizon, world.actions.size)})
        latent = {"z": Reals(horizon, world.latents)} if world.latents else {}
        super().__init__(x=x, y=Product(many), **latent)
        self.world, self.horizon = world, horizon

    def predict(self, x: Mapping[str, Any], z: Tensor | None, mask: Tensor | None = None) -> State:
        """ŝ[1], …, ŝ[T], each tensor (B, T, …); `mask`: dropout masks (B, T, M)."""
        return rollout(self.world, x["state"], x["actions"], z, self.horizon, mask).states

    def energy(self, x: Mapping[str, Any], y: State, z: Tensor | None) -> Tensor:
        return self.errors(self.predict(x, z), y).mean(dim=1)

    def errors(self, predicted: State, y: State) -> Tensor:
        """‖φ(s[t]) − φ(ŝ[t])‖² at each step, (B, T)."""
        flat = (tree_map(lambda tensor: tensor.flatten(0, 1), states) for states in (predicted, y))
        return self.world.misfit(*flat).unflatten(0, (-1, self.horizon))

    def initialise(self, x: Mapping[str, Any], y: State, noise: PerSampleRNG) -> None:
        self.world.initialise(x["state"], x["actions"], y)

    def prior(self, x: Any, noise: PerSampleRNG, count: int) -> Tensor:
        return self.world.prior(noise, count, self.horizon).flatten(2)

    def structure(self, over: tuple[str, ...], x: Any, y: Any, z: Any) -> Structure:
        if over != ("y",) or x is None:
            return Structure()
        return Structure(minimiser=lambda: self.domain("y").pack(self.predict(x, z)))

    def reconstruct(self, x: Any, y: Any, z: Any) -> Any:
        return self.predict(x, z)

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """For any weights, the minimum over y is the roll-out of the world, with E = 0."""
        drawn = torch.Generator().manual_seed(0)
        state = {"observation": torch.randn(3, 2, generator=drawn)}
        energy = cls(VectorWorld(2, 1, latents=2, hidden=8), state, horizon=3)
        x = {"state": state, "actions": torch.rand(3, 3, 1, generator=drawn)}
        z = torch.randn(3, 3, 2, generator=drawn)
        with torch.no_grad():
            best = energy.domain("y").pack(energy.predict(x, z))
        return ReferenceCase(energy, {"x": x, "z": z}, "y", minimum=torch.zeros(3), minimiser=best)


def windows(paths: Sequence[State], horizon: int, every: int = 1) -> tuple[dict[str, Any], State]:
    """Cut trajectories into segments (x, y) of T steps, on which `ll.fit` trains a `ForwardModel`.

    Args:
        paths: trajectories, each with the states s[0], …, s[N], a tensor (N + 1, …) for each name, and under "actions"
            a[0], …, a[N − 1], (N, A). Trajectories of fewer than T steps give no segment.
        horizon: T.
        every: steps between the starts of two segments.

    Raises:
        ShapeError: where no trajectory has T steps.

    >>> path = {"observation": torch.arange(6.0)[:, None], "actions": torch.zeros(5, 1)}
    >>> x, y = windows((path, path), horizon=2, every=3)
    >>> first = x["state"]
    >>> first["observation"].flatten().tolist(), y["observation"].shape
    ([0.0, 3.0, 0.0, 3.0], torch.Size([4, 2, 1]))
    """
    starts, actions, following = [], [], []
    for path in paths:
        first = torch.arange(0, max(0, len(path["actions"]) - horizon + 1), every)
        index = first[:, None] + torch.arange(horizon)
        states = {name: tensor for name, tensor in path.items() if name != "actions"}
        starts.append({name: tensor[first] for name, tensor in states.items()})
        following.append({name: tensor[index + 1] for name, tensor in states.items()})
        actions.append(path["actions"][index])
    if not sum(len(part) for part in actions):
        longest = max((len(path["actions"]) for path in paths), default=0)
        raise ShapeError(
            f"None of the {len(paths)} trajectories has {horizon} steps, the longest has {longest}: give longer ones, "
            "or a shorter horizon."
        )
    joined = [{name: torch.cat([part[name] for part in parts]) for name in parts[0]} for parts in (starts, following)]
    return {"state": joined[0], "actions": torch.cat(actions)}, joined[1]


class Start(NamedTuple):
    """Starts of roll-outs with what happened.

    Attributes:
        before: s[−1], the state before each start, from which a constant velocity follows.
        x: {"state": s[0], "actions": (B, T, A)}.
        y: s[1], …, s[T], each tensor (B, T, …).
    """

    before: State
    x: Mapping[str, Any]
    y: State


def spaced_starts(paths: Sequence[State], steps: int, most: int, device: torch.device | str = "cpu") -> Start:
    """Up to so many starts, evenly spaced in all trajectories, with the T steps that followed each.

    Args:
        paths: as for `windows`; those of fewer than T + 1 steps give no start.
        steps: T.
        most: largest number of starts.
        device: of the result.

    Raises:
        ShapeError: where no trajectory has T + 1 steps.

    >>> path = {"observation": torch.arange(9.0)[:, None], "actions": torch.zeros(8, 1)}
    >>> found = spaced_starts([path], steps=2, most=2)
    >>> found.before["observation"].flatten().tolist(), found.y["observation"][1].flatten().tolist()
    ([0.0, 4.0], [6.0, 7.0])
    """
    every = max(1, sum(len(path["actions"]) for path in paths) // most)
    x, y = windows(paths, steps + 1, every)
    chosen = torch.arange(min(most, len(x["actions"])))
    before, actions = take(x["state"], chosen), x["actions"][chosen]
    now, after = (tree_map(part, take(y, chosen)) for part in (lambda t: t[:, 0], lambda t: t[:, 1:]))
    parts = before, {"state": now, "actions": actions[:, 1:]}, after
    return Start(*(tree_map(lambda tensor: tensor.to(device), part) for part in parts))

"""A forward model of the traffic around one car, for vector observations (systems W1, W5).

Legend: B samples, C other cars, P pairs of cars of which one may react to the other, A size of an action, Z of the
latent, K dropout masks, M masked units.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.domains import Box
from lowland.errors import OptionError, ShapeError
from lowland.nn.layers import linear, mlp
from lowland.registry import register
from lowland.worlds.base import State, World, WorldCase
from lowland.worlds.kinematics import advance

_REACH, _SPEED, _HARDEST = 20.0, 5.0, 10.0
_PER_CAR, _PER_PAIR = 9, 7


@register("world")
class TrafficWorld(World):
    """v′ = v + f(car, its neighbours, z)·dt and p′ = p + v′·dt for each other car; the own car by kinematics.

    f sums the units of a pairwise layer over all neighbours of a car, including the own car, and adds the car's latent
    before its first hidden layer (the additive fusion of Henaff, Canziani & LeCun 2019, section 3.1, on states instead
    of images). The own car moves by `lowland.worlds.kinematics`, which defines its actions; absent cars do not move. A
    logged v′ is the displacement in the step divided by dt, so that p′ is exact if v′ is. A tanh keeps f within
    ±10 m/s². Positions are in m, velocities in m/s, dt in s.

    A state holds `own` (B, 5), `size` (B, 2), `cars` (B, C, 4) with x, y, vx, vy, `car_size` (B, C, 2), `present`
    (B, C) and `road` (B, 4): right edge, left edge, width of a lane, middle of the first lane.

    Args:
        dt: seconds of one step.
        latents: size of the latent; 0 for a deterministic model.
        cars: C; each car has `latents` / C numbers of the latent.
        hidden: units of the hidden layers of f; the pairwise layer has half as many.
        dropout: of both hidden layers of f. All cars of a sample share a mask, since a mask stands for one model.
        generator: draws the weights.

    Raises:
        OptionError: if `latents` is not a multiple of `cars`.

    >>> world = TrafficWorld(latents=20)
    >>> state = {"own": torch.tensor([[0.0, 1.85, 1.0, 0.0, 9.0]]), "size": torch.tensor([[4.5, 1.8]])}
    >>> state |= {"cars": torch.zeros(1, 10, 4), "car_size": torch.ones(1, 10, 2), "present": torch.zeros(1, 10)}
    >>> state |= {"road": torch.tensor([[0.0, 22.2, 3.7, 1.85]])}
    >>> after = world.step(state, torch.zeros(1, 2))
    >>> after["own"].round(decimals=2)
    tensor([[1.8000, 1.8500, 1.0000, 0.0000, 9.0000]])
    """

    scale: Tensor

    def __init__(
        self,
        dt: float = 0.2,
        latents: int = 0,
        cars: int = 10,
        hidden: int = 64,
        dropout: float = 0.1,
        generator: torch.Generator | None = None,
    ) -> None:
        if cars < 1 or latents % cars:
            raise OptionError(f"latents must be a multiple of the number of cars, {cars}, but there are {latents}.")
        super().__init__(Box(2, low=-1.0, high=1.0), latents, masked=2 * hidden if dropout else 0, dropout=dropout)
        self.dt, self.cars, self.each = dt, cars, latents // cars
        generator = generator or torch.Generator().manual_seed(0)
        self.pairs = linear(_PER_PAIR, hidden // 2, generator)
        self.first = linear(_PER_CAR + hidden // 2, hidden, generator)
        self.fuse = linear(self.each, hidden, generator, bias=False) if latents else None
        self.second = linear(hidden, hidden, generator)
        self.last = linear(hidden, 2, generator)
        # An untrained model predicts constant velocity, which is a good start.
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        self.register_buffer("scale", torch.ones(2))

    def initialise(self, state: State, actions: Tensor, states: State) -> None:
        """Set the scale of changes of vx and vy in a step."""
        change = (states["cars"][:, 0] - state["cars"])[..., 2:][states["present"][:, 0] > 0]
        if len(change) < 2:
            raise ShapeError("A model of traffic needs other cars to learn from, but no logged car has any nearby.")
        self.scale.copy_(change.std(dim=0).clamp_min(1e-3))

    def step(self, state: State, action: Tensor, z: Tensor | None = None, mask: Tensor | None = None) -> State:
        return self.branches(state, action, z, None if mask is None else mask[:, None])

    def branches(self, state: State, action: Tensor, z: Tensor | None, masks: Tensor | None) -> State:
        """The next states under each of K masks, (B · K, …); everything before the masks is computed once."""
        before = self.before(state)
        if z is not None and self.fuse is not None:
            before = before + self.fuse(z.unflatten(-1, (self.cars, self.each)))
        hidden = functional.relu(before)
        count = 1 if masks is None else masks.shape[1]
        if masks is None:
            change = self.last(functional.relu(self.second(hidden)))
        elif len(masks) < len(hidden):
            change = self._shared(hidden, masks)
        else:
            first, second = masks.unsqueeze(2).chunk(2, dim=-1)
            change = self.last(functional.relu(self.second(hidden[:, None] * first)) * second).flatten(0, 1)
        # No car accelerates or brakes harder than this, so that a roll-out cannot diverge.
        most = _HARDEST * self.dt
        change = most * torch.tanh(change * self.scale / most)
        own = advance(state["own"], action, state["size"][:, 0], self.dt)
        given = {name: value.repeat_interleave(count, 0) if count > 1 else value for name, value in state.items()}
        place, velocity = given["cars"].chunk(2, dim=-1)
        change = change * given["present"][..., None]
        moved = place + (velocity + change) * self.dt * given["present"][..., None]
        cars = torch.cat([moved, velocity + change], dim=-1)
        own = own.repeat_interleave(count, 0) if count > 1 else own
        return {**given, "own": own, "cars": cars}

    def _shared(self, hidden: Tensor, masks: Tensor) -> Tensor:
        """Outputs (B · K, C, 2) where many rows share masks (G, K, M): the masks then multiply the weights."""
        count, size = masks.shape[1], hidden.shape[2]
        first, second = masks.chunk(2, dim=2)
        inner = (first.transpose(1, 2)[..., None] * self.second.weight.T[:, None]).flatten(2)
        # One product for all K: the last layers are blocks along a diagonal.
        blocks = torch.eye(count, device=masks.device, dtype=masks.dtype)[:, None, :, None]
        outer = (blocks * (second[..., None] * self.last.weight.T)[:, :, :, None]).flatten(3).flatten(1, 2)
        rows = hidden.reshape(len(masks), -1, size)
        units = functional.relu(torch.baddbmm(self.second.bias.repeat(count), rows, inner))
        answers = torch.baddbmm(self.last.bias.repeat(count), units, outer)
        return answers.view(len(hidden), self.cars, count, 2).transpose(1, 2).flatten(0, 1)

    def before(self, state: State) -> Tensor:
        """Input of the first hidden layer of f, from each car and its neighbours, (B, C, H)."""
        own, cars, road = state["own"], state["cars"], state["road"]
        x, y, dx, dy, v = own.unbind(dim=-1)
        me = torch.stack([x, y, v * dx, v * dy], dim=-1)
        everyone = torch.cat([me[:, None], cars], dim=1)
        length = torch.cat([state["size"][:, None, 0], state["car_size"][..., 0]], dim=1)
        there = torch.cat([torch.ones_like(x)[:, None], state["present"]], dim=1)
        right, left, width = (road[:, None, k] for k in range(3))
        apart = everyone[:, None] - cars[:, :, None]
        along, across, faster, sideways = apart.unbind(dim=-1)
        gap = (along.abs() - 0.5 * (length[:, None] + length[:, 1:, None])) / _REACH
        pairs = torch.stack(
            [
                along / _REACH,
                torch.exp(-functional.softplus(8 * gap) / 2),
                torch.tanh(along / 4),
                across / width[..., None],
                torch.exp(-((across / (0.5 * width[..., None])) ** 2)),
                faster / _SPEED,
                sideways,
            ]
        ).flatten(1)
        others = 1 - torch.eye(cars.shape[1], device=cars.device, dtype=cars.dtype)
        others = functional.pad(others, (1, 0), value=1.0)
        near = there[:, None] * others * torch.exp(-((along / (2 * _REACH)) ** 2))
        # Units are the first axis here, so that every operation runs along contiguous memory.
        units = functional.relu(torch.addmm(self.pairs.bias[:, None], self.pairs.weight, pairs))
        pooled = (units.unflatten(1, near.shape) * near).sum(dim=-1).permute(1, 2, 0)
        phase = 2 * torch.pi * (cars[..., 1] - road[:, None, 3]) / width
        each = [
            cars[..., 2] / _SPEED - 2,
            cars[..., 3],
            torch.sin(phase),
            torch.cos(phase),
            torch.exp(-((cars[..., 1] - right) / width).clamp_min(-1)),
            torch.exp(-((left - cars[..., 1]) / width).clamp_min(-1)),
            length[:, 1:] / _SPEED - 1,
            torch.tanh((x[:, None] - cars[..., 0]) / _REACH),
            near.sum(dim=2) / 4 - 1,
        ]
        return self.first(torch.cat([torch.stack(each, dim=-1), pooled], dim=-1))

    def posterior(self, generator: torch.Generator | None = None) -> TrafficPosterior:
        """Posterior network for `ForwardTraining`: the latent of each car from its next state."""
        return TrafficPosterior(self.first.out_features, self.each, generator)

    def features(self, state: State) -> Tensor:
        """(B, 4 C): positions and velocities of the cars in units of the usual change of velocity in a step.

        An error of velocity counts as much as the position error that it causes in a second.
        """
        return (state["cars"] / self.scale.repeat(2) * state["present"][..., None]).flatten(1)

    def misfit(self, predicted: State, actual: State) -> Tensor:
        """As of every world, over the cars that are still in the log."""
        return super().misfit({**predicted, "present": actual["present"]}, actual)

    @classmethod
    def reference_case(cls) -> WorldCase:
        """With random weights in the last layer, where an untrained model has zeros."""
        world = cls(latents=6, cars=3, hidden=16)
        nn.init.normal_(world.last.weight, generator=torch.Generator().manual_seed(0))
        return WorldCase(world, example(3))


class TrafficPosterior(nn.Module):
    """q(z | s, s′) of each car: a perceptron on the input of the world's first layer and the change of velocity.

    Args:
        hidden: units of the hidden layers of the world.
        latents: of one car.
        generator: draws the weights.
    """

    def __init__(self, hidden: int, latents: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.network = mlp(hidden + 2, hidden, 2 * latents, generator=generator)

    def forward(self, world: TrafficWorld, state: State, action: Tensor, following: State) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of z, (B, Z) each."""
        change = (following["cars"] - state["cars"])[..., 2:] / world.scale
        # A car that leaves the log between the two states has no change of velocity.
        stays = (state["present"] * following["present"])[..., None]
        mean, log_variance = self.network(torch.cat([world.before(state), change * stays], dim=-1)).chunk(2, dim=-1)
        return mean.flatten(1), log_variance.flatten(1)


def example(cars: int, rows: int = 2) -> dict[str, Tensor]:
    """A state with `cars` cars at 8 to 11 m/s on a road of three lanes; the last one is not present."""
    number = torch.arange(cars)
    place = torch.stack([12.0 * (number - 1) + 5, 1.85 + 3.7 * (number % 3), 8.0 + number % 4, 0.1 * number], dim=1)
    state = {
        "own": torch.tensor([0.0, 1.85, 1.0, 0.0, 9.0]),
        "size": torch.tensor([4.5, 1.8]),
        "cars": place.float(),
        "car_size": torch.tensor([4.5, 1.8]).expand(cars, 2),
        "present": (number < cars - 1).float(),
        "road": torch.tensor([0.0, 11.1, 3.7, 1.85]),
    }
    return {name: value.expand(rows, *value.shape).clone() for name, value in state.items()}

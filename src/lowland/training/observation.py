"""Observations for driving (nearest cars as vectors, or images), with their models, policies and data from logs.

Shape letters: B samples, T steps, P frames of context, C channels, H and W rows and columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lowland.domains import Box
from lowland.envs.episodes import Logs
from lowland.envs.films import Films
from lowland.envs.own_log import FRAME
from lowland.envs.picture import Camera
from lowland.nn.convolutional import FilmEyes
from lowland.nn.scene import SceneEncoder
from lowland.planning.policies import Policy
from lowland.shaping.base import Batch
from lowland.tensors import take, tree_map
from lowland.training.samples import Lazy
from lowland.worlds.base import State, World
from lowland.worlds.convolutional import ConvolutionalPosterior, ConvolutionalWorld
from lowland.worlds.driving_costs import CARS, DrivingCost, PixelDrivingCost
from lowland.worlds.ego import EgoWorld
from lowland.worlds.forward_training import posterior_futures
from lowland.worlds.rollout import at, rollout, transitions
from lowland.worlds.traffic import TrafficWorld

_ACTIONS = Box(2, low=-1.0, high=1.0)
_SHOWN = 200


def with_futures(data: Any, world: World, posterior: nn.Module, seed: int = 0) -> Lazy:
    """Data for `BackpropThroughModel` whose futures are those of the log, z ∼ q(z[t] | s[t], s[t+1]).

    Args:
        data: `trajectories` of as many steps as a roll-out has.
        world: with latents.
        posterior: q, trained with this world.
        seed: of z; a segment has the same z whenever it is drawn.
    """
    if isinstance(data, Lazy):
        logged = data
    else:
        x, y = data
        where = x["actions"].device
        logged = Lazy(len(x["actions"]), lambda rows: Batch(*(take(part, rows.to(where)) for part in (y, x))))

    def draw(rows: Tensor) -> Batch:
        batch = logged.draw(rows)
        z = posterior_futures(world, posterior, batch.x, batch.y, rows, seed)
        return Batch(batch.x["actions"], {"state": batch.x["state"], "futures": z[:, None]})

    return Lazy(logged.count, draw)


def _spaced(total: int, count: int) -> Tensor:
    """Up to `count` numbers below `total`, evenly spaced."""
    return torch.linspace(0, total - 1, min(count, total)).round().long()


class VectorObservation:
    """The own car and its nearest neighbours as a vector.

    Args:
        every: frames of the log for one action.
        cars: neighbours in a state.
        hidden: units of the hidden layers of a forward model.

    Attributes:
        replay: options of a `Replay` that gives this observation.
        note: goes into the header of weight files, so that weights for another observation are refused.
        cost: C, the cost of a state.
        clips: maximum gradient norms in training, for models and for policies.
        predicts, error, baseline: texts for the page: what a model predicts, its error measure, and the baseline.
    """

    clips = (100.0, 5.0)
    predicts = "A model sees the driven car and its nearest neighbours, and predicts where they will be."
    error, baseline = "mean distance of other cars, m", "constant velocity"

    def __init__(self, every: int = 2, cars: int = 10, hidden: int = 64) -> None:
        self.dt, self.cars, self.hidden, self.cost = FRAME * every, cars, hidden, DrivingCost()
        self.replay: dict[str, Any] = {"every": every}
        self.note = {"images": ""}

    def world(self, latent: bool, generator: torch.Generator) -> World:
        """An untrained forward model, with or without a latent variable."""
        return TrafficWorld(self.dt, 2 * self.cars if latent else 0, self.cars, self.hidden, generator=generator)

    def posterior(self, world: World, generator: torch.Generator) -> nn.Module:
        """Posterior network of the latents, used in training only."""
        assert isinstance(world, TrafficWorld)
        return world.posterior(generator)

    def policy(self, gaussian: bool, generator: torch.Generator) -> Policy:
        """An untrained policy."""
        eyes = SceneEncoder(64, generator)
        return Policy(eyes, eyes.size, _ACTIONS, (128, 128), gaussian=gaussian, generator=generator)

    def segments(self, logs: Logs, count: int, steps: int, generator: torch.Generator) -> dict[str, Any]:
        """Up to `count` segments of the training recordings, of `steps` steps each."""
        return logs.segments(count, steps, generator)

    def unseen(self, logs: Logs, steps: int) -> dict[str, Any]:
        """`states` (B, T + 1, …) and `actions` (B, T, 2) of held-out recordings."""
        return logs.unseen(steps)

    def examples(self, segments: dict[str, Any], count: int) -> tuple[State, Tensor]:
        """The first states of up to `count` segments, spread evenly over the recordings, and their actions."""
        rows = _spaced(len(segments["actions"]), count)
        return take(at(segments["states"], 0), rows), segments["actions"][rows]

    def trajectories(self, segments: dict[str, Any], steps: int) -> Any:
        """Data for `ForwardTraining`: a first state with actions, and the states that follow."""
        following = {name: tensor[:, 1 : steps + 1] for name, tensor in segments["states"].items()}
        return {"state": at(segments["states"], 0), "actions": segments["actions"][:, :steps]}, following

    def starts(self, segments: dict[str, Any], expert: int) -> Any:
        """Data for `BackpropThroughModel`: first states, and the log's next `expert` actions unless `expert` is 0."""
        return Batch(segments["actions"][:, :expert] if expert else None, at(segments["states"], 0))

    def transitions(self, segments: dict[str, Any]) -> tuple[Any, int]:
        """Data for `Imitation`: every state of the segments with its action, and how many there are."""
        actions = segments["actions"].flatten(0, 1)
        return ({name: part[:, :-1].flatten(0, 1) for name, part in segments["states"].items()}, actions), len(actions)

    @torch.no_grad()
    def errors(self, world: World, unseen: Mapping[str, Any]) -> dict[str, Tensor]:
        """Mean distance between predicted and true positions of the other cars at each step, for model and baseline."""
        states, actions = unseen["states"], unseen["actions"]
        start = at(states, 0)
        imagined = rollout(world, start, actions, None, actions.shape[1]).states
        seconds = self.dt * torch.arange(1, actions.shape[1] + 1, device=actions.device)
        even = start["cars"][:, None, :, :2] + seconds[:, None, None] * start["cars"][:, None, :, 2:]
        there, realised = states["present"][:, 1:], states["cars"][:, 1:, :, :2]

        def away(places: Tensor) -> Tensor:
            return ((places - realised).norm(dim=-1) * there).sum(dim=(0, 2)) / there.sum(dim=(0, 2))

        still = start["cars"][:, None, :, :2].expand_as(realised)
        return {"model": away(imagined["cars"][..., :2]), self.baseline: away(even), "standing still": away(still)}


class ImageObservation:
    """Image sequences of the own car's surroundings, as in Henaff, Canziani & LeCun (2019).

    The methods are those of `VectorObservation`.

    Args:
        size: height and width of an image.
        every: frames of the log for one action.
        frames: P, images that a model and a policy see, one action apart.
        maps: feature maps of the three convolution stages.
        latents: size of the latent variable of a stochastic model.
        hidden: units of the hidden layers.
        decoder: see `ConvolutionalWorld`.
        ego: move the own car by its known kinematics (`EgoWorld`) instead of predicting it.
        device: of the states.
    """

    clips = (5.0, 50.0)
    predicts = "A model sees images of the surroundings of the driven car, and predicts the next ones."
    error, baseline = "squared error of other cars in the image, times 1,000", "copy of the last frame"

    def __init__(
        self,
        size: tuple[int, int],
        every: int = 2,
        frames: int = 4,
        maps: tuple[int, ...] = (16, 32, 48),
        latents: int = 8,
        hidden: int = 64,
        decoder: str = "warp",
        ego: bool = False,
        device: str = "cpu",
    ) -> None:
        self.size, self.every, self.dt, self.frames, self.maps = size, every, FRAME * every, frames, maps
        self.latents, self.hidden, self.decoder, self.ego, self.device = latents, hidden, decoder, ego, device
        self.cost = PixelDrivingCost(by_place=True)
        self.replay: dict[str, Any] = {"every": every, "image": size, "history": frames}
        known = ", the own car moved by its kinematics" if ego else ""
        self.note = {"images": f"of {size[0]} × {size[1]}, {frames} of them {self.dt:.1f} s apart{known}"}

    def world(self, latent: bool, generator: torch.Generator) -> World:
        shared: dict[str, Any] = {
            "latents": self.latents if latent else 0, "maps": self.maps, "generator": generator
        }  # fmt: skip
        if self.ego:
            return EgoWorld(self.size, self.frames, dt=self.dt, **shared)
        own = (self.frames, 5)
        return ConvolutionalWorld(self.size, self.frames, own=own, decoder=self.decoder, hidden=self.hidden, **shared)

    def posterior(self, world: World, generator: torch.Generator) -> nn.Module:
        assert isinstance(world, ConvolutionalWorld)
        return ConvolutionalPosterior(world, self.hidden, generator)

    def policy(self, gaussian: bool, generator: torch.Generator) -> Policy:
        # The place of the own car tells what an action does, be it moved by its kinematics or by the model.
        eyes = FilmEyes(self.frames, 3, self.size, self.maps, self.hidden, generator, through=False)
        return Policy(eyes, eyes.size, _ACTIONS, (self.hidden,) * 3, gaussian=gaussian, generator=generator)

    def segments(self, logs: Logs, count: int, steps: int, generator: torch.Generator) -> Films:
        return self.films(logs, count, steps, generator, "train")

    def unseen(self, logs: Logs, steps: int) -> dict[str, Any]:
        films = self.films(logs, _SHOWN, steps, torch.Generator().manual_seed(0), "held")
        states = films.states(torch.arange(len(films)), steps=steps)
        return {"states": states, "actions": films.actions.to(self.device)}

    def films(self, logs: Logs, count: int, steps: int, generator: torch.Generator, part: str) -> Films:
        """Up to `count` films of T steps from a part of the recordings, "train" or "held"."""
        before = (self.frames - 1) * self.every
        starts = logs.starts(count, steps, generator, part, before=before, device="cpu")
        return Films(starts, Camera(*self.size), self.frames, steps, self.device)

    def examples(self, segments: Films, count: int) -> tuple[State, Tensor]:
        rows = _spaced(len(segments), count)
        return at(segments.states(rows), 0), segments.actions[rows].to(self.device)

    def trajectories(self, segments: Films, steps: int) -> Lazy:
        def draw(rows: Tensor) -> Batch:
            states = segments.states(rows, steps=steps)
            actions = segments.actions[rows, :steps].to(self.device)
            return Batch(tree_map(lambda t: t[:, 1:], states), {"state": at(states, 0), "actions": actions})

        return Lazy(len(segments), draw)

    def starts(self, segments: Films, expert: int) -> Lazy:
        def draw(rows: Tensor) -> Batch:
            return Batch(segments.actions[rows, :expert] if expert else None, at(segments.states(rows), 0))

        return Lazy(len(segments), draw)

    def transitions(self, segments: Films) -> tuple[Lazy, int]:
        count = len(segments) * segments.steps

        def draw(rows: Tensor) -> Batch:
            segment, step = rows // segments.steps, rows % segments.steps
            return Batch(segments.actions[segment, step], at(segments.states(segment, step), 0))

        return Lazy(count, draw), count

    @torch.no_grad()
    def errors(self, world: World, unseen: Mapping[str, Any]) -> dict[str, Tensor]:
        """Squared error in the channel of other cars at each step, for the model and for a copy of the last frame."""
        actions, films = unseen["actions"], unseen["states"]["image"]
        start, still = at(unseen["states"], 0), films[:, 0, -1, CARS]
        found: dict[str, list[Tensor]] = {"model": [], self.baseline: []}
        for t, step in enumerate(transitions(world, start, actions, None, actions.shape[1])):
            realised = films[:, t + 1, -1, CARS]
            for name, image in (("model", step.following["image"][:, -1, CARS]), (self.baseline, still)):
                found[name].append(1000 * (image - realised).square().mean())
        return {name: torch.stack(values) for name, values in found.items()}

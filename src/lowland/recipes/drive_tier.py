"""What the recipe `drive` sees: the state of the nearest cars, or images. All that differs between the two is here.

Shape letters: B samples, T steps, P frames of context, C channels, H and W rows and columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from lowland.domains import Box
from lowland.envs.films import Films
from lowland.envs.picture import Camera
from lowland.nn.convolutional import FilmEyes
from lowland.nn.scene import SceneEncoder
from lowland.planning.policies import Policy
from lowland.recipes.drive_logs import Logs
from lowland.shaping.base import Batch
from lowland.tensors import map_value, select
from lowland.training.samples import Lazy
from lowland.worlds.base import State, World
from lowland.worlds.convolutional import ConvolutionalPosterior, ConvolutionalWorld
from lowland.worlds.driving_costs import CARS, DrivingCost, PixelDrivingCost
from lowland.worlds.ego import EgoWorld
from lowland.worlds.rollout import at, rollout
from lowland.worlds.traffic import TrafficWorld

if TYPE_CHECKING:
    from lowland.recipes.drive import DriveRecipe

_ACTIONS = Box(2, low=-1.0, high=1.0)
_SHOWN = 200


def _spaced(total: int, count: int) -> Tensor:
    """Up to `count` numbers below `total`, evenly spaced."""
    return torch.linspace(0, total - 1, min(count, total)).round().long()


class VectorTier:
    """The own car and its nearest neighbours, as numbers.

    Attributes:
        sight: what a `Replay` needs to know of it.
        note: in the header of weights, so that those of the other tier are not taken for these.
        cost: C of a state.
        clips: of the gradients of models and of policies.
        told, error, baseline: on the page: what a model foresees, how its error is measured and what it must beat.
    """

    clips = (100.0, 5.0)
    told = "A model sees the own car and the nearest others, and tells where they will be."
    error, baseline = "mean distance of other cars, m", "constant velocity"

    def __init__(self, options: DriveRecipe) -> None:
        self.options, self.cost = options, DrivingCost()
        self.sight: dict[str, Any] = {"every": options.every}
        self.note = {"images": ""}

    def world(self, latent: bool, generator: torch.Generator) -> World:
        """A forward model that has learned nothing yet."""
        options = self.options
        latents = 2 * options.cars if latent else 0
        return TrafficWorld(options.dt, latents, options.cars, options.hidden, generator=generator)

    def posterior(self, world: World, generator: torch.Generator) -> nn.Module:
        """What tells the latents of a world while it is trained."""
        assert isinstance(world, TrafficWorld)
        return world.posterior(generator)

    def policy(self, gaussian: bool, generator: torch.Generator) -> Policy:
        """A policy that has learned nothing yet."""
        eyes = SceneEncoder(64, generator)
        return Policy(eyes, eyes.size, _ACTIONS, (128, 128), gaussian=gaussian, generator=generator)

    def pieces(self, logs: Logs, count: int, steps: int, generator: torch.Generator) -> dict[str, Any]:
        """Up to `count` pieces of the training recordings, of `steps` steps each."""
        return logs.pieces(count, steps, generator)

    def unseen(self, logs: Logs, steps: int) -> dict[str, Any]:
        """`states` (B, T + 1, …) and `actions` (B, T, 2) of held-out recordings."""
        return logs.unseen(steps)

    def few(self, pieces: dict[str, Any], count: int) -> tuple[State, Tensor]:
        """The first states of some pieces of all recordings, and their actions."""
        rows = _spaced(len(pieces["actions"]), count)
        return select(at(pieces["states"], 0), rows), pieces["actions"][rows]

    def trips(self, pieces: dict[str, Any], steps: int) -> Any:
        """Data for `ForwardTraining`: a first state with actions, and the states that followed."""
        following = {name: tensor[:, 1 : steps + 1] for name, tensor in pieces["states"].items()}
        return {"state": at(pieces["states"], 0), "actions": pieces["actions"][:, :steps]}, following

    def starts(self, pieces: dict[str, Any], expert: int) -> Any:
        """Data for `ThroughTheModel`: first states, with the next `expert` actions of the log if that is not 0."""
        return Batch(pieces["actions"][:, :expert] if expert else None, at(pieces["states"], 0))

    def moments(self, pieces: dict[str, Any]) -> tuple[Any, int]:
        """Data for `Imitation`: every state of the pieces with its action, and how many there are."""
        actions = pieces["actions"].flatten(0, 1)
        return ({name: part[:, :-1].flatten(0, 1) for name, part in pieces["states"].items()}, actions), len(actions)

    @torch.no_grad()
    def errors(self, world: World, unseen: Mapping[str, Any]) -> dict[str, Tensor]:
        """Mean distance between the others and where they are expected at each step, and as if they went on evenly."""
        states, actions = unseen["states"], unseen["actions"]
        start = at(states, 0)
        imagined = rollout(world, start, actions, None, actions.shape[1]).states
        seconds = self.options.dt * torch.arange(1, actions.shape[1] + 1, device=actions.device)
        even = start["cars"][:, None, :, :2] + seconds[:, None, None] * start["cars"][:, None, :, 2:]
        there, true = states["present"][:, 1:], states["cars"][:, 1:, :, :2]

        def away(places: Tensor) -> Tensor:
            return ((places - true).norm(dim=-1) * there).sum(dim=(0, 2)) / there.sum(dim=(0, 2))

        still = start["cars"][:, None, :, :2].expand_as(true)
        return {"model": away(imagined["cars"][..., :2]), self.baseline: away(even), "standing still": away(still)}


class ImageTier:
    """Films of what is around the own car, as in Henaff, Canziani & LeCun (2019); attributes as of `VectorTier`."""

    clips = (5.0, 50.0)
    told = "A model sees images of what is around the own car, and tells the next ones."
    error, baseline = "squared error of other cars in the image, times 1,000", "copy of the last frame"

    def __init__(self, options: DriveRecipe) -> None:
        self.options, self.cost = options, PixelDrivingCost(by_place=options.ego)
        height, width = self.size = options.image[0], options.image[1]
        self.sight: dict[str, Any] = {"every": options.every, "image": self.size, "history": options.frames}
        known = ", the own car moved by its kinematics" if options.ego else ""
        self.note = {"images": f"of {height} × {width}, {options.frames} of them {options.dt:.1f} s apart{known}"}

    def world(self, latent: bool, generator: torch.Generator) -> World:
        options, frames = self.options, self.options.frames
        shared: dict[str, Any] = {
            "latents": options.latents if latent else 0, "maps": options.maps, "generator": generator
        }  # fmt: skip
        if options.ego:
            return EgoWorld(self.size, frames, dt=options.dt, **shared)
        own, decoder, hidden = (frames, 5), options.decoder, options.hidden
        return ConvolutionalWorld(self.size, frames, own=own, decoder=decoder, hidden=hidden, **shared)

    def posterior(self, world: World, generator: torch.Generator) -> nn.Module:
        assert isinstance(world, ConvolutionalWorld)
        return ConvolutionalPosterior(world, self.options.hidden, generator)

    def policy(self, gaussian: bool, generator: torch.Generator) -> Policy:
        options = self.options
        through = not options.ego  # where the own place tells what an action does, images need not
        eyes = FilmEyes(options.frames, 3, self.size, options.maps, options.hidden, generator, through)
        hidden = (options.hidden,) * 3
        return Policy(eyes, eyes.size, _ACTIONS, hidden, gaussian=gaussian, generator=generator)

    def pieces(self, logs: Logs, count: int, steps: int, generator: torch.Generator) -> Films:
        options = self.options
        before = (options.frames - 1) * options.every
        starts = logs.starts(count, steps, generator, before=before, device="cpu")
        return Films(starts, Camera(*self.size), options.frames, steps, options.device)

    def unseen(self, logs: Logs, steps: int) -> dict[str, Any]:
        options, generator = self.options, torch.Generator().manual_seed(0)
        starts = logs.starts(
            _SHOWN, steps, generator, "held", before=(options.frames - 1) * options.every, device="cpu"
        )
        films = Films(starts, Camera(*self.size), options.frames, steps, options.device)
        return {
            "states": films.states(torch.arange(len(films)), steps=steps),
            "actions": films.actions.to(options.device),
        }

    def few(self, pieces: Films, count: int) -> tuple[State, Tensor]:
        rows = _spaced(len(pieces), count)
        return at(pieces.states(rows), 0), pieces.actions[rows].to(self.options.device)

    def trips(self, pieces: Films, steps: int) -> Lazy:
        def draw(rows: Tensor) -> Batch:
            states = pieces.states(rows, steps=steps)
            actions = pieces.actions[rows, :steps].to(self.options.device)
            return Batch(map_value(lambda t: t[:, 1:], states), {"state": at(states, 0), "actions": actions})

        return Lazy(len(pieces), draw)

    def starts(self, pieces: Films, expert: int) -> Lazy:
        def draw(rows: Tensor) -> Batch:
            return Batch(pieces.actions[rows, :expert] if expert else None, at(pieces.states(rows), 0))

        return Lazy(len(pieces), draw)

    def moments(self, pieces: Films) -> tuple[Lazy, int]:
        count = len(pieces) * pieces.steps

        def draw(rows: Tensor) -> Batch:
            piece, step = rows // pieces.steps, rows % pieces.steps
            return Batch(pieces.actions[piece, step], at(pieces.states(piece, step), 0))

        return Lazy(count, draw), count

    @torch.no_grad()
    def errors(self, world: World, unseen: Mapping[str, Any]) -> dict[str, Tensor]:
        """Squared error of the channel of other cars at each step, of the model and as if nothing moved."""
        actions, films = unseen["actions"], unseen["states"]["image"]
        state, still = at(unseen["states"], 0), films[:, 0, -1, CARS]
        found: dict[str, list[Tensor]] = {"model": [], self.baseline: []}
        for t in range(actions.shape[1]):
            state, true = world.step(state, actions[:, t]), films[:, t + 1, -1, CARS]
            for name, image in (("model", state["image"][:, -1, CARS]), (self.baseline, still)):
                found[name].append(1000 * (image - true).square().mean())
        return {name: torch.stack(values) for name, values in found.items()}

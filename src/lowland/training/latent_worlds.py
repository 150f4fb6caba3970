"""How latent worlds are learned from a log of images and actions, and worlds with codes of other kinds.

Shape letters: B samples, T steps, C channels, H and W rows and columns, D size of a code, A of an action.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.data.frame import as_image
from lowland.data.gym_log import GymLog
from lowland.energies.autoencoder import Autoencoder
from lowland.errors import OptionError
from lowland.nn.convolutional import as_real
from lowland.shaping.base import Batch
from lowland.shaping.regularised.minimum_energy import MinimumEnergy
from lowland.training.bounds import Bound, Count, NotNegative, Positive
from lowland.training.clips import clips
from lowland.training.fit import FitResult, fit
from lowland.training.samples import Lazy
from lowland.training.schedules import warm_cosine
from lowland.worlds.base import State
from lowland.worlds.forward import ForwardModel, windows
from lowland.worlds.forward_training import ForwardTraining, Posterior
from lowland.worlds.latent import LatentWorld
from lowland.worlds.latent_actions import LatentActions
from lowland.worlds.latent_training import LatentTraining
from lowland.worlds.vector import VectorWorld

_AT_ONCE, _SIDE = 512, 8


@dataclass(frozen=True)
class LatentOptions:
    """Options of a `LatentWorld`, and how it is learned from a log of images and actions by `LatentTraining`."""

    code: Count = 32
    """D, numbers of a code."""
    between: Annotated[int, Bound(least=0)] = 0
    """Of these, numbers that must vary over all episodes; the others must vary within each."""
    hidden: Count = 128
    """Units of a layer of the predictor."""
    scene: Annotated[int, Bound(least=0)] = 0
    """Numbers of each place of the first image in which the predictor looks up what stands in the way; 0 for none."""
    updates: Count = 4000
    """Updates of a world, on 64 clips each."""
    clip: Count = 8
    """Steps of a clip, over which the prediction is unrolled."""
    rate: Positive = 0.002
    """Highest learning rate."""
    variance: NotNegative = 1.0
    """Weight of the variance term, of codes less the mean of their episode."""
    covariance: NotNegative = 1.0
    """Weight of the covariance term."""
    change: NotNegative = 0.3
    """Weight of the change from one code to the next."""
    inverse: NotNegative = 1.0
    """Weight of the inverse dynamics."""

    def new_world(
        self, log: GymLog, generator: torch.Generator, encoder: nn.Module | None = None, size: int | None = None
    ) -> LatentWorld:
        """A world for the images and actions of a log, not trained yet; with an encoder of codes of another size."""
        height, width, channels = log.shape
        actions = log.paths[0]["actions"].shape[1]
        return LatentWorld(
            (channels, height, width), size or self.code, actions=actions, hidden=self.hidden, scene=self.scene,
            generator=generator, encoder=encoder,
        )  # fmt: skip

    def check_clip(self, steps: int) -> None:
        """Raise an OptionError unless episodes of so many steps hold a clip."""
        if self.clip > steps:
            raise OptionError(f"clip must be at most steps, {steps}, but it is {self.clip}.")

    @property
    def weights(self) -> tuple[float, float, float, float]:
        """Of variance, covariance, change and inverse dynamics."""
        return self.variance, self.covariance, self.change, self.inverse

    def fit_world(
        self,
        world: LatentWorld,
        log: GymLog,
        generator: torch.Generator,
        seed: int = 0,
        weights: tuple[float, float, float, float] | None = None,
        updates: int | None = None,
    ) -> FitResult:
        """Train a world in place.

        Args:
            world: of `new_world`, or with another encoder.
            log: images and actions.
            generator: draws the weights of the inverse dynamics.
            seed: of the order of the data.
            weights: in place of the options. For an encoder that learns nothing, such as `PixelCode`, all can be 0.
            updates: in place of the option.
        """
        data = clips(log, self.clip)
        x = data.draw(torch.zeros(1, dtype=torch.int64)).x
        energy = ForwardModel(world, x["state"], self.clip)
        terms = weights or self.weights
        between = self.between if any(terms) else 0  # without terms there is nothing to vary
        shaping = LatentTraining(
            world.size, x["actions"].shape[2], between, *terms, seed=seed, generator=generator
        )  # fmt: skip
        return _fit(energy, data, shaping, updates or self.updates, 64, self.rate, seed)


@dataclass(frozen=True)
class LevelOptions(LatentOptions):
    """Options of worlds and plans on two levels, see `fit_upper` and `lowland.planning.Hierarchy`."""

    code: Count = 16
    """D, numbers of a code."""
    between: Annotated[int, Bound(least=0)] = 16
    """Of these, numbers that must vary over all episodes: within one, little of a large place is seen, and codes of
    the rest may be the same."""
    change: NotNegative = 5.0
    """Weight of the change from one code to the next."""
    updates: Count = 3000
    """Updates of the lower world, on 64 clips each."""
    stride: Count = 8
    """k, steps of the log for one step of the upper world."""
    latents: Count = 4
    """Numbers of z, the action of the upper world."""
    upper_hidden: Count = 256
    """Units of a layer of the upper predictor."""
    upper_steps: Count = 3
    """Upper steps over which its prediction is unrolled in training."""
    upper_updates: Count = 3000
    """Updates of the upper world, on 256 segments each."""
    kl: NotNegative = 0.05
    """Weight of the divergence of the latents from N(0, I)."""
    likely: NotNegative = 0.1
    """ρ, weight of ‖z‖² in an upper plan."""
    upper_horizon: Count = 10
    """Upper steps of a plan."""
    lower_horizon: Count = 10
    """Steps of the plan to where the upper one wants to be."""
    flat: tuple[Annotated[int, Bound(least=1)], ...] = (16, 32, 48)
    """Horizons of the flat plans to compare with."""
    calls: Annotated[int, Bound(least=16)] = 2560
    """Steps of a model for one action: half of them for each level, or all for the flat plan."""
    plan_steps: Count = 2
    """Steps of the solver, MPPI, for each action."""
    upper_plan_steps: Count = 4
    """Steps of the solver for each upper plan."""

    def check_steps(self, steps: int) -> None:
        """Raise an OptionError unless episodes of so many steps hold a clip, and the steps of the upper world."""
        self.check_clip(steps)
        if self.stride * self.upper_steps > steps:
            raise OptionError(
                f"An episode of {steps} steps does not hold {self.upper_steps} upper steps of {self.stride}: shorten "
                "stride or upper_steps, or lengthen steps."
            )


@torch.no_grad()
def encoded(world: LatentWorld, log: GymLog) -> list[State]:
    """The episodes of a log as codes: {"observation": (T + 1, D), "actions": (T, A)} each."""
    frames = torch.cat([path["observation"] for path in log.paths])
    codes = torch.cat([world.encoder(as_image(part)) for part in frames.split(_AT_ONCE)])
    parts = codes.split([len(path["observation"]) for path in log.paths])
    return [
        {"observation": part, "actions": path["actions"]} for part, path in zip(parts, log.paths, strict=True)
    ]  # fmt: skip


def fit_predictor(world: LatentWorld, log: GymLog, steps: int, updates: int, seed: int = 0) -> FitResult:
    """Train the predictor of a world alone, in place, on the codes of its encoder as it is.

    Args:
        world: with any encoder.
        log: images and actions.
        steps: T, over which the prediction is unrolled.
        updates: number of updates, on up to 256 segments each.
        seed: of the order of the data.
    """
    x, y = windows(encoded(world, log), steps)
    energy = ForwardModel(world.predictor, x["state"], steps)
    return _fit(energy, (x, y), ForwardTraining(seed=seed), updates, 256, 2e-3, seed)


class PixelCode(nn.Module):
    """Images (B, C, H, W) as codes (B, C · S²): nothing but the pixels, averaged to S × S.

    >>> PixelCode(8)(torch.ones(3, 2, 32, 32)).shape
    torch.Size([3, 128])
    """

    def __init__(self, side: int = 8) -> None:
        super().__init__()
        self.side = side

    def forward(self, image: Tensor) -> Tensor:
        real = image if image.is_floating_point() else image.float() / 255
        return functional.adaptive_avg_pool2d(real, self.side).flatten(1)


class AutoCode(nn.Module):
    """Images (B, C, H, W) as codes (B, D) of an auto-encoder, which must tell all pixels, and nothing of actions.

    Args:
        shape: (C, H, W).
        size: D.
        generator: draws the weights.

    >>> AutoCode((2, 16, 16), 8)(torch.ones(3, 2, 16, 16)).shape
    torch.Size([3, 8])
    """

    def __init__(self, shape: tuple[int, int, int], size: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.energy = Autoencoder(shape[0] * shape[1] * shape[2], size, (256,), generator=generator)

    def forward(self, image: Tensor) -> Tensor:
        return self.energy.code(as_real(image, self).flatten(1))

    def fit(self, log: GymLog, updates: int, seed: int = 0) -> FitResult:
        """Train in place on the images of a log, 256 in an update."""
        frames = torch.cat([path["observation"] for path in log.paths])
        data = Lazy(len(frames), lambda rows: Batch(as_image(frames[rows]).flatten(1)), at_once=256)
        return _fit(self.energy, data, MinimumEnergy(), updates, 256, 1e-3, seed)


def compared_world(
    kind: Literal["auto-encoder", "pixels"], options: LatentOptions, log: GymLog, generator: torch.Generator
) -> LatentWorld:
    """A world to compare with, not trained yet: in the codes of an auto-encoder, or in pixels averaged to 8 × 8.

    >>> from lowland.envs.two_rooms import fixed_rooms, record_rooms
    >>> log = record_rooms(fixed_rooms, episodes=2, steps=4, size=16)
    >>> compared_world("pixels", LatentOptions(hidden=8), log, torch.Generator()).size
    128
    """
    height, width, channels = log.shape
    if kind == "auto-encoder":
        return options.new_world(log, generator, AutoCode((channels, height, width), options.code, generator))
    return options.new_world(log, generator, PixelCode(_SIDE), channels * _SIDE**2)


def fit_compared(
    world: LatentWorld, options: LatentOptions, log: GymLog, generator: torch.Generator, updates: int, seed: int = 0
) -> None:
    """Train a `compared_world` in place: an auto-encoder and then the predictor of its codes, or that of pixels."""
    if isinstance(world.encoder, AutoCode):
        world.encoder.fit(log, updates, seed)
        fit_predictor(world, log, options.clip, updates, seed)
    else:
        options.fit_world(world, log, generator, seed, (0.0, 0.0, 0.0, 0.0), updates)


def _fit(energy: Any, data: Any, shaping: Any, updates: int, batch: int, rate: float, seed: int) -> FitResult:
    count = min(batch, data.count if isinstance(data, Lazy) else len(data[0]["actions"]))
    return fit(
        energy, data, shaping, updates, count, rate, schedule=partial(warm_cosine, updates), seed=seed, clip=5.0,
        validation=0.0, progress=False, log_every=max(1, updates // 60),
    )  # fmt: skip


def upper_world(world: LatentWorld, latents: int, hidden: int, generator: torch.Generator) -> LatentWorld:
    """A world above another: the same encoder, and a predictor whose actions are Z latents, not trained yet.

    >>> upper = upper_world(LatentWorld((2, 16, 16), size=8), 3, 16, torch.Generator())
    >>> upper.step({"code": torch.zeros(5, 8)}, torch.zeros(5, 3))["code"].shape
    torch.Size([5, 8])
    """
    predictor = LatentActions(VectorWorld(world.size, 1, latents, hidden, generator=generator))
    return LatentWorld(world.shape, world.size, encoder=world.encoder, predictor=predictor)


def fit_upper(world: LatentWorld, log: GymLog, stride: int, steps: int, updates: int, kl: float, seed: int = 0) -> None:
    """Train the predictor of an upper level in place, whose actions are latents and whose step is k steps of the log.

    The energy is that of a `ForwardModel`, shaped by `ForwardTraining`: what happens in k steps is predicted from the
    code before and a latent z, which a posterior network reads off the codes before and after, kept near N(0, I).

    Args:
        world: whose predictor is a `LatentActions`.
        log: images; its actions are not used.
        stride: k.
        steps: T, upper steps over which the prediction is unrolled.
        updates: number of updates, on up to 256 segments each.
        kl: weight of the divergence of the posterior from N(0, I).
        seed: of weights, latents and the order of the data.
    """
    assert isinstance(world.predictor, LatentActions)
    inner = world.predictor.world
    paths = [
        {"observation": part, "actions": part.new_zeros(len(part) - 1, inner.actions.size)}
        for path in encoded(world, log)
        for part in (path["observation"][first::stride] for first in range(stride))
    ]
    x, y = windows(paths, steps)
    size = x["state"]["observation"].shape[1]
    drawn = torch.Generator().manual_seed(seed)
    posterior = Posterior(size, inner.actions.size, inner.latents, generator=drawn)
    energy, shaping = ForwardModel(inner, x["state"], steps), ForwardTraining(posterior, kl, z_dropout=0.0, seed=seed)
    _fit(energy, (x, y), shaping, updates, 256, 2e-3, seed)

"""What recipes of driving share: options of logs and forward models, how a model is trained, how a log is shown."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple

from torch import nn

from lowland.envs.episodes import Logs, read_logs
from lowland.errors import OptionError
from lowland.planning.policies import Policy
from lowland.planning.policy_files import SHIPPED
from lowland.planning.policy_methods import DETERMINISTIC, DROPPED
from lowland.recipes.base import Bound, Count, Positive, train
from lowland.recipes.log_options import LogOptions, show_faults
from lowland.reports.run import Run
from lowland.shaping.base import Shaping
from lowland.training.export import export_safetensors, import_safetensors
from lowland.training.observation import ImageObservation, VectorObservation
from lowland.words import verbatim
from lowland.worlds.base import World
from lowland.worlds.forward import ForwardModel
from lowland.worlds.forward_training import ForwardTraining

SMALL: dict[str, Any] = {
    "windows": 120, "model_steps": 2, "model_horizon": 3, "batch": 8, "episodes": 6, "recordings": 1
}  # fmt: skip
"""What the smoke presets change of `DriveOptions`."""


class Trained(NamedTuple):
    """A trained forward model, and the posterior of its latents; None where it has none, or none was kept."""

    world: World
    posterior: nn.Module | None


@dataclass(frozen=True)
class DriveOptions(LogOptions):
    """Logs, forward models, and the test."""

    tracks: str = ""
    """A log of your own: CSV, NGSIM text, CommonRoad XML or SUMO floating-car data. None: simulated traffic."""
    models: str = ""
    """Folder of trained models to use, such as RUN/checkpoints; `shipped`: those of the package. None: train them."""
    recordings: Annotated[int, Bound(least=0)] = 0
    """Simulated training recordings to learn from; 0 for all. A log of your own is one recording."""
    windows: int = 24000
    """Segments of the log to learn from."""
    model_steps: Count = 1500
    """Updates of each forward model."""
    model_horizon: Count = 15
    """Steps of 0.2 s that a model is unrolled for while it is trained."""
    model_rate: Positive = 0.01
    """Learning rate of the forward models; it falls linearly to zero."""
    hidden: Count = 64
    """Units of the hidden layers of the forward models."""
    batch: Count = 64
    """Segments of the log in an update of a model."""
    rate: Positive = 0.001
    """Learning rate of the policies."""
    cars: Count = 10
    """Other cars that a state holds."""
    episodes: Count = 500
    """Test episodes at most, evenly spaced in the test recordings."""

    files: ClassVar[tuple[str, ...]] = ("tracks", "models")

    def __post_init__(self) -> None:
        super().__post_init__()
        self.need_log(self.tracks, "--tracks")
        if self.windows < self.batch:
            raise OptionError(f"windows must be at least the batch, {self.batch}, but it is {self.windows}.")
        if self.models not in ("", "shipped"):
            if not Path(self.models).is_dir():
                raise OptionError(
                    f"There is no folder {self.models} with models: name the checkpoints of an earlier run."
                )
            # The new run is the latest as soon as it begins, so that RUN/latest would change its meaning.
            object.__setattr__(self, "models", os.path.realpath(self.models))

    @property
    def observation(self) -> VectorObservation | ImageObservation:
        """What the driver sees, with the models and policies for it."""
        return VectorObservation(cars=self.cars, hidden=self.hidden)

    def logs(self, run: Run) -> Logs:
        """The log that is learned from and driven in; the page says where simulated traffic stands in for it."""
        logs = read_logs(
            self.tracks, self.cars, self.device, self.recordings, self.observation.replay, reading=self.reading
        )
        if not self.tracks:
            run.stand_in(
                "Simulated traffic stands in for the recordings of the freeway I-80 that the published figures are of."
            )
        return logs

    def world(
        self,
        run: Run,
        kind: str,
        segments: Any,
        seed: int,
        *,
        kl: float = 0.0,
        start: World | None = None,
        member: int = 0,
        label: str = "",
    ) -> Trained:
        """A trained forward model, with the posterior that it was trained with.

        Args:
            run: whose stage this is; the model of the first seed is kept in its checkpoints.
            kind: one of `planning.policy_methods.WORLDS`.
            segments: of the log, to learn from.
            seed: of weights and data order.
            kl: β, the weight of the KL term.
            start: the model that it goes on from: in the paper stochastic models do from the deterministic one.
            member: number in an ensemble; only the first is kept.
            label: ends the name of the stage, where the segments are not the usual ones.
        """
        own = seed + 1000 * member
        world = self.observation.world(kind != DETERMINISTIC, self.generator(10 * own)).to(self.device)
        if start is not None:
            world.load_state_dict(start.state_dict(), strict=False)
        learn = partial(self._train_world, kind, world, segments, own, kl)
        if self.models:
            learn = partial(self.read, f"world-{kind}", world)
        found = run.stage(f"seed-{seed}/model/{kind}{f'-{member + 1}' if member else ''}{label}", learn, [world])
        if seed == 0 and not member:
            export_safetensors(world, run.checkpoints / f"world-{kind}.safetensors", self.observation.note)
        posterior = None
        if "posterior" in found:  # the stages of earlier versions lack it
            posterior = self._posterior(world, own).to(self.device)
            posterior.load_state_dict(found["posterior"])
        return Trained(world.eval(), posterior)

    def _posterior(self, world: World, seed: int) -> nn.Module:
        """An untrained posterior of a model with latents."""
        return self.observation.posterior(world, self.generator(10 * seed + 1))

    def _train_world(self, kind: str, world: World, segments: Any, seed: int, kl: float) -> dict[str, Any]:
        observation, steps = self.observation, self.model_horizon
        energy = ForwardModel(world, observation.examples(segments, 1)[0], steps).to(self.device)
        posterior = self._posterior(world, seed) if world.latents else None
        shaping = ForwardTraining(posterior, kl, 0.5 if kind == DROPPED else 0.0, seed=seed).to(self.device)
        found = learned(
            energy, observation.trajectories(segments, steps), shaping, self.model_steps, seed,
            batch_size=min(self.batch, len(segments["actions"]) if isinstance(segments, dict) else len(segments)),
            lr=self.model_rate, clip=observation.clips[0],
        )  # fmt: skip
        return found | ({"posterior": posterior.state_dict()} if posterior is not None else {})

    def read(self, name: str, module: nn.Module) -> dict[str, Any]:
        """Trained weights in place of training; nothing is known of how they were learned."""
        folder = SHIPPED if self.models == "shipped" else Path(self.models)
        import_safetensors(module, folder / f"{name}.safetensors", self.observation.note)
        return {"curves": {}}

    def new_policy(self, gaussian: bool, seed: int) -> Policy:
        """A policy that has learned nothing yet."""
        policy = self.observation.policy(gaussian, self.generator(10 * seed + 2)).to(self.device)
        policy.observation = self.observation.replay | {"cars": self.cars}
        return policy


def learned(energy: Any, data: Any, shaping: Shaping, steps: int, seed: int, **options: Any) -> dict[str, Any]:
    """Train; the curves of the training, by name, with about a hundred points each."""
    return {"curves": train(energy, data, shaping, steps, seed=seed, log_every=max(1, steps // 100), **options).curves}


def show_log(run: Run, logs: Logs, options: DriveOptions) -> None:
    """What a page says of a log of the user's: `reading`, how it was understood, and a table of its `faults`."""
    where = "own log, cars held out" if options.tracks else "simulated traffic, held-out simulations"
    run.show(reading=verbatim(logs.reading, 0), data=where, own_log=bool(options.tracks))
    show_faults(run, logs.faults)

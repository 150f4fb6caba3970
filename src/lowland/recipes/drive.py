"""Driving learned from logs alone (rows W1, W4–W9): logs → forward models → policies → a test in held-out traffic."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from lowland.envs.drivers import sanity_drivers
from lowland.envs.episodes import Episodes, read_logs, recordings
from lowland.envs.replay import Policy as Driver
from lowland.errors import OptionError
from lowland.evaluation.exploitation import exploitation
from lowland.evaluation.success import recovered
from lowland.planning.backprop_through_model import BackpropThroughModel
from lowland.planning.energy import PlanEnergy
from lowland.planning.policies import Imitation, Policy
from lowland.planning.policy_files import PREFIX, SHIPPED, save_policy
from lowland.recipes.base import falling, recipe
from lowland.recipes.drive_methods import (
    CLAIMS,
    DETERMINISTIC,
    DISTANCE,
    DRIVERS,
    DROPPED,
    METHODS,
    MPUR,
    SUCCESS,
    WORLDS,
    Method,
)
from lowland.recipes.drive_options import SMALL, DriveOptions, PolicyOptions, model_folder
from lowland.recipes.drive_page import model_errors, rates, write_page
from lowland.reports.run import Run
from lowland.shaping.regularised.minimum_energy import MinimumEnergy
from lowland.tensors import PerSampleRNG
from lowland.training.export import export_safetensors, import_safetensors
from lowland.training.fit import fit
from lowland.training.observation import ImageObservation, VectorObservation
from lowland.worlds.base import World
from lowland.worlds.forward import ForwardModel
from lowland.worlds.forward_training import ForwardTraining
from lowland.worlds.uncertainty import usual_spread

Outcomes = list[dict[str, Any]]


@recipe(
    "drive",
    shows="From logs of traffic alone a model of what the others do is learned, and through it a policy, by the "
    "gradient of what driving costs and of how unsure the model is. It is tested in traffic that neither has seen.",
    rows=("W1", "W4", "W5", "W6", "W7", "W8", "W9"),
    minutes=40,
    title="Driving learned from logs alone",
)
@dataclass(frozen=True)
class DriveRecipe(PolicyOptions):
    """E(s, a) = mean over futures of Σ_t γᵗ [C(s[t+1]) + λ U(s[t], a[t])], and a policy that lowers it."""

    models: str = ""
    """Folder of trained models to drive with, such as RUN/checkpoints; `shipped`: those of the package. None: train."""
    methods: tuple[str, ...] = tuple(method.name for method in METHODS)
    """Policies to train; no action, human replay, constant speed and IDM are always there."""
    imitation_steps: int = 4000
    """Updates of imitation, of 128 states each."""
    horizon: int = 15
    """Actions, 0.2 s apart by default, that a policy is rolled out for while it is trained: 3 s, as in the paper."""
    expert: float = 1.0
    """μ, the weight of the expert's actions in MPER."""
    film: float = 30.0
    """Longest film in seconds."""
    real: bool = True
    """Also drive in the real US-101 recordings, where they are at hand or can be got."""
    image: tuple[int, ...] = ()
    """Height and width of the images that are seen, as in the paper. None: the nearest cars, as numbers."""
    every: int = 2
    """Frames of the log, 0.1 s apart, for one action; the paper has 1."""
    frames: int = 4
    """Images that a model and a policy look at, one action apart."""
    maps: tuple[int, ...] = (16, 32, 48)
    """Feature maps of the three stages of a model of images, and of the eyes of its policies."""
    latents: int = 8
    """Size of the latent of a model of images."""
    decoder: str = "warp"
    """How a model of images makes the next one: `warp` of the last, or `additive` to it, as in the paper."""
    ego: bool = False
    """With images, move the own car by its known kinematics, always with `warp`; False: predict it, as in the paper."""

    files: ClassVar[tuple[str, ...]] = ("tracks", "models")
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "demo": {"models": "shipped", "methods": ("imitation", "VG", "MPUR z-dropout"), "episodes": 300, "real": False},
        "smoke": SMALL
        | {
            "methods": ("imitation", "VG", "MPUR z-dropout"), "imitation_steps": 5, "policy_steps": 2, "horizon": 3,
            "masks": 2, "real": False, "film": 0.1,
        },
        # About 80 minutes of one core: 30 for the models, 30 for MPUR, 6 each for VG and SVG. A new policy is 4.7
        # deviations less sure of its images than the log, so that more weight on that leaves little to the cost.
        "pixels": {
            "image": (64, 16), "ego": True, "imitation_steps": 1500,
            "methods": ("imitation", "VG", "SVG", "MPUR z-dropout"),
            "model_steps": 2000, "model_horizon": 10, "horizon": 12, "batch": 16, "policy_batch": 16, "masks": 4,
            "model_rate": 0.002, "kl": 1e-4, "uncertainty": 0.05,
        },
        "gpu": {
            "image": (117, 24), "every": 1, "frames": 20, "maps": (64, 128, 256), "hidden": 256, "latents": 32,
            "decoder": "additive", "horizon": 30, "model_horizon": 20, "model_steps": 20000, "policy_steps": 5000,
            "policy_batch": 64, "model_rate": 1e-4, "rate": 1e-4, "kl": 1e-6, "seeds": 3,
        },
    }  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.imitation_steps, self.horizon) < 1 or not self.expert >= 0 or not self.film > 0:
            raise OptionError("imitation_steps and horizon must be at least 1, expert not negative and film positive.")
        if self.image and (len(self.image) != 2 or min(*self.image, self.frames, self.latents, *self.maps) < 1):
            raise OptionError("image must be a height and a width, and frames, latents and maps at least 1.")
        if not self.image:
            plain = {field.name: field.default for field in dataclasses.fields(self)}
            for name in ("frames", "maps", "latents", "decoder", "ego"):
                if getattr(self, name) != plain[name]:
                    raise OptionError(f"{name} is an option of models of images: set image too, such as 64 16.")
        if self.ego and self.decoder != "warp":
            raise OptionError("With ego the next image is a warp of the last one: leave decoder out.")
        if self.every < 1:
            raise OptionError("every must be at least 1 frame.")
        if self.models and self.seeds > 1:
            raise OptionError("There is one set of trained models: leave out models, or set seeds to 1.")
        # The new run is the latest as soon as it begins.
        object.__setattr__(self, "models", model_folder(self.models))
        known = {method.name for method in METHODS}
        if unknown := set(self.methods) - known:
            raise OptionError(
                f"There is no method called {sorted(unknown)[0]!r}: choose from {', '.join(sorted(known))}."
            )

    def run(self, run: Run) -> None:
        methods = [method for method in METHODS if method.name in self.methods]
        worlds = [name for name in WORLDS if any(method.world == name for method in methods)]
        if self.image and worlds and not self.models:
            worlds = list(dict.fromkeys([DETERMINISTIC, *worlds]))  # from which the others go on
        through = sum(bool(method.world) for method in methods)
        run.expect(len(DRIVERS) + self.seeds * (2 * len(worlds) + 2 * len(methods) + through))
        observation = self.observation
        logs = read_logs(self.tracks, self.cars, self.device, self.recordings, observation.replay, self.reading)
        if not self.tracks:
            run.stand_in(
                "Simulated traffic stands in for the recordings of the freeway I-80 that the published figures are of."
            )
        steps = max(self.model_horizon, self.horizon)
        segments = None if self.models else observation.segments(logs, self.windows, steps, self.generator())
        unseen = observation.unseen(logs, steps)
        episodes = [logs.episodes(self.episodes), recordings(self.real, self.cars, self.device, observation.replay)]
        found: dict[str, list[dict[str, Any]]] = {}
        for name, driver in sanity_drivers().items():
            found[name] = [run.stage(f"test/{name.replace(' ', '-')}", partial(drive, episodes, driver))]
        policies: dict[str, Policy] = {}
        errors: dict[str, dict[str, Tensor]] = {}
        for seed in range(self.seeds):
            models: dict[str, World] = {}
            for name in worlds:
                start = models.get(DETERMINISTIC) if self.image else None
                models[name] = self.world(run, name, segments, seed, start=start)
            checks = {
                name: run.stage(f"seed-{seed}/errors/{name}", partial(observation.errors, model, unseen))
                for name, model in models.items()
            }
            for method in methods:
                policy = self.policy(method, seed)
                learn = partial(self.learn, method, policy, models, segments, seed)
                short = method.name.replace(" ", "-")
                if self.models:
                    learn = partial(self._read, f"{PREFIX}{short}", policy)
                label = f"seed-{seed}/{short}"
                learned = run.stage(f"{label}/policy", learn, [policy])
                if seed == 0:
                    save_policy(policy, run.checkpoints / f"{PREFIX}{short}.safetensors", observation.note)
                outcome = run.stage(f"{label}/test", partial(drive, episodes, policy.eval()))
                outcome["learned"] = learned
                if method.world:
                    outcome["told"] = run.stage(
                        f"{label}/promises",
                        partial(
                            compare_costs, policy, models[method.world], episodes[0], unseen, self.horizon, self.masks,
                            observation.cost,
                        ),
                    )  # fmt: skip
                found.setdefault(method.name, []).append(outcome)
                policies.setdefault(method.name, policy)
            errors = errors or checks
        self._results(run, found)
        self._model_results(run, errors)
        run.part(write_page, self, found, policies, errors, logs, episodes)

    # Learning

    @property
    def observation(self) -> VectorObservation | ImageObservation:
        """What the driver sees, with the models and policies for it."""
        if not self.image:
            return VectorObservation(self.every, self.cars, self.hidden)
        height, width = self.image
        return ImageObservation(
            (height, width), self.every, self.frames, self.maps, self.latents, self.hidden, self.decoder, self.ego,
            self.device,
        )  # fmt: skip

    @property
    def dt(self) -> float:
        """Seconds from one action to the next."""
        return 0.1 * self.every

    def world(
        self, run: Run, kind: str, segments: Any, seed: int, label: str = "", start: World | None = None
    ) -> World:
        """A trained forward model of one of the `WORLDS`; those with a label of their own are not exported.

        With `start` it goes on from that one: in the paper stochastic models do from the deterministic one.
        """
        world = self.observation.world(kind != DETERMINISTIC, self.generator(10 * seed)).to(self.device)
        if start is not None:
            world.load_state_dict(start.state_dict(), strict=False)
        name = f"world-{kind}"
        learn = partial(self._read, name, world) if self.models else partial(self._model, kind, world, segments, seed)
        run.stage(f"seed-{seed}/model/{label or kind}", learn, [world])
        if seed == 0 and not label:
            export_safetensors(world, run.checkpoints / f"{name}.safetensors", self.observation.note)
        return world.eval()

    def _read(self, name: str, module: nn.Module) -> dict[str, Any]:
        """Trained weights in place of training; nothing is known of how they were learned."""
        folder = SHIPPED if self.models == "shipped" else Path(self.models)
        import_safetensors(module, folder / f"{name}.safetensors", self.observation.note)
        return {"curves": {}}

    def _model(self, kind: str, world: World, segments: Any, seed: int) -> dict[str, Any]:
        observation, steps = self.observation, self.model_horizon
        energy = ForwardModel(world, observation.examples(segments, 1)[0], steps).to(self.device)
        posterior = observation.posterior(world, self.generator(10 * seed + 1)) if world.latents else None
        shaping = ForwardTraining(posterior, self.kl, 0.5 if kind == DROPPED else 0.0, seed=seed).to(self.device)
        schedule = partial(falling, self.model_steps)
        result = fit(
            energy, observation.trajectories(segments, steps), shaping, self.model_steps, self.batch, self.model_rate,
            clip=observation.clips[0], schedule=schedule, validation=0.0, progress=False, seed=seed,
            log_every=_every(self.model_steps),
        )  # fmt: skip
        return {"curves": {name: list(curve.values) for name, curve in result.history.items()}}

    def policy(self, method: Method, seed: int) -> Policy:
        """A policy that has learned nothing yet."""
        policy = self.observation.policy(method.gaussian, self.generator(10 * seed + 2)).to(self.device)
        policy.observation = self.observation.replay | {"cars": self.cars}
        return policy

    def learn(
        self, method: Method, policy: Policy, models: Mapping[str, World], segments: Any, seed: int, seen: Any = None
    ) -> dict[str, Any]:
        """Train a policy by a method; the curves of its training. `seen`: segments that the models know, if not all."""
        observation, options = self.observation, {"validation": 0.0, "progress": False, "seed": seed}
        if not method.world:
            # Imitation learns from every state of the segments, not only from where the others start their roll-outs.
            (data, count), steps = observation.transitions(segments), self.imitation_steps
            result = fit(
                Imitation(policy), data, MinimumEnergy(), steps, min(128, count), self.rate,
                schedule=partial(falling, steps), log_every=_every(steps), **options,
            )  # fmt: skip
            return {"curves": {name: list(curve.values) for name, curve in result.history.items()}}
        plan = self._plan(method, models[method.world], segments if seen is None else seen)
        shaping = BackpropThroughModel(policy, self.expert if method.expert else 0.0, seed=seed).to(self.device)
        data = observation.starts(segments, self.horizon if method.expert else 0)
        result = fit(
            plan, data, shaping, self.policy_steps, self.policy_batch, self.rate, clip=observation.clips[1],
            schedule=partial(falling, self.policy_steps), log_every=_every(self.policy_steps), **options,
        )  # fmt: skip
        return {"curves": {name: list(curve.values) for name, curve in result.history.items()}}

    def _plan(self, method: Method, world: World, segments: Any) -> PlanEnergy:
        spread, weight = None, self.uncertainty if method.uncertainty else 0.0
        if weight:
            start, actions = self.observation.examples(segments, 512)
            # As in training, where each roll-out draws its future.
            noise = PerSampleRNG(0, torch.arange(len(actions), device=actions.device))
            z = world.prior(noise, self.horizon) if world.latents else None
            spread = usual_spread(world, start, actions[:, : self.horizon], z, self.masks)
        hinge = self.hinge if weight else None
        return PlanEnergy(
            world, self.observation.cost, self.horizon, weight, hinge, spread, self.masks, futures=1, discount=0.99
        ).to(self.device)

    # Testing

    def _results(self, run: Run, found: Mapping[str, list[dict[str, Any]]]) -> None:
        labels = {name: label for name, (label, _) in DRIVERS.items()}
        for part, data in (("test", self.data), ("real", "US-101, real recordings, never trained on")):
            for claim, unit, read in (
                ("success", SUCCESS, lambda row: 100.0 * row["success"]),
                ("mean distance, m", DISTANCE, lambda row: row["distance"]),
            ):
                for name, outcomes in found.items():
                    if not outcomes[0][part]:
                        continue
                    values = [statistics.fmean(read(row) for row in outcome[part]) for outcome in outcomes]
                    sd = statistics.stdev(values) if len(values) > 1 else None
                    known = self.published(CLAIMS[name], unit) if part == "test" else None
                    run.result(
                        id="W8" if part == "test" else "W9", claim=claim if part == "test" else f"{claim}, US-101",
                        method=labels.get(name, name), published=known,
                        measured=statistics.fmean(values), sd=sd, seeds=len(values),
                        data=f"{data}, {len(outcomes[0][part])} episodes",
                    )  # fmt: skip
        if MPUR.name in found:
            ours, best, worst = (float(rates(found[name]).mean()) for name in (MPUR.name, "human", "no action"))
            if best > worst:
                share = 100 * recovered(ours, worst, best)
                claim = "share of the gap between no action and human that is closed, %"
                run.result(id="W8", claim=claim, method=MPUR.name, measured=share, seeds=self.seeds, data=self.data)

    def _model_results(self, run: Run, errors: Mapping[str, Mapping[str, Tensor]]) -> None:
        for name, values in model_errors(self, errors).items():
            for step in sorted({0, len(values) // 2, len(values) - 1}):
                method = f"{name} (baseline)" if name == self.observation.baseline else name
                claim = f"{self.observation.error}, {self.dt * (step + 1):.1f} s ahead"
                run.result(id="W1", claim=claim, method=method, measured=float(values[step]), data=self.data)

    @property
    def data(self) -> str:
        """What the test is on, in words."""
        return "own log, cars held out" if self.tracks else "simulated traffic, held-out simulations"


def as_drive(options: DriveOptions, **changes: Any) -> DriveRecipe:
    """The recipe `drive` with the options that another one has, which borrows its models and policies."""
    known = {field.name for field in dataclasses.fields(DriveRecipe)}
    shared = {name: value for name, value in dataclasses.asdict(options).items() if name in known}
    return DriveRecipe(**shared | changes)


def compare_costs(*args: Any) -> dict[str, float]:
    """`exploitation`, by the names that the stages of a run keep."""
    found = exploitation(*args)
    return {
        "told": found.predicted, "true": found.realised,
        "unsure": found.uncertainty, "unsure_true": found.realised_uncertainty,
    }  # fmt: skip


def drive(episodes: Sequence[Sequence[Episodes]], driver: Driver) -> dict[str, Any]:
    """One row an episode, in held-out traffic and in real recordings."""
    parts = {}
    for part, several in zip(("test", "real"), episodes, strict=True):
        rows: Outcomes = []
        for number, (replay, numbers) in enumerate(several):
            rows += [{**row, "recording": number} for row in replay.run(driver, numbers)]
        parts[part] = rows
    return parts


def _every(steps: int) -> int:
    """How often to log, for about a hundred points of a curve."""
    return max(1, steps // 100)

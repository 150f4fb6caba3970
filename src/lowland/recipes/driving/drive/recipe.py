"""Driving learned from logs alone: logs → forward models → policies → a test in held-out traffic."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from lowland.envs.drivers import sanity_drivers
from lowland.envs.episodes import Episodes, Logs, recordings
from lowland.errors import OptionError
from lowland.evaluation.exploitation import exploitation
from lowland.evaluation.success import recovered
from lowland.planning.policies import Policy
from lowland.planning.policy_files import PREFIX, save_policy
from lowland.planning.policy_methods import DETERMINISTIC, METHODS, MPUR, WORLDS
from lowland.recipes.base import Bound, Count, NotNegative, Positive, recipe
from lowland.recipes.catalogue import find
from lowland.recipes.driving.common import SMALL, Trained, show_log
from lowland.recipes.driving.drive.figures import beside, draw, errors_ahead, facts, known_car
from lowland.recipes.driving.drive.measures import error_rows, measures, run_test
from lowland.recipes.driving.drive.policies import PolicyOptions
from lowland.reports.run import Run
from lowland.tensors import spaced
from lowland.training.observation import ImageObservation, VectorObservation
from lowland.training.policy_export import write_policy
from lowland.worlds.uncertainty import Ensemble


@recipe
@dataclass(frozen=True)
class DriveRecipe(PolicyOptions):
    """E(s, a) = mean over futures of Σ_t γᵗ [C(s[t+1]) + λ U(s[t], a[t])], and a policy that lowers it."""

    seeds: Count = 1
    """Repetitions, each with its own models and policies."""
    kl: NotNegative = 0.05
    """Weight β of the KL term of models with a latent."""
    split: Literal["test", "validation"] = "test"
    """Traffic that is driven in. Sweeps that compare settings use `validation`, so that the test stays unseen."""
    film: Positive = 30.0
    """Longest film in seconds."""
    real: bool = True
    """Also drive in the real US-101 recordings, if they are available or downloadable."""
    image: tuple[int, ...] = ()
    """Height and width of the images that are seen, as in the paper. None: the nearest cars, as numbers."""
    every: Count = 2
    """Frames of the log, 0.1 s apart, for one action; the paper has 1."""
    frames: Count = 4
    """Images that a model and a policy look at, one action apart."""
    maps: tuple[Annotated[int, Bound(least=1)], ...] = (16, 32, 48)
    """Feature maps of the three stages of a model of images, and of the image encoder of its policies."""
    latents: Count = 8
    """Size of the latent of a model of images."""
    decoder: Literal["warp", "additive"] = "warp"
    """How a model of images makes the next one: `warp` of the last, or `additive` to it, as in the paper."""
    ego: bool = False
    """With images, move the own car by its known kinematics, always with `warp`; False: predict it, as in the paper."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "demo": {"models": "shipped", "methods": ("imitation", "VG", MPUR), "episodes": 300, "real": False},
        "smoke": SMALL
        | {
            "methods": ("imitation", "VG", MPUR), "imitation_steps": 5, "policy_steps": 2, "horizon": 3,
            "masks": 2, "real": False, "film": 0.1,
        },
        # About 80 minutes of one core: 30 for the models, 30 for MPUR, 6 each for VG and SVG. A new policy is 4.7
        # deviations less certain of its images than the log, so that more weight on that leaves little to the cost.
        "pixels": {
            "image": (64, 16), "ego": True, "imitation_steps": 1500, "methods": ("imitation", "VG", "SVG", MPUR),
            "model_steps": 2000, "model_horizon": 10, "horizon": 12, "batch": 16, "policy_batch": 16, "masks": 4,
            "model_rate": 0.002, "kl": 1e-4, "uncertainty": 0.05,
        },
        # As in the paper, the model predicts the own car too, from logged actions alone, and there are 10 masks, but
        # images and roll-out are smaller. About 125 minutes of one core: 25 for the models, 26 for each MPUR, 5 for
        # each of the others. An update of MPUR takes 1.7 times as long as with the 4 masks of record-paper.json.
        "paper": {
            "image": (64, 16), "imitation_steps": 1500, "model_steps": 2500, "model_horizon": 10, "horizon": 12,
            "batch": 16, "policy_batch": 16, "policy_steps": 1000, "model_rate": 0.002, "kl": 1e-4, "real": False,
        },
        "gpu": {
            "image": (117, 24), "every": 1, "frames": 20, "maps": (64, 128, 256), "hidden": 256, "latents": 32,
            "decoder": "additive", "horizon": 30, "model_horizon": 20, "model_steps": 20000, "policy_steps": 5000,
            "policy_batch": 64, "model_rate": 1e-4, "rate": 1e-4, "kl": 1e-6, "seeds": 3,
        },
    }  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.image and (len(self.image) != 2 or min(self.image) < 1):
            raise OptionError("image must be a height and a width of at least 1 pixel each, such as 64 16.")
        if not self.image:
            for name in ("frames", "maps", "latents", "decoder", "ego"):
                if getattr(self, name) != getattr(type(self), name):
                    raise OptionError(f"{name} is an option of models of images: set image too, such as 64 16.")
        if self.ego and self.decoder != "warp":
            raise OptionError("With ego the next image is a warp of the last one: leave decoder out.")
        if self.image and (self.members > 1 or self.model_windows):
            raise OptionError("members and model_windows are options of models of cars: leave image out.")
        if self.models and self.seeds > 1:
            raise OptionError("There is one set of trained models: leave out models, or set seeds to 1.")

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
    def span(self) -> int:
        """Steps of a segment of the log."""
        return max(self.model_horizon, self.horizon)

    def run(self, run: Run) -> None:
        methods = [name for name in METHODS if name in self.methods]
        worlds = [kind for kind in WORLDS if any(METHODS[name].world == kind for name in methods)]
        if self.image and worlds and not self.models:
            worlds = list(dict.fromkeys([DETERMINISTIC, *worlds]))  # from which the others go on
        through = sum(bool(METHODS[name].world) for name in methods)
        drivers = sanity_drivers()
        run.expect(len(drivers) + self.seeds * (2 * len(worlds) + 2 * len(methods) + through))
        observation, logs = self.observation, self.logs(run)
        segments = None if self.models else observation.segments(logs, self.windows, self.span, self.generator())
        seen = spaced(segments, self.model_windows) if segments is not None and self.model_windows else segments
        unseen = observation.unseen(logs, self.span)
        part = "test" if self.split == "test" else "held"
        episodes = [
            logs.episodes(self.episodes, part), recordings(self.real, self.cars, self.device, observation.replay)
        ]  # fmt: skip
        found: dict[str, list[dict[str, Any]]] = {}
        for name, driver in drivers.items():
            found[name] = [run.stage(f"test/{name.replace(' ', '-')}", partial(run_test, episodes, driver))]
            run.measured.add({name: measures(found[name][0])})
        policies: dict[str, Policy] = {}
        for seed in range(self.seeds):
            models = self._models(run, worlds, seen, seed)
            errors = {
                kind: run.stage(f"seed-{seed}/errors/{kind}", partial(observation.errors, model[0].world, unseen))
                for kind, model in models.items()
            }
            run.measured.add(error_rows(errors, observation.baseline))
            for name in methods:
                policy = self.new_policy(METHODS[name].gaussian, seed)
                model = self._through(name, models)
                outcome = self._policy(run, name, policy, model, (segments, seen), unseen, episodes, seed)
                found.setdefault(name, []).append(outcome)
                run.measured.add({name: measures(outcome)})
                policies.setdefault(name, policy)
        self._show(run, found, policies, episodes, logs)
        facts(run, found, MPUR if MPUR in found else list(found)[-1])
        predicted = self.image and not self.ego and not self.tracks
        beside(run, found, *known_car(find("drive")) if predicted else ({}, ""))
        run.part(draw, found, {**drivers, **policies}, episodes[0])
        run.part(errors_ahead, self.span)

    # Training

    def _models(self, run: Run, kinds: Sequence[str], segments: Any, seed: int) -> dict[str, list[Trained]]:
        """Forward models by kind; several of those that an ensemble is made of."""
        models: dict[str, list[Trained]] = {}
        # Sweeps share models by the names of their stages: longer segments of the log are others.
        label = f"-of-{self.span}-steps" if self.span > self.model_horizon else ""
        for kind in kinds:
            start = models[DETERMINISTIC][0].world if self.image and models else None
            doubted = any(METHODS[name].world == kind and METHODS[name].uncertainty for name in self.methods)
            models[kind] = [
                self.world(run, kind, segments, seed, kl=self.kl, start=start, member=member, label=label)
                for member in range(self.members if doubted else 1)
            ]
        return models

    def _through(self, name: str, models: Mapping[str, Sequence[Trained]]) -> Trained | None:
        """The model that a policy is trained through: an ensemble where its uncertainty counts, else the first."""
        method = METHODS[name]
        members = models.get(method.world, ())
        if method.uncertainty and len(members) > 1:
            return Trained(Ensemble([one.world for one in members]), None)
        return next(iter(members), None)

    def _policy(
        self, run: Run, name: str, policy: Policy, model: Trained | None, segments: tuple[Any, Any], unseen: Any,
        episodes: Sequence[Sequence[Episodes]], seed: int,
    ) -> dict[str, Any]:  # fmt: skip
        """Train a policy, and drive with it: the curves of its training, and an outcome as of `run_test`."""
        short, (every, seen) = name.replace(" ", "-"), segments
        learn = partial(self.train_policy, name, policy, model, every, seen, seed)
        if self.models:
            learn = partial(self.read, f"{PREFIX}{short}", policy)
        label = f"seed-{seed}/{short}"
        outcome = run.stage(f"{label}/policy", learn, [policy])
        if seed == 0:
            save_policy(policy, run.checkpoints / f"{PREFIX}{short}.safetensors", self.observation.note)
        outcome |= run.stage(f"{label}/test", partial(run_test, episodes, policy.eval()))
        if model is not None:
            masks, cost = self.masks_of(name), self.observation.cost
            options = (policy, model.world, episodes[0], unseen, self.horizon, masks, cost)
            outcome |= run.stage(f"{label}/exploitation", lambda: exploitation(*options)._asdict())
        return outcome

    # The page

    def _show(
        self, run: Run, found: Mapping[str, Sequence[Mapping[str, Any]]], policies: Mapping[str, Policy],
        episodes: Sequence[Sequence[Episodes]], logs: Logs,
    ) -> None:  # fmt: skip
        """What the page says besides the table of results."""
        observation, last = self.observation, self.span - 1
        show_log(run, logs, self)
        if self.split == "validation":
            run.show(data="own log, validation cars" if self.tracks else "simulated traffic, validation simulation")
        if MPUR in found:
            ours, best, worst = ((run.measured.mean(name, "success") or 0.0) for name in (MPUR, "human", "no action"))
            if best > worst:
                run.measured.set(MPUR, "recovered", 100 * recovered(ours, worst, best), None, self.seeds)
        modelled = [name for name in run.measured.methods("error-0") if name != observation.baseline]
        folder, log = str(run.folder.resolve()), str(Path(self.tracks).resolve()) if self.tracks else self.split
        policy = MPUR if MPUR in policies else next(iter(policies), "")
        if policy:
            there = [name for name in ("success", "predicted", "realised") if run.measured.has(policy, name)]
            policies[policy].certificate = {name: run.measured.each(policy, name)[0] for name in there}
            facts = {"method": policy, "learned from": log if self.tracks else "simulated traffic"}
            write_policy(policies[policy], run.folder / "policy", facts | {"by": "lowland run drive"})
        run.show(
            count=len(found["human"][0]["test"]), count_real=len(found["human"][0]["real"]), trained=list(policies),
            cited=self.cited(observation.dt), modelled=modelled, baseline=observation.baseline, error=observation.error,
            predicts=observation.predicts, dt=observation.dt, last=last, preset=run.config["preset"],
            steps=sorted({0, (last + 1) // 2, last}) if modelled else [],
            until={one.replay.until for one in episodes[0]} == {"recording"},
            quoted_folder=repr(folder), quoted_policy=repr(policy), quoted_log=repr(log), said=self.said,
            shell_folder=shlex.quote(folder),
        )  # fmt: skip

"""A forward model of a plant, learned from a log alone (rows W1, W5, W7), and how good it is: no control."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from scipy.stats import spearmanr
from torch import Tensor

from lowland.data.gym_log import GymLog, read_gym_log
from lowland.data.gym_record import record_gym_log
from lowland.errors import DataError, OptionError, nearest
from lowland.evaluation.forward_models import coverage, crps, errors_by_horizon, imagine, path_features, sensitivity
from lowland.recipes.base import recipe
from lowland.recipes.log_options import LogOptions
from lowland.recipes.world_page import DETERMINISTIC, DROPPED, RESIDUALS, VARIATIONAL, write_page, write_results
from lowland.recipes.world_traffic import run_traffic
from lowland.reports.run import Run
from lowland.tensors import PerSampleRNG, take, tree_map
from lowland.training.export import save_world
from lowland.training.fit import fit
from lowland.worlds.base import State
from lowland.worlds.forward import ForwardModel, windows
from lowland.worlds.forward_training import ForwardTraining, Posterior, kl_to_normal
from lowland.worlds.rollout import rollout
from lowland.worlds.uncertainty import variance
from lowland.worlds.vector import VectorWorld

Segments = tuple[Mapping[str, Any], State]
DATA = ("plant", "traffic")
STARTS = 300


@recipe(
    "world",
    shows="From a log alone, a network learns what a plant will do; with a latent variable it draws several futures, "
    "which are scored against what happened.",
    rows=("W1", "W5", "W7"),
    minutes=2,
    title="A forward model of a plant",
)
@dataclass(frozen=True)
class WorldRecipe(LogOptions):
    """s[t+1] = g(s[t], a[t], z[t]), trained deterministically, with a posterior over z, and with z-dropout."""

    data: str = "plant"
    """A log of a plant (plant), or images of traffic (traffic)."""
    log: str = ""
    """Your own: an .npz file with observations, actions and episode ends, or, of traffic, a file as for `drive`."""
    plant: str = "Pendulum-v1"
    """Gymnasium environment to record, with random actions, where there is no log."""
    transitions: int = 20_000
    """Steps to record where there is no log; of traffic, those to learn from."""
    gusts: float = 0.5
    """Noise on the recorded plant's actions that the log does not name, in halves of their range."""
    seeds: int = 3
    """Repetitions, each with its own first weights."""
    horizon: int = 6
    """Steps of the roll-outs that the model is trained on."""
    steps: int = 1000
    """Updates before z comes in, and again as many after it."""
    evaluated: int = 40
    """Steps of the roll-outs that are scored, or as many as the held-out episodes have."""
    latents: int = 4
    """Size of z."""
    kl: float = 0.03
    """Weight β of the divergence between posterior and prior; of images, whose error is a mean, a 300th of it."""
    hidden: int = 128
    """Units of each hidden layer."""
    futures: int = 49
    """Futures drawn from each start."""

    files: ClassVar[tuple[str, ...]] = ("log",)
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {
            "transitions": 600,
            "seeds": 1,
            "steps": 10,
            "evaluated": 10,
            "hidden": 16,
            "futures": 9,
        },
        "traffic": {"data": "traffic", "seeds": 1, "evaluated": 15, "latents": 8, "hidden": 64, "futures": 19},
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        self.need_log(self.log if self.data == "traffic" else "", "--data traffic --log")
        if min(self.seeds, self.horizon, self.steps, self.latents, self.hidden, self.transitions) < 1:
            raise OptionError("seeds, horizon, steps, latents, hidden and transitions must be at least 1.")
        if self.data not in DATA:
            raise OptionError(f"There are no data called {self.data!r} for this recipe. {nearest(self.data, DATA)}")
        made = {field.name: field.default for field in dataclasses.fields(self) if field.name in ("plant", "gusts")}
        if (self.log or self.data == "traffic") and any(getattr(self, name) != made[name] for name in made):
            raise OptionError("plant and gusts are for a log that is made here: leave them out with log or traffic.")
        if self.evaluated < 2 or self.futures < 9:
            raise OptionError("evaluated must be at least 2, and futures 9.")

    def run(self, run: Run) -> None:
        if self.data == "traffic":
            run_traffic(self, run)
            return
        run.expect(5 * self.seeds)
        log = self._log()
        if not any(bool((path["observation"] != path["observation"][0]).any()) for path in log.paths):
            raise DataError(f"{log.name}: no observation ever changes, so that there is nothing to learn.")
        train, test = log.split(0.15, self.seed)
        longest = max(len(path["actions"]) for path in test.paths) - 1
        evaluated = min(self.evaluated, longest)
        if evaluated < 2:
            raise DataError(
                f"{log.name}: the held-out episodes have at most {longest + 1} steps: at least 3 are needed."
            )
        segments = windows(train.paths, self.horizon)
        found: list[dict[str, Any]] = []
        for seed in range(self.seeds):
            worlds = self._train(run, segments, log, seed)
            score = partial(self._score, worlds, train, test, evaluated, seed)
            found.append(run.stage(f"seed-{seed}/scores", score))
            if seed == 0:
                save_world(worlds[VARIATIONAL][0].world, run.checkpoints / "world")
        described = f"{log.name}, {train.steps:,} steps to learn from, {test.steps:,} held out"
        write_results(run, found, described)
        run.part(write_page, found, log, described, self.gusts if not self.log else None)

    def _log(self) -> GymLog:
        if self.log:
            return read_gym_log(self.log)
        return record_gym_log(self.plant, self.transitions, self.seed, gusts=self.gusts)

    def _train(
        self, run: Run, segments: Segments, log: GymLog, seed: int
    ) -> dict[str, tuple[ForwardModel, ForwardTraining]]:
        """The model as it is without z, then three ways on from there, all with the same number of updates."""
        x, y = (tree_map(lambda tensor: tensor.to(self.device), part) for part in segments)
        sizes, bounded = log.sizes, log.low is not None
        made: dict[str, tuple[ForwardModel, ForwardTraining]] = {}

        def model() -> ForwardModel:
            generator = self.generator(seed)
            world = VectorWorld(*sizes, self.latents, self.hidden, 0.1, bounded, generator).to(self.device)
            return ForwardModel(world, x["state"], self.horizon)

        def learn(energy: ForwardModel, shaping: ForwardTraining, order: int) -> dict[str, list[float]]:
            options = {"validation": 0.0, "progress": False, "clip": 5.0, "seed": order, "log_every": 20}
            batch = min(128, len(x["actions"]))
            result = fit(energy, (x, y), shaping, self.steps, batch, schedule=lambda s: 1 - s / self.steps, **options)
            return {name: list(curve.values) for name, curve in result.history.items()}

        first = model()
        run.stage(f"seed-{seed}/first", partial(learn, first, ForwardTraining(seed=seed), seed), [first])
        for name, z_dropout in ((DETERMINISTIC, None), (VARIATIONAL, 0.0), (DROPPED, 0.5)):
            energy = model()
            energy.load_state_dict(first.state_dict())
            shaping = ForwardTraining(seed=seed)
            if z_dropout is not None:
                posterior = Posterior(*sizes, self.latents, generator=self.generator(seed + 500))
                shaping = ForwardTraining(posterior, self.kl, z_dropout, seed=seed).to(self.device)
            learned = partial(learn, energy, shaping, seed + 1000)
            run.stage(f"seed-{seed}/{name.replace(' ', '-')}", learned, [energy, shaping])
            made[name] = energy, shaping
        return made

    @torch.no_grad()
    def _score(
        self, worlds: Mapping[str, tuple[ForwardModel, ForwardTraining]], train: GymLog, test: GymLog, steps: int,
        seed: int,
    ) -> dict[str, Any]:  # fmt: skip
        before, x, y = self._starts(test, steps)
        one = worlds[DETERMINISTIC][0].world
        truth = path_features(one, y)
        found: dict[str, Any] = {"errors": errors_by_horizon(one, x, y, before), "crps": {}, "coverage": {}}
        futures = {
            name: imagine(energy.world, x, self.futures, seed)
            for name, (energy, shaping) in worlds.items()
            if shaping.posterior is not None
        }
        futures[RESIDUALS] = self._residuals(worlds[DETERMINISTIC][0], train, x, steps, seed)
        alone = path_features(one, rollout(one, x["state"], x["actions"], None, steps).states)
        found["crps"][DETERMINISTIC] = crps(alone[:, None], truth).mean(dim=(0, 2))
        some = torch.linspace(0, len(truth) - 1, min(4, len(truth))).long()
        found["shown"] = {"truth": truth[some], "alone": alone[some], "past": one.features(x["state"])[some]}
        for name, samples in futures.items():
            found["crps"][name] = crps(samples, truth).mean(dim=(0, 2))
            found["level"], found["coverage"][name] = coverage(samples, truth)
            found["errors"][name] = (samples.mean(dim=1) - truth).square().mean(dim=(0, 2)).sqrt()
            found["shown"][name] = samples[some]
        found["sensitivity"], found["kl"] = {}, {}
        for name, (energy, shaping) in worlds.items():
            means = None
            if shaping.posterior is not None:
                means, log_variances = shaping.infer(energy.world, x, y)
                found["kl"][name] = kl_to_normal(means, log_variances).mean()
                each = 0.5 * (means.square() + log_variances.exp() - log_variances - 1)
                found["kl"][f"{name}, latents in use"] = (each.mean(dim=(0, 1)) > 0.01).sum()
            rows = sensitivity(energy.world, x, y, means, seed)
            found["sensitivity"][name] = [[*key, value] for key, value in rows.items()]
        found["uncertainty"] = self._uncertainty(worlds[VARIATIONAL][0], x, y, alone, truth, seed)
        return found

    def _starts(self, log: GymLog, steps: int) -> tuple[State, Mapping[str, Any], State]:
        """The state before each of up to 300 starts, the start with its actions, and what happened."""
        every = max(1, log.steps // STARTS)
        x, y = windows(log.paths, steps + 1, every)
        chosen = torch.arange(min(STARTS, len(x["actions"])))
        before, actions = take(x["state"], chosen), x["actions"][chosen]
        now, after = (tree_map(part, take(y, chosen)) for part in (lambda t: t[:, 0], lambda t: t[:, 1:]))
        parts = before, {"state": now, "actions": actions[:, 1:]}, after
        before, x, y = (tree_map(lambda tensor: tensor.to(self.device), part) for part in parts)
        return before, x, y

    def _residuals(self, energy: ForwardModel, log: GymLog, x: Mapping[str, Any], steps: int, seed: int) -> Tensor:
        """The deterministic answer plus what it left unexplained on random training episodes, (B, N, T, D)."""
        world = energy.world
        _, known, after = self._starts(log, steps)
        left = path_features(world, after)
        left = left - path_features(world, rollout(world, known["state"], known["actions"], None, steps).states)
        alone = path_features(world, rollout(world, x["state"], x["actions"], None, steps).states)
        pick = torch.randint(len(left), (len(alone), self.futures), generator=self.generator(seed + 77))
        return alone[:, None] + left[pick.to(left.device)]

    def _uncertainty(
        self, energy: ForwardModel, x: Mapping[str, Any], y: State, alone: Tensor, truth: Tensor, seed: int
    ) -> dict[str, Any]:
        """U of the first step, on the held-out states and on states moved away from them, and how it ranks errors."""
        world = energy.world
        rows = len(alone)
        noise = PerSampleRNG(seed + 5, torch.arange(rows, device=truth.device))
        masks = world.draw_mask(noise, 20)
        action = x["actions"][:, 0]
        near = variance(world, x["state"], action, None, masks)
        spread = x["state"]["observation"].std(dim=0)
        moved = {"observation": x["state"]["observation"] + 3 * spread * noise.normal(len(spread))}
        far = variance(world, moved, action, None, masks)
        first = path_features(world, tree_map(lambda tensor: tensor[:, None], world.step(x["state"], action)))[:, 0]
        error = (first - truth[:, 0]).square().sum(dim=1)
        rank: Any = spearmanr(near.cpu().numpy(), error.cpu().numpy())[0]
        return {"near": near, "far": far, "rank": float(rank)}

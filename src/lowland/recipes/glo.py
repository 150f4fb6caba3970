"""GLO on digits (row S14): latents learned with a generator, then an encoder that learns to find them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from lowland.data.catalogue import load
from lowland.energies.generator import Generator
from lowland.errors import OptionError, nearest
from lowland.inference import infer
from lowland.nn.layers import mlp
from lowland.recipes.base import Recipe, falling, recipe
from lowland.recipes.glo_page import ENCODER, EXACT, LINEAR, MEAN, PCA, POLISHED, UNTRAINED, write_page
from lowland.reports.run import Run
from lowland.shaping.regularised.code_prediction import CodePrediction
from lowland.shaping.regularised.learned_latents import LearnedLatents
from lowland.solvers.adam import Adam
from lowland.solvers.gradient_descent import GradientDescent
from lowland.tensors import PerSampleRNG
from lowland.training.fit import fit

DATA = ("mnist10k", "digits", "fashion_mnist", "mnist")
Found = dict[str, dict[str, float]]


@recipe(
    "glo",
    shows="A generator is trained with one latent for each sample and neither encoder nor adversary. An encoder that "
    "is trained afterwards guesses the latent of a new image, and a few steps of inference finish what it began.",
    rows=("S14",),
    minutes=1.5,
    title="A generator without an encoder",
)
@dataclass(frozen=True)
class GloRecipe(Recipe):
    """E(y, z) = ½‖y − G(z)‖², ‖z‖ ≤ r, with one z for each training image in a table."""

    data: str = "mnist10k"
    """Images: mnist10k, digits, fashion_mnist or mnist."""
    seeds: int = 3
    """Repetitions, each with its own first weights and latents."""
    latents: int = 6
    """Size of z."""
    radius: float = 3.0
    """Of the ball in which z lives: the larger, the more the generator can bend."""
    hidden: tuple[int, ...] = (256, 256)
    """Hidden layers of the generator; those of the encoder are the same."""
    steps: int = 2000
    """Updates of the generator, of 128 images each."""
    encoder_steps: int = 1000
    """Updates of each encoder, of 128 images each."""
    rate: float = 0.003
    """Learning rate of Adam, for the generator and for the encoders."""
    starts: int = 3
    """Random starts of exact inference, besides the guess of the encoder; the best one counts."""
    polish: int = 10
    """Steps of inference after the encoder's guess."""
    images: int = 200
    """Test images."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {
            "data": "digits", "seeds": 2, "latents": 4, "hidden": (32,), "steps": 30, "encoder_steps": 60, "starts": 1,
            "images": 30,
        }
    }  # fmt: skip

    def __post_init__(self) -> None:
        if self.data not in DATA:
            raise OptionError(f"There are no images called {self.data!r} for this recipe. {nearest(self.data, DATA)}")
        whole = (self.seeds, self.latents, self.steps, self.encoder_steps, self.starts, self.polish, *self.hidden)
        if min(whole) < 1 or self.images < 10 or not self.rate > 0 or not self.radius > 0:
            raise OptionError(
                "seeds, latents, hidden, steps, encoder_steps, starts and polish must be at least 1, images at least "
                "10, and rate and radius positive."
            )

    def run(self, run: Run) -> None:
        run.expect(4 * self.seeds)
        data = load(self.data)
        if data.stand_in_for:
            run.stand_in(f"{self.data} stands in for {data.stand_in_for}: its test images are not the published ones.")
        train, test = (part.flatten(1).to(self.device) for part in (data.train, data.test[: self.images]))
        found, kept = [], {}
        for seed in range(self.seeds):
            energy = Generator(train.shape[1], self.latents, self.hidden, self.radius, self.generator(seed))
            energy, shaping = energy.to(self.device), LearnedLatents(self._mover(), seed=seed)
            learned = run.stage(f"seed-{seed}/generator", partial(self._learn, energy, shaping, train, seed), [energy])
            encoders = self._encoders(train.shape[1], seed)
            for name in (ENCODER, LINEAR):
                teach = partial(self._teach, energy, encoders[name], train, learned["latents"], seed)
                run.stage(f"seed-{seed}/{name.replace(' ', '-')}", teach, [encoders[name]])
            found.append(
                run.stage(f"seed-{seed}/test", partial(self._test, energy, encoders, learned, train, test, seed))
            )
            kept = kept or {"energy": energy.cpu(), "latents": learned["latents"], "curve": learned["curve"]}
        run.save_energy("generator", kept["energy"])
        described = f"{self.data}, {len(test)} test images"
        self._results(run, found, described)
        run.part(write_page, found, kept, data, self.latents, self.polish)

    def _mover(self) -> GradientDescent:
        """One step for each visit. A ball of twice the radius has a quarter of the curvature, and is twice as wide."""
        return GradientDescent(0.04 * self.radius**2, max_steps=1, tol=None, check_every=1)

    def _learn(self, energy: Generator, shaping: LearnedLatents, train: Tensor, seed: int) -> dict[str, Any]:
        """The latents, and the error ‖y − G(z)‖² along the way."""
        schedule = partial(falling, self.steps)
        options = {"validation": 0.0, "progress": False, "log_every": max(1, self.steps // 50)}
        batch = min(128, len(train))
        result = fit(energy, train, shaping, self.steps, batch, self.rate, schedule=schedule, seed=seed, **options)
        curve = result.history["loss/energy"]
        return {
            "latents": shaping.latents.cpu(),
            "curve": {"steps": list(curve.steps), "errors": [2 * value for value in curve.values]},
        }

    def _encoders(self, size: int, seed: int) -> dict[str, nn.Module]:
        generator = self.generator(50 + seed)
        sizes = {ENCODER: (size, *self.hidden, self.latents), LINEAR: (size, self.latents)}
        made: dict[str, nn.Module] = {name: mlp(*each, generator=generator) for name, each in sizes.items()}
        made[UNTRAINED] = mlp(*sizes[ENCODER], generator=generator)
        return {name: encoder.to(self.device) for name, encoder in made.items()}

    def _teach(self, energy: Generator, encoder: nn.Module, train: Tensor, latents: Tensor, seed: int) -> None:
        """The encoder learns the latents that the training images were given."""
        shaping = CodePrediction(encoder, codes=latents.to(train))
        schedule, batch = partial(falling, self.encoder_steps), min(128, len(train))
        fit(
            energy, train, shaping, self.encoder_steps, batch, self.rate, schedule=schedule, seed=seed, validation=0.0,
            progress=False,
        )  # fmt: skip

    @torch.no_grad()
    def _test(
        self, energy: Generator, encoders: Mapping[str, nn.Module], learned: dict[str, Any], train: Tensor,
        test: Tensor, seed: int,
    ) -> dict[str, Any]:  # fmt: skip
        """Energies of new images by each way of finding z; the least of all starts is taken for exact."""
        domain, exact = energy.domain("z"), Adam(0.03 * self.radius, max_steps=200, tol=None)
        guess = {name: domain.project(encoder(test)) for name, encoder in encoders.items()}
        guess[MEAN] = domain.project(learned["latents"].to(test).mean(dim=0, keepdim=True)).expand(len(test), -1)
        few = Adam(0.03 * self.radius, max_steps=self.polish, tol=None)
        guess[POLISHED] = infer(energy, y=test, over="z", solver=few, init=guess[ENCODER]).value
        guess["from the mean, same steps"] = infer(energy, y=test, over="z", solver=few, init=guess[MEAN]).value
        starts = domain.sample(PerSampleRNG(seed, torch.arange(len(test), device=test.device)), self.starts)
        tried = [infer(energy, y=test, over="z", solver=exact, init=start) for start in starts.unbind(dim=1)]
        tried.append(infer(energy, y=test, over="z", solver=exact, init=guess[ENCODER]))
        energies = torch.stack([one.energy for one in tried])
        best = energies.argmin(dim=0)
        guess[EXACT] = torch.stack([one.value for one in tried])[best, torch.arange(len(test), device=test.device)]
        values = {name: energy(y=test, z=z) for name, z in guess.items()}
        mean = train.mean(dim=0)
        axes = torch.linalg.svd((train - mean).double(), full_matrices=False).Vh[: self.latents].to(test)
        flat = mean + (test - mean) @ axes.T @ axes
        shown = {name: energy.reconstruct(None, None, z[:12]) for name, z in guess.items()}
        shown |= {PCA: flat[:12], "test image": test[:12]}
        floor = values[EXACT]
        measured = {
            name: {"error": 2 * value.mean().item(), "gap": ((value - floor).mean() / floor.mean()).item()}
            for name, value in values.items()
        }
        measured[PCA] = {"error": (test - flat).square().sum(dim=1).mean().item()}
        alone = energies[:-1].amin(dim=0)
        return {
            "measured": measured,
            "shown": {name: picture.clamp(0, 1) for name, picture in shown.items()},
            "worse": (alone > energies[-1] * 1.01).double().mean().item(),
        }

    def _results(self, run: Run, found: list[dict[str, Any]], data: str) -> None:
        common = {"id": "S14", "seeds": self.seeds, "data": data}

        def row(claim: str, method: str, read: Callable[[dict[str, float]], float]) -> None:
            values = [read(one["measured"][method]) for one in found]
            sd = statistics.stdev(values) if self.seeds > 1 else None
            named = f"{method} (baseline)" if method in (MEAN, UNTRAINED, LINEAR, PCA) else method
            run.result(claim=claim, method=named, measured=statistics.fmean(values), sd=sd, **common)

        for method in found[0]["measured"]:
            row("reconstruction of test images, ‖y − G(z)‖²", method, lambda one: one["error"])
        for method, values in found[0]["measured"].items():
            if "gap" in values and method != EXACT:
                row("objective gap, (E − E of exact inference) / E of exact inference", method, lambda one: one["gap"])

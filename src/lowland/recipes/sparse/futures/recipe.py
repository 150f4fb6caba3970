"""Several futures: a latent variable for what the past does not determine, against one deterministic answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

import torch
from matplotlib.figure import Figure
from torch import Tensor

from lowland.data.bouncing_ball import bouncing_ball
from lowland.energies.conditional_autoencoder import ConditionalAutoencoder
from lowland.energies.prediction import Prediction
from lowland.evaluation.best_of import best_of, best_of_nearest, best_of_noise, residual_root, squared_errors
from lowland.inference import infer
from lowland.plots import curves
from lowland.plots.film_forecasts import forecast_rows, latent_axes
from lowland.recipes.base import Bound, Count, recipe, train
from lowland.recipes.sparse.common import Setting, TunedRecipe, load_images, stage_name
from lowland.reports.run import Run
from lowland.shaping.regularised.minimum_energy import MinimumEnergy
from lowland.solvers.gradient_descent import GradientDescent
from lowland.tensors import PerSampleRNG

LATENT, ONE = "latent variable", "deterministic"
NOISE, SPREAD, NEAR, COPY = "white noise around it", "noise with its covariance", "nearest neighbours", "last frame"
INFERRED = "z inferred from the answer"
SUMMARY, TUNING = 128, 999
"""Size of h, and the seed of the split that chooses settings."""
COUNTS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50)
Pairs = Mapping[str, tuple[Tensor, Tensor]]
Left = tuple[ConditionalAutoencoder, dict[str, Any]]
"""What the pictures need of a seed: the energy, and what was tested."""


@recipe
@dataclass(frozen=True)
class FuturesRecipe(TunedRecipe):
    """E(x, y, z) = ½‖y − Dec(z, h)‖² + (α/2)‖z − Enc(x, y)‖² + (λ/2)‖z‖², h = Pred(x)."""

    data: Literal["ball", "digits"] = "ball"
    """What is predicted: the film of a ball after it bounced (ball), or the lower half of a digit (digits)."""
    latents: Count = 2
    """Size of z."""
    samples: Annotated[int, Bound(least=2)] = 10
    """Predictions of each input, of which the best one counts."""
    steps: Count = 800
    """Updates of each model, of 128 pairs each."""
    refinements: Count = 3
    """Gradient steps over z before each update."""
    films: Annotated[int, Bound(least=20)] = 8000
    """Training films of the ball."""
    width: Count = 256
    """Hidden units of each part."""

    grids: ClassVar[Mapping[str, Sequence[Setting]]] = {
        LATENT: [{"lr": lr, "regularisation": weight} for lr in (5e-4, 1e-3) for weight in (0.1, 0.3)],
        ONE: [{"lr": lr, "weight_decay": decay} for lr in (1e-3, 2e-3) for decay in (0.0, 1e-5)],
    }
    stages: ClassVar[int] = 3
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"seeds": 2, "steps": 10, "films": 200, "width": 16, "refinements": 1}
    }

    def run(self, run: Run) -> None:
        tuning = self._pairs(run, TUNING)
        self.tune(run, partial(self._validation_error, tuning), ("model", "setting", "validation error"))
        run.show(tests=len(tuning["test"][0]))
        super().run(run)

    def measure(self, run: Run, seed: int) -> tuple[dict[str, dict[str, Any]], Left]:
        pairs, energies = self._pairs(run, seed), {}
        for method, setting in self.tuned(run).items():
            energies[method] = energy = self._energy(method, setting, pairs, seed)
            run.stage(stage_name(method), partial(self._train, energy, setting, pairs, seed), [energy])
        found = run.stage("test", partial(self._test, energies, pairs))
        numbers = {method: {"error": error} for method, error in found["errors"].items()}
        for method in (LATENT, NOISE, SPREAD, NEAR):
            numbers[method]["share"] = found["errors"][method] / found["errors"][ONE]
        numbers[LATENT] |= {f"best of {count}": error for count, error in zip(COUNTS, found["curve"], strict=True)}
        for method, energy in energies.items() if seed == 0 else ():
            run.save_energy(stage_name(method), energy)
        return numbers, (energies[LATENT], found)

    def _shapes(self) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        """Frames, rows and columns of x and of y."""
        return ((3, 12, 12), (5, 12, 12)) if self.data == "ball" else ((1, 14, 28), (1, 14, 28))

    def _pairs(self, run: Run, seed: int) -> Pairs:
        """(x, y), flat, for training, validation and test; each seed draws its own films of the ball."""
        if self.data == "digits":
            images = load_images(run, "mnist10k")
            halves = {name: getattr(images, name)[:, 0] for name in ("train", "validation", "test")}
            pairs = {name: (both[:, :14], both[:, 14:]) for name, both in halves.items()}
        else:
            (past, side, _), (future, _, _) = self._shapes()
            sizes = {"train": self.films, "validation": self.films // 8, "test": self.films // 4}
            drawn = bouncing_ball(sum(sizes.values()), self.generator(500 + seed), side=side, past=past, future=future)
            xs, ys = (part.split(list(sizes.values())) for part in (drawn.past, drawn.future))
            pairs = dict(zip(sizes, zip(xs, ys, strict=True), strict=True))
        return {name: (x.flatten(1).to(self.device), y.flatten(1).to(self.device)) for name, (x, y) in pairs.items()}

    def _energy(self, method: str, setting: Mapping[str, float], pairs: Pairs, seed: int) -> Any:
        """Both have the same Pred and the same hidden layer after it; one of them has a latent variable as well."""
        (x, y), generator = pairs["train"], self.generator(seed)
        sizes = x.shape[1], y.shape[1]
        if method == ONE:
            return Prediction(*sizes, (self.width, SUMMARY, self.width), generator).to(self.device)
        weight = setting["regularisation"]
        energy = ConditionalAutoencoder(*sizes, self.latents, SUMMARY, (self.width,), 1.0, weight, generator)
        return energy.to(self.device)

    def _train(self, energy: Any, setting: Setting, pairs: Pairs, seed: int) -> None:
        (x, y), latent = pairs["train"], isinstance(energy, ConditionalAutoencoder)
        solver = GradientDescent(0.05, max_steps=self.refinements, tol=None) if latent else None
        options = {"lr": setting["lr"], "weight_decay": setting.get("weight_decay", 0.0), "seed": seed}
        train(energy, (x, y), MinimumEnergy(solver=solver), self.steps, batch_size=min(128, len(x)), **options)
        if latent:
            with torch.no_grad():
                energy.fit_prior(infer(energy, x=x, y=y, over="z", solver=solver).value)

    def _validation_error(self, pairs: Pairs, method: str, setting: Setting) -> float:
        """Of the best of the samples, or of the one answer."""
        energy, (x, y) = self._energy(method, setting, pairs, TUNING), pairs["validation"]
        self._train(energy, setting, pairs, TUNING)
        answers = self._draw(energy, x, self.samples) if method == LATENT else _answer(energy, x)[:, None]
        return best_of(answers, y).mean().item()

    @torch.no_grad()
    def _draw(self, energy: ConditionalAutoencoder, x: Tensor, count: int, seed: int = 0) -> Tensor:
        """Predictions for z drawn from the prior, (B, count, n)."""
        noise = PerSampleRNG(self.seed + seed, torch.arange(len(x), device=x.device))
        return energy.predict(x, energy.prior(None, noise, count))

    def _test(self, energies: Mapping[str, Any], pairs: Pairs) -> dict[str, Any]:
        """Squared errors of one answer and of the best of several, on pairs that chose nothing."""
        latent, (x, y), (known, answers) = energies[LATENT], pairs["test"], pairs["train"]
        guess = {split: (_answer(energies[ONE], part[0]), part[1]) for split, part in pairs.items()}
        centre, drawn = guess["test"][0], self._draw(latent, x, self.samples)
        with torch.no_grad():
            exact = infer(latent, x=x, y=y, over="z", solver=GradientDescent(0.05, max_steps=200, tol=1e-3)).value
            inferred = latent.reconstruct(x, y, exact)
        noise = partial(best_of_noise, guess["validation"], guess["test"], self.samples, seed=self.seed + 7)
        errors = {
            ONE: _error(centre, y),
            LATENT: best_of(drawn, y).mean().item(),
            NOISE: noise(),
            SPREAD: noise(residual_root(answers - guess["train"][0])),
            NEAR: best_of_nearest(x, y, known, answers, self.samples),
            "mean": _error(answers.mean(dim=0).expand_as(y), y),
            "mean of the samples": _error(drawn.mean(dim=1), y),
            "one sample": _error(drawn[:, 0], y),
            INFERRED: _error(inferred, y),
        }
        if self.data == "ball":
            frames = self._shapes()[1][0]
            errors[COPY] = _error(x[:, -y.shape[1] // frames :].repeat(1, frames), y)
        many = squared_errors(self._draw(latent, x, COUNTS[-1], seed=1), y)
        curve = [many[:, :count].amin(dim=1).mean().item() for count in COUNTS]
        return {"errors": errors, "curve": curve, "x": x[:6], "y": y[:6], "one": centre[:6], "drawn": drawn[:6]}

    def figures(self, run: Run, first: Left) -> None:
        energy, found = first
        run.grid("films", [(partial(self._film, found, index), "") for index in range(4)], columns=2)
        shown = latent_axes(energy.cpu(), found["x"][:4], self._shapes()[1], torch.Generator().manual_seed(0))
        run.grid("spread", [(panel, "") for panel in shown], columns=3)
        lines = {LATENT: run.measured.curve(LATENT, "best of {}", COUNTS)}
        for name, method in {ONE: ONE, "z inferred from y": INFERRED}.items():
            lines[name] = run.measured.curve(method, "error", COUNTS)
        run.figure(
            "counts", curves(lines, title="Best of N", xlabel="samples N", ylabel="‖y − ŷ‖² of the best", log="x")
        )

    def _film(self, found: Mapping[str, Any], index: int) -> Figure:
        past, future = self._shapes()
        x, *predicted = (found[name][index] for name in ("x", "y", "one", "drawn"))
        return forecast_rows(x.reshape(past), *(one.unflatten(-1, future) for one in predicted), name=ONE)


def _answer(energy: Prediction, x: Tensor) -> Tensor:
    with torch.no_grad():
        return energy.encode(x)


def _error(answer: Tensor, y: Tensor) -> float:
    return best_of(answer[:, None], y).mean().item()

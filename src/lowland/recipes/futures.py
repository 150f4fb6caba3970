"""Several futures (row S15): a latent variable for what the past does not tell, against one deterministic answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from lowland.data.bouncing_ball import bouncing_ball
from lowland.data.catalogue import load
from lowland.energies.conditional_autoencoder import ConditionalAutoencoder
from lowland.energies.prediction import Prediction
from lowland.errors import OptionError, nearest
from lowland.inference import infer
from lowland.recipes.base import Recipe, recipe
from lowland.recipes.futures_page import COPY, LATENT, NEAR, NOISE, ONE, SPREAD, write_page, write_results
from lowland.reports.run import Run
from lowland.shaping.regularised.minimum_energy import MinimumEnergy
from lowland.solvers.gradient_descent import GradientDescent
from lowland.tensors import PerSampleRNG
from lowland.training.fit import fit

DATA = ("ball", "digits")
SUMMARY, SCALES = 128, (0.0, 0.01, 0.03, 0.1, 0.3, 1.0)
GRIDS: Mapping[str, tuple[dict[str, float], ...]] = {
    LATENT: tuple({"lr": lr, "regularisation": weight} for lr in (5e-4, 1e-3) for weight in (0.1, 0.3)),
    ONE: tuple({"lr": lr, "weight_decay": decay} for lr in (1e-3, 2e-3) for decay in (0.0, 1e-5)),
}
"""Four settings for each of the two trained models, of which the validation films choose one."""
Films = Mapping[str, tuple[Tensor, Tensor]]


@recipe(
    "futures",
    shows="Where the past does not tell the future, a latent variable makes several predictions of one input, and the "
    "best of ten is far closer to what happens than the one answer of a deterministic network.",
    rows=("S15",),
    minutes=3.5,
    title="Several futures",
)
@dataclass(frozen=True)
class FuturesRecipe(Recipe):
    """E(x, y, z) = ½‖y − Dec(z, h)‖² + (α/2)‖z − Enc(x, y)‖² + (λ/2)‖z‖², h = Pred(x)."""

    data: str = "ball"
    """What is predicted: the film of a ball after it bounced (ball), or the lower half of a digit (digits)."""
    seeds: int = 3
    """Repetitions, each with its own first weights and, for the ball, its own films."""
    latents: int = 2
    """Size of z."""
    samples: int = 10
    """Predictions of each input, of which the best one counts."""
    steps: int = 800
    """Updates of each model, of 128 pairs each."""
    refinements: int = 3
    """Gradient steps over z before each update."""
    films: int = 8000
    """Training films of the ball."""
    width: int = 256
    """Hidden units of each part."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"seeds": 2, "steps": 10, "films": 200, "width": 16, "refinements": 1}
    }

    def __post_init__(self) -> None:
        if self.data not in DATA:
            raise OptionError(f"There are no data called {self.data!r} for this recipe. {nearest(self.data, DATA)}")
        if min(self.seeds, self.latents, self.steps, self.width, self.refinements) < 1 or self.samples < 2:
            raise OptionError("seeds, latents, steps, width and refinements must be at least 1, and samples 2.")
        if self.films < 20:
            raise OptionError(f"films must be at least 20, but it is {self.films}.")

    def run(self, run: Run) -> None:
        run.expect(2 + 3 * self.seeds)
        tuning, chosen, found, kept = self._films(999), {}, [], None
        if self.data == "digits":
            run.stand_in("mnist10k stands in for MNIST: its test images are not the published ones.")
        for method, grid in GRIDS.items():
            chosen[method] = run.stage(f"tuning/{_plain(method)}", partial(self._tune, method, grid, tuning))
        for seed in range(self.seeds):
            films = self._films(seed)
            energies: dict[str, Any] = {}
            for method, grid in GRIDS.items():
                energies[method] = energy = self._energy(method, grid[chosen[method]["best"]], films, seed)
                train = partial(self._train, method, energy, grid[chosen[method]["best"]], films, seed)
                run.stage(f"seed-{seed}/{_plain(method)}", train, [energy])
            found.append(run.stage(f"seed-{seed}/test", partial(self._test, energies, films)))
            kept = kept or (energies, films)
        assert kept is not None
        for method, energy in kept[0].items():
            run.save_energy(_plain(method), energy)
        count = len(kept[1]["test"][0])
        described = f"{self.data}, {count} test {'films' if self.data == 'ball' else 'images'}"
        write_results(run, found, self.samples, described)
        run.part(write_page, kept[0][LATENT].cpu(), found, chosen, GRIDS, self.data, self._shapes())

    def _shapes(self) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        """Frames, rows and columns of x and of y."""
        return ((3, 12, 12), (5, 12, 12)) if self.data == "ball" else ((1, 14, 28), (1, 14, 28))

    def _films(self, seed: int) -> Films:
        """Pairs (x, y), flat, for training, validation and testing; those of the ball are drawn apart."""
        if self.data == "digits":
            images = load("mnist10k")
            halves = {name: getattr(images, name)[:, 0] for name in ("train", "validation", "test")}
            pairs = {name: (both[:, :14], both[:, 14:]) for name, both in halves.items()}
        else:
            (past, side, _), (future, _, _) = self._shapes()
            sizes = {"train": self.films, "validation": self.films // 8, "test": self.films // 4}
            drawn = bouncing_ball(sum(sizes.values()), self.generator(500 + seed), side=side, past=past, future=future)
            xs, ys = (part.split(list(sizes.values())) for part in (drawn.past, drawn.future))
            pairs = dict(zip(sizes, zip(xs, ys, strict=True), strict=True))
        return {name: (x.flatten(1).to(self.device), y.flatten(1).to(self.device)) for name, (x, y) in pairs.items()}

    def _energy(self, method: str, setting: Mapping[str, float], films: Films, seed: int) -> Any:
        """Both have the same Pred and the same hidden layer after it; one of them has a latent variable as well."""
        sizes, generator = (films["train"][0].shape[1], films["train"][1].shape[1]), self.generator(seed)
        if method == ONE:
            return Prediction(*sizes, (self.width, SUMMARY, self.width), generator).to(self.device)
        return ConditionalAutoencoder(
            *sizes, self.latents, SUMMARY, (self.width,), 1.0, setting["regularisation"], generator
        ).to(self.device)

    def _train(self, method: str, energy: Any, setting: Mapping[str, float], films: Films, seed: int) -> None:
        options = {"validation": 0.0, "progress": False, "weight_decay": setting.get("weight_decay", 0.0)}
        shaping = MinimumEnergy(solver=self._solver() if method == LATENT else None)
        rate = {"lr": setting["lr"], "schedule": lambda step: 1 - step / self.steps}
        fit(energy, films["train"], shaping, self.steps, min(128, len(films["train"][0])), seed=seed, **rate, **options)
        if method == LATENT:
            x, y = films["train"]
            with torch.no_grad():
                energy.fit_prior(infer(energy, x=x, y=y, over="z", solver=self._solver()).value)

    def _solver(self) -> GradientDescent:
        return GradientDescent(0.05, max_steps=self.refinements, tol=None)

    def _tune(self, method: str, grid: tuple[dict[str, float], ...], films: Films) -> dict[str, Any]:
        """Validation error of each setting: of the best of the samples, or of the one answer."""
        errors = []
        for setting in grid:
            energy = self._energy(method, setting, films, 999)
            self._train(method, energy, setting, films, 999)
            x, y = films["validation"]
            answers = self._draw(energy, x) if method == LATENT else _answer(energy, x)[:, None]
            errors.append(_best(answers, y).mean().item())
        return {"errors": errors, "best": min(range(len(errors)), key=errors.__getitem__)}

    @torch.no_grad()
    def _draw(self, energy: ConditionalAutoencoder, x: Tensor) -> Tensor:
        """Predictions for z drawn from the prior, (B, samples, n)."""
        noise = PerSampleRNG(self.seed, torch.arange(len(x), device=x.device))
        return energy.predict(x, energy.prior(None, noise, self.samples))

    def _test(self, energies: Mapping[str, Any], films: Films) -> dict[str, Any]:
        """Squared errors of one answer and of the best of several, test pairs apart from all choices."""
        latent, one = energies[LATENT], energies[ONE]
        x, y = films["test"]
        centre, drawn = _answer(one, x), self._draw(latent, x)
        with torch.no_grad():
            exact = infer(latent, x=x, y=y, over="z", solver=GradientDescent(0.05, max_steps=200, tol=1e-3)).value
            known = latent.reconstruct(x, y, exact)
        errors = {
            ONE: _error(centre, y),
            LATENT: _best(drawn, y).mean().item(),
            NOISE: self._around(one, films, _white),
            SPREAD: self._around(one, films, _residual(one, films)),
            NEAR: self._neighbours(films),
            "mean": _error(films["train"][1].mean(dim=0).expand_as(y), y),
            "mean of the samples": _error(drawn.mean(dim=1), y),
            "one sample": _error(drawn[:, 0], y),
            "z inferred from the answer": _error(known, y),
        }
        if self.data == "ball":
            errors[COPY] = _error(x[:, -y.shape[1] // self._shapes()[1][0] :].repeat(1, self._shapes()[1][0]), y)
        shown = {"x": x[:6], "y": y[:6], "one": centre[:6], "drawn": drawn[:6]}
        counts = [1, 2, 3, 5, 7, 10, 15, 20, 30, 50]
        with torch.no_grad():
            noise = PerSampleRNG(self.seed + 1, torch.arange(len(x), device=x.device))
            many = _errors(latent.predict(x, latent.prior(None, noise, counts[-1])), y)
        curve = [many[:, :count].amin(dim=1).mean().item() for count in counts]
        return {"errors": errors, "counts": counts, "curve": curve, **shown}

    def _around(self, one: Prediction, films: Films, noise: Callable[[Tensor, PerSampleRNG, int], Tensor]) -> float:
        """Best of as many samples around the one answer, the size of the noise being the best for validation."""

        def error(split: str, scale: float) -> float:
            x, y = films[split]
            streams = PerSampleRNG(self.seed + 7, torch.arange(len(x), device=x.device))
            return _best(_answer(one, x)[:, None] + scale * noise(y, streams, self.samples), y).mean().item()

        return error("test", min(SCALES, key=lambda scale: error("validation", scale)))

    def _neighbours(self, films: Films) -> float:
        """Best of the futures of the training inputs that are closest to x."""
        total, (x, y) = 0.0, films["test"]
        for part, answer in zip(x.split(500), y.split(500), strict=True):
            away = torch.cdist(part, films["train"][0], compute_mode="donot_use_mm_for_euclid_dist")
            near = away.topk(self.samples, largest=False).indices
            total += _best(films["train"][1][near], answer).sum().item()
        return total / len(x)


def _plain(method: str) -> str:
    return method.replace(" ", "-")


def _answer(energy: Prediction, x: Tensor) -> Tensor:
    with torch.no_grad():
        return energy.encode(x)


def _errors(answers: Tensor, y: Tensor) -> Tensor:
    """Squared error of each of several answers (B, N, n), (B, N)."""
    return (answers - y[:, None]).square().sum(dim=2)


def _best(answers: Tensor, y: Tensor) -> Tensor:
    return _errors(answers, y).amin(dim=1)


def _error(answer: Tensor, y: Tensor) -> float:
    return _best(answer[:, None], y).mean().item()


def _white(y: Tensor, noise: PerSampleRNG, count: int) -> Tensor:
    return noise.normal(count, y.shape[1])


def _residual(one: Prediction, films: Films) -> Callable[[Tensor, PerSampleRNG, int], Tensor]:
    """Gaussian noise with the covariance of what the one answer leaves on the training pairs."""
    x, y = films["train"]
    values, vectors = torch.linalg.eigh(torch.cov((y - _answer(one, x)).T.double()))
    root = (vectors * values.clamp_min(0).sqrt()).float()
    return lambda y, noise, count: noise.normal(count, y.shape[1]) @ root.T

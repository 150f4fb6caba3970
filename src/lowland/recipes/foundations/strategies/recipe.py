"""The seven strategies side by side: every training method on the same data, drawn and measured alike."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from matplotlib.figure import Figure

from lowland.energies.base import Energy
from lowland.errors import OptionError, nearest
from lowland.evaluation import CLOSE, auroc_interval, baselines, energy_gap
from lowland.plots import Field, images, landscape, landscape_grid, measure, plane_through
from lowland.plots.field import as_field
from lowland.plots.style import figure
from lowland.recipes.base import Bound, Count, Positive, Recipe, recipe
from lowland.recipes.foundations.strategies.methods import FAMILIES, Method, collect
from lowland.recipes.foundations.strategies.points import Points, image_points, plane_points
from lowland.recipes.foundations.strategies.rows import Case
from lowland.reports.run import Run
from lowland.training.fit import fit

THREE = (0, 1, 2)
"""The held-out images through which the slice of a landscape is laid."""
KINDS = {
    "pixel_noise": "(a) pixel noise",
    "shuffled_patches": "(b) shuffled patches",
    "other_data": "(c) photo patches",
    "perturbed": "(d) near the data",
    "covariance_noise": "(e) full covariance",
}
"""Negatives of the energy gap and their headings."""
REACHED = {"pixel_noise": 0.95, "shuffled_patches": 0.80}
"""What a method is expected to reach; (c) and (d) have no threshold, and (e), right to second order, is hard."""
IDLE = {"norm": "distance to the mean (learns nothing)", "constant": "constant (does nothing)"}
"""Energies that learn nothing."""


class Drawn(NamedTuple):
    """What the pictures need: landscapes by data set and method, and what each method left on the images."""

    methods: list[Method]
    fields: dict[str, dict[str, Field]]
    left: dict[str, dict[str, Any]]
    images: Points


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

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"methods": ("pca", "kmeans", "score-matching", "denoising"), "effort": 0.05, "resolution": 24},
        "gpu": {"sets": ("spiral", "ellipse", "two_moons", "pinwheel"), "seeds": 3},
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.sets:
            raise OptionError("sets must name at least one set of points in the plane.")
        for name in self.methods:
            if name not in (known := collect()):
                raise OptionError(f"There is no method called {name!r}. {nearest(name, known)}")

    def run(self, run: Run) -> None:
        known = collect()
        chosen = [known[name] for name in self.methods] or list(known.values())
        planes = {name: plane_points(name, self.generator(1)) for name in self.sets}
        points = image_points(self.data, self.generator(2))
        kinds = [kind for kind in KINDS if kind in points.negatives]
        run.expect(len(chosen) * (len(planes) + self.seeds))
        results = run.measured
        for name, score in baselines(points.train).items():
            gap = energy_gap(score, points.test, points.negatives)
            results.add({IDLE[name]: {kind: gap[kind] for kind in kinds}})
        fields: dict[str, dict[str, Field]] = {name: {} for name in planes}
        for name, plane in planes.items():
            for method in chosen:
                found = run.stage(f"{name}/{method.name}", partial(self._on_plane, method, plane))
                fields[name][method.title] = field = as_field(found["field"])
                results.add({method.title: {f"volume {name}": field.low_share}})
            for idle, score in baselines(plane.train).items():
                field = measure(score, data=plane.test[:400], arrows=0, resolution=60)
                results.add({IDLE[idle]: {f"volume {name}": field.low_share}})
        left: dict[str, dict[str, Any]] = {}
        for method in chosen:
            for seed in range(self.seed, self.seed + self.seeds):
                work = partial(self._on_images, run, method, points, seed)
                found = run.stage(f"{self.data}/{method.name}-{seed}", work)
                row = {kind: found["gap"][kind] for kind in kinds} | {"seconds": found["seconds"]}
                results.add({method.title: row})
                left.setdefault(method.title, found)
        sizes = {kind: len(points.negatives[kind]) for kind in kinds}
        words = {
            m.title: reached({kind: results.mean(m.title, kind) for kind in kinds}, sizes, len(points.test))
            for m in chosen
        }
        reaching = [title for title, word in words.items() if word == "yes"]
        results.set(f"all {len(chosen)}", "reached", len(reaching), seeds=self.seeds)
        run.show(
            count=len(chosen),
            reaching=len(reaching),
            close=list(words.values()).count(CLOSE),
            kinds=[[kind, KINDS[kind]] for kind in kinds],
            idle=IDLE["norm"],
            family={method.title: method.family for method in chosen},
            families=[_words(family, chosen, left) for family in FAMILIES if family in {m.family for m in chosen}],
            missed=[[m.title, m.limit] for m in chosen if words[m.title] == "no"],
        )
        run.part(self._tables, chosen, kinds, words)
        run.part(self._draw, Drawn(chosen, fields, left, points))

    def _on_plane(self, method: Method, points: Points) -> dict[str, Any]:
        case = Case(2, points.train, self.seed, plane=True)
        energy, seconds = self._train(method, case)
        field = measure(
            energy, data=points.test[:400], solver=method.solver(case), beta=method.beta, resolution=self.resolution,
            arrows=11,
        )  # fmt: skip
        return {"field": field._asdict(), "seconds": seconds}

    def _on_images(self, run: Run, method: Method, points: Points, seed: int) -> dict[str, Any]:
        case = Case(points.train.shape[1], points.train, seed, plane=False)
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

    def _tables(self, run: Run, methods: Sequence[Method], kinds: Sequence[str], words: Mapping[str, str]) -> None:
        """The energy gap, and the share of the plane that has low energy: all methods and those that learn nothing."""
        families = {method.title: method.family for method in methods} | dict.fromkeys(IDLE.values(), "–")

        def cell(title: str, name: str, decimals: int = 3) -> Any:
            if not run.measured.has(title, name) or (mean := run.measured.mean(title, name)) is None:
                return None
            sd = run.measured.sd(title, name)
            return round(mean, decimals) if sd is None else (round(mean, decimals), round(sd, decimals))

        rows = []
        for title, family in families.items():
            seconds = cell(title, "seconds", 1)
            word = run.word(words[title]) if title in words else None
            rows.append([family, title, *(cell(title, kind) for kind in kinds),
                         seconds[0] if isinstance(seconds, tuple) else seconds, word])  # fmt: skip
        heads = [KINDS[kind] for kind in kinds]
        run.table(["", "method", *heads, "seconds", "reached"], rows, heat=dict.fromkeys(heads, (0.5, 1)), name="gaps")
        rows = [[family, title, *(cell(title, f"volume {name}") for name in self.sets)]
                for title, family in families.items()]  # fmt: skip
        run.table(["", "method", *self.sets], rows, heat=dict.fromkeys(self.sets, (1, 0)), name="volumes")

    def _draw(self, run: Run, drawn: Drawn) -> None:
        families = {m.title: f"{m.family} {FAMILIES[m.family].title}" for m in drawn.methods}
        for name, shown in drawn.fields.items():
            title = f"{len(shown)} landscapes, one data set: {name}"
            run.figure(f"landscapes-{name}", partial(landscape_grid, shown, families=families, title=title))
        first, shape = next(iter(drawn.fields.values())), (drawn.images.shape[0], drawn.images.shape[-1])
        for family in dict.fromkeys(method.family for method in drawn.methods):
            mine = [method.title for method in drawn.methods if method.family == family]
            run.grid(f"family-{family}", [(partial(_panel, first[title]), "") for title in mine])
            pictures = [found for title in mine if (found := drawn.left[title]["pictures"]) is not None]
            run.grid(f"learned-{family}", [(partial(images, one, shape, columns=8), "") for one in pictures])
        slices = {title: as_field(found["field"]) for title, found in drawn.left.items()}
        run.figure("slices", partial(landscape_grid, slices, families=families, arrows=False))


def reached(areas: Mapping[str, float | None], sizes: Mapping[str, int], tests: int) -> str:
    """Whether a method is above both thresholds with its whole interval, below one of them, or too close to call.

    Args:
        areas: AUROC by kind of negatives.
        sizes: how many negatives of each kind.
        tests: how many held-out data.
    """
    words = []
    for kind, threshold in REACHED.items():
        if (value := areas.get(kind)) is not None:
            area = auroc_interval(value, sizes[kind], tests)
            words.append("yes" if area.low > threshold else "no" if area.high < threshold else CLOSE)
    return "no" if "no" in words else CLOSE if CLOSE in words else "yes"


def _words(family: str, methods: Sequence[Method], left: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What the page says of one strategy and its methods."""
    mine = [method for method in methods if method.family == family]
    return {
        "key": family,
        **FAMILIES[family]._asdict(),
        "captions": [f"**{method.title}** · {method.paper}. {method.text}" for method in mine],
        "learned": [f"{m.title}: {m.shows}" for m in mine if left[m.title]["pictures"] is not None],
    }


def _panel(field: Field) -> Figure:
    drawn = figure(3.6, 3.6)
    landscape(field, ax=drawn.add_subplot())
    return drawn

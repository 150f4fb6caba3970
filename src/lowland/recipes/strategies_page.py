"""The page of the recipe `strategies`: all landscapes at a glance, each family in its own words, then figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from matplotlib.figure import Figure
from torch import Tensor

from lowland.evaluation import CLOSE, auroc_interval, baselines, energy_gap
from lowland.plots import Field, images, landscape, landscape_grid, measure
from lowland.plots.style import figure
from lowland.recipes.methods import FAMILIES, Method
from lowland.reports.run import Run

if TYPE_CHECKING:
    from lowland.recipes.strategies import Points

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


class Measured(NamedTuple):
    """Tables of the page: AUROC by method and kind of negatives, one for each seed, and shares of low land."""

    gaps: dict[str, dict[str, list[float]]]
    shares: dict[str, list[float | None]]
    sets: list[str]
    reached: dict[str, str]


def write_results(
    run: Run,
    methods: Sequence[Method],
    fields: Mapping[str, Mapping[str, Field]],
    gaps: Mapping[str, Sequence[Mapping[str, Any]]],
    points: Points,
    planes: Mapping[str, Points],
) -> Measured:
    """Rows of `results.json`, those of energies that learn nothing included, and the same as tables.

    Args:
        run: to be filled.
        methods: in the order of the page.
        fields: landscapes in the plane, by data set and by title of the method.
        gaps: by name of the method, one for each seed.
        points: the images.
        planes: the points in the plane, by name.
    """
    kinds = [kind for kind in KINDS if kind in points.negatives]
    idle = {name: energy_gap(score, points.test, points.negatives) for name, score in baselines(points.train).items()}
    found = {_IDLE[name]: {kind: [gap[kind]] for kind in kinds} for name, gap in idle.items()}
    found |= {method.title: {kind: [seed["gap"][kind] for seed in gaps[method.name]] for kind in kinds}
              for method in methods}  # fmt: skip
    reached = {method.title: _reached(found[method.title], points) for method in methods}
    run.result(
        id="E1",
        claim="methods that reach AUROC > 0.95 against (a) and > 0.80 against (b), beyond the 95 % interval",
        method=f"all {len(methods)}",
        measured=sum(word == "yes" for word in reached.values()),
        seeds=len(gaps[methods[0].name]),
        data=points.name,
    )
    families = {method.title: method.family for method in methods}
    for title, row in found.items():
        for kind, values in row.items():
            _result(run, families.get(title, "E1"), kind, title, values, points)
    shares = {method.title: [fields[name][method.title].low_share for name in planes] for method in methods}
    shares |= {
        _IDLE[name]: [
            measure(baselines(plane.train)[name], data=plane.test[:400], arrows=0, resolution=60).low_share
            for plane in planes.values()
        ]
        for name in _IDLE
    }
    for title, of_sets in shares.items():
        for name, share in zip(planes, of_sets, strict=True):
            run.result(
                id=families.get(title, "E1"),
                claim="low land: share of the picture below the shore",
                method=title,
                measured=share,
                data=name,
            )
    return Measured(found, shares, list(planes), reached)


def _reached(found: Mapping[str, Sequence[float]], points: Points) -> str:
    """Whether a method is above both thresholds with its whole interval, below one of them, or too close to call."""
    words = []
    for kind, threshold in REACHED.items():
        if kind not in found:
            continue
        area = auroc_interval(_spread(found[kind])[0], len(points.negatives[kind]), len(points.test))
        words.append("yes" if area.low > threshold else "no" if area.high < threshold else CLOSE)
    return "no" if "no" in words else CLOSE if CLOSE in words else "yes"


def fill(
    run: Run,
    methods: Sequence[Method],
    fields: Mapping[str, Mapping[str, Field]],
    gaps: Mapping[str, Sequence[Mapping[str, Any]]],
    points: Points,
    measured: Measured,
    effort: float,
) -> None:
    """Write the page from what the stages measured.

    Args:
        run: to be filled.
        methods: in the order of the page.
        fields: landscapes in the plane, by data set and by title of the method.
        gaps: by name of the method, one for each seed.
        points: the images.
        measured: by `write_results`.
        effort: factor on the number of training steps, said on the page where it is not 1.
    """
    families = {method.title: f"{method.family} {FAMILIES[method.family].title}" for method in methods}
    words = list(measured.reached.values())
    close = words.count(CLOSE)
    run.finding(
        f"{words.count('yes')} of {len(methods)} methods tell {points.name} from noise with an AUROC above "
        f"{REACHED['pixel_noise']:.2f} and from shuffled patches above {REACHED['shuffled_patches']:.2f}"
        f"{f'; for {close} it is too close to call' if close else ''}."
    )
    run.section("One glance")
    run.text(_INTRODUCTION + ("" if effort == 1 else f"\n\nTraining was cut to {effort:g} of its usual steps."))
    for name, shown in fields.items():
        title = f"{len(shown)} landscapes, one data set: {name}"
        run.figure(f"landscapes-{name}", partial(landscape_grid, shown, families=families, title=title), _CAPTION)
    run.section("The energy gap on images")
    run.part(_gap_table, methods, gaps, points, measured)
    run.part(_low_land, methods, measured)
    for family, about in FAMILIES.items():
        mine = [method for method in methods if method.family == family]
        run.part(_family, about.title, family, about.text, mine, fields, gaps, points)
    run.part(_slices, methods, gaps, points, families)


def _gap_table(
    run: Run,
    methods: Sequence[Method],
    gaps: Mapping[str, Sequence[Mapping[str, Any]]],
    points: Points,
    measured: Measured,
) -> None:
    kinds = [kind for kind in KINDS if kind in points.negatives]
    seconds = {m.title: round(_spread([seed["seconds"] for seed in gaps[m.name]])[0], 1) for m in methods}
    families = {method.title: method.family for method in methods}
    rows = [
        [families.get(title, "–"), title, *(_cell(_spread(measured.gaps[title][kind])) for kind in kinds),
         seconds.get(title), run.word(measured.reached[title]) if title in families else None]
        for title in (*families, *_IDLE.values())
    ]  # fmt: skip
    norm = measured.gaps[_IDLE["norm"]]
    easy = ", ".join(f"{norm[kind][0]:.3f} against {KINDS[kind]}" for kind in kinds)
    free = f"How much of this is free on {points.name}: the mere distance to the mean image reaches {easy}."
    run.text(f"{_GAP}\n\n{free}")
    run.table(
        ["", "method", *[KINDS[kind] for kind in kinds], "seconds", "reached"],
        rows,
        caption=f"AUROC on held-out {points.name}; 1 is perfect, 0.5 is chance. Seconds of one processor core for "
        "training. “reached” means above 0.95 for (a) and above 0.80 for (b), with the whole 95 % interval of Hanley "
        "and McNeil.",
        heat={KINDS[kind]: (0.5, 1.0) for kind in kinds},
    )
    missed = [
        f"- **{method.title}**: {method.limit or _UNKNOWN}"
        for method in methods
        if measured.reached[method.title] == "no"
    ]
    if missed:
        run.verdict("Why some do not get there, as far as we can tell:\n\n" + "\n".join(missed))


def _low_land(run: Run, methods: Sequence[Method], measured: Measured) -> None:
    """How much of each picture lies below the shore: the volume of low energy, which a good energy keeps small."""
    families = {method.title: method.family for method in methods}
    run.section("How much low land in the plane")
    run.text(_VOLUME)
    run.table(
        ["", "method", *measured.sets],
        [
            [families.get(title, "–"), title, *[_cell((share, None)) for share in found]]
            for title, found in measured.shares.items()
        ],
        caption="Share of each picture that lies below the shore. One seed.",
        heat=dict.fromkeys(measured.sets, (1.0, 0.0)),
    )


def _result(run: Run, row: str, kind: str, method: str, found: Sequence[float], points: Points) -> None:
    mean, deviation = _spread(found)
    run.result(
        id=row,
        claim=f"energy gap: AUROC against {KINDS[kind]}",
        method=method,
        measured=mean,
        sd=deviation,
        seeds=len(found),
        data=points.name,
    )


def _cell(value: tuple[float | None, float | None]) -> Any:
    """Three decimals, with the deviation where there are several seeds."""
    mean, deviation = value
    if mean is None:
        return None
    return round(mean, 3) if deviation is None else (round(mean, 3), round(deviation, 3))


def _spread(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and standard deviation; one value alone has no deviation."""
    mean = sum(values) / len(values)
    if len(values) == 1:
        return mean, None
    return mean, math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))


def _family(
    run: Run,
    title: str,
    family: str,
    text: str,
    methods: Sequence[Method],
    fields: Mapping[str, Mapping[str, Field]],
    gaps: Mapping[str, Sequence[Mapping[str, Any]]],
    points: Points,
) -> None:
    if not methods:
        return
    run.section(f"{family} · {title}")
    run.text(text)
    first = next(iter(fields.values()))
    panels = []
    for method in methods:
        panels.append((partial(_panel, first[method.title]), f"**{method.title}** · {method.paper}. {method.text}"))
    run.grid(f"family-{family}", panels, columns=3)
    shown = [(method, gaps[method.name][0]["pictures"]) for method in methods]
    learned = [
        (
            partial(images, pictures, columns=8, shape=(points.shape[0], points.shape[-1])),
            f"{method.title}: {method.shows}",
        )
        for method, pictures in shown
        if isinstance(pictures, Tensor)
    ]
    if learned:
        run.grid(f"learned-{family}", learned, columns=3, caption=f"What they learned on {points.name}.")


def _panel(field: Field) -> Figure:
    drawn = figure(3.6, 3.6)
    landscape(field, ax=drawn.add_subplot())
    return drawn


def _slices(
    run: Run,
    methods: Sequence[Method],
    gaps: Mapping[str, Sequence[Mapping[str, Any]]],
    points: Points,
    families: Mapping[str, str],
) -> None:
    run.section("The same picture in many dimensions")
    run.text(_SLICE)
    slices = {method.title: as_field(gaps[method.name][0]["field"]) for method in methods}
    grid = partial(landscape_grid, slices, families=families, arrows=False)
    run.figure("slices", grid, f"Energy on the plane through three held-out images of {points.name}.")


def as_field(stored: Mapping[str, Any]) -> Field:
    """A landscape as a stage stored it, in which tuples came back as lists."""
    (left, right), (bottom, top) = stored["bounds"]
    return Field(**{**stored, "bounds": ((left, right), (bottom, top))})


_INTRODUCTION = """
Everything here is an **energy** F(y): low where y looks like the data, higher elsewhere. Training shapes it. Two
families of methods do that: *contrastive* ones (C1 to C3) push the energy down on data and up on chosen other
points; *regularised* and *architectural* ones (A1 to A4) limit how much of space can have low energy at all.

All pictures are drawn alike: dark is low, light is high, dots are held-out data, arrows point downhill, and the
orange line is the shore, the energy that 95 % of held-out data stay below.
"""
_CAPTION = "Every method on the same points. Inside the orange shore, 95 % of held-out data have their energy."
_GAP = """
An energy is useful where it tells data from what is not data. Each method was trained on the images alone and then
asked for the energy of held-out images and of five kinds of points that it never saw in training: (a) noise with
each pixel's own mean and variance, (b) held-out images whose sixteen patches were shuffled, (c) patches of
photographs brought to the same mean and contrast, (d) small steps off the data, and (e) noise with the full
covariance of the data. The last two rows learn nothing.
"""
_IDLE = {"norm": "distance to the mean (learns nothing)", "constant": "constant (does nothing)"}
_VOLUME = """
Ninety-five percent of held-out points lie below the shore by definition; what tells methods apart is how much else
does. A constant energy floods the whole picture.
"""
_UNKNOWN = "not understood; with these settings it falls short on these data."
_SLICE = """
In many dimensions a landscape can be seen on a slice: here the plane through three held-out images (the three dots).
A good energy has a valley at each of them, or one that joins them, and rises on the way out.
"""

"""The page of the recipe `strategies`: all landscapes at a glance, each family in its own words, then figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from lowland.evaluation import baselines, energy_gap
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


def fill(
    run: Run,
    methods: Sequence[Method],
    fields: Mapping[str, Mapping[str, Field]],
    gaps: Mapping[str, Sequence[Mapping[str, Any]]],
    points: Points,
    planes: Mapping[str, Points],
    effort: float,
) -> None:
    """Write the page from what the stages measured.

    Args:
        run: to be filled.
        methods: in the order of the page.
        fields: landscapes in the plane, by data set and by title of the method.
        gaps: by name of the method, one for each seed.
        points: the images.
        planes: the points in the plane, by name.
        effort: factor on the number of training steps, said on the page where it is not 1.
    """
    families = {method.title: f"{method.family} {FAMILIES[method.family].title}" for method in methods}
    run.section("One glance")
    run.text(_INTRODUCTION + ("" if effort == 1 else f"\n\nTraining was cut to {effort:g} of its usual steps."))
    for name, drawn in fields.items():
        grid = landscape_grid(drawn, families=families, title=f"{len(drawn)} landscapes, one data set: {name}")
        run.figure(f"landscapes-{name}", grid, _CAPTION)
    run.section("The energy gap on images")
    _gap_table(run, methods, gaps, points)
    _low_land(run, methods, fields, planes)
    for family, about in FAMILIES.items():
        _family(run, about.title, family, about.text, [m for m in methods if m.family == family], fields, gaps, points)
    _slices(run, methods, gaps, points, families)


def _gap_table(
    run: Run, methods: Sequence[Method], gaps: Mapping[str, Sequence[Mapping[str, Any]]], points: Points
) -> None:
    kinds = [kind for kind in KINDS if kind in points.negatives]
    rows: list[list[Any]] = []
    reached = 0
    for method in methods:
        found = gaps[method.name]
        cells = [_spread([seed["gap"][kind] for seed in found]) for kind in kinds]
        passes = all(cell[0] > REACHED[kind] for kind, cell in zip(kinds, cells, strict=True) if kind in REACHED)
        reached += passes
        seconds = _spread([seed["seconds"] for seed in found])[0]
        rows.append([method.family, method.title, *map(_cell, cells), round(seconds, 1), "yes" if passes else "no"])
    count = f"{reached} of {len(methods)} methods reach more than 0.95 against (a) and more than 0.80 against (b)."
    run.result(
        id="E1",
        claim="methods that reach AUROC > 0.95 against (a) and > 0.80 against (b)",
        method=f"all {len(methods)}",
        measured=reached,
        seeds=len(gaps[methods[0].name]),
        data=points.name,
    )
    idle = {name: energy_gap(score, points.test, points.negatives) for name, score in baselines(points.train).items()}
    for name, gap in idle.items():
        rows.append(["–", _IDLE[name], *[_cell(_spread([gap[kind]])) for kind in kinds], None, ""])
        for kind in kinds:
            _result(run, "E1", kind, _IDLE[name], [gap[kind]], points)
    for method in methods:
        for kind in kinds:
            _result(run, method.family, kind, method.title, [seed["gap"][kind] for seed in gaps[method.name]], points)
    easy = ", ".join(f"{idle['norm'][kind]:.3f} against {KINDS[kind]}" for kind in kinds)
    free = f"How much of this is free on {points.name}: the mere distance to the mean image reaches {easy}."
    run.text(f"{_GAP}\n\n{free}\n\n**{count}**")
    run.table(
        ["", "method", *[KINDS[kind] for kind in kinds], "seconds", "reached"],
        rows,
        caption=f"AUROC on held-out {points.name}; 1 is perfect, 0.5 is chance. Seconds of one processor core for "
        "training. “reached” means above 0.95 for (a) and above 0.80 for (b).",
        heat={KINDS[kind]: (0.5, 1.0) for kind in kinds},
    )
    missed = [
        f"- **{method.title}**: {method.limit or _UNKNOWN}"
        for method, row in zip(methods, rows, strict=False)
        if row[-1] == "no"
    ]
    if missed:
        run.text("Why some do not get there, as far as we can tell:\n\n" + "\n".join(missed))


def _low_land(
    run: Run, methods: Sequence[Method], fields: Mapping[str, Mapping[str, Field]], planes: Mapping[str, Points]
) -> None:
    """How much of each picture lies below the shore: the volume of low energy, which a good energy keeps small."""
    shares = {method.title: [fields[name][method.title].low_share for name in planes] for method in methods}
    shares |= {
        _IDLE[name]: [
            measure(baselines(plane.train)[name], data=plane.test[:400], arrows=0, resolution=60).low_share
            for plane in planes.values()
        ]
        for name in _IDLE
    }
    families = {method.title: method.family for method in methods}
    for title, found in shares.items():
        for name, share in zip(planes, found, strict=True):
            run.result(
                id=families.get(title, "E1"),
                claim="low land: share of the picture below the shore",
                method=title,
                measured=share,
                data=name,
            )
    run.section("How much low land in the plane")
    run.text(_VOLUME)
    run.table(
        ["", "method", *planes],
        [
            [families.get(title, "–"), title, *[_cell((share, None)) for share in found]]
            for title, found in shares.items()
        ],
        caption="Share of each picture that lies below the shore. One seed.",
        heat=dict.fromkeys(planes, (1.0, 0.0)),
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
        drawn = figure(3.6, 3.6)
        landscape(first[method.title], ax=drawn.add_subplot())
        panels.append((drawn, f"**{method.title}** · {method.paper}. {method.text}"))
    run.grid(f"family-{family}", panels, columns=3)
    shown = [(method, gaps[method.name][0]["pictures"]) for method in methods]
    learned = [
        (images(pictures, columns=8, shape=(points.shape[0], points.shape[-1])), f"{method.title}: {method.shows}")
        for method, pictures in shown
        if isinstance(pictures, Tensor)
    ]
    if learned:
        run.grid(f"learned-{family}", learned, columns=3, caption=f"What they learned on {points.name}.")


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
    grid = landscape_grid(slices, families=families, arrows=False)
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

"""What the page of the comparison shows: its tables, its landscapes, and the words on each strategy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from lowland.plots import Field, images, landscape, landscape_grid
from lowland.plots.field import as_field
from lowland.reports.run import Run
from lowland.training.vector_methods import FAMILIES, VectorMethod

KINDS = {
    "pixel_noise": "(a) pixel noise",
    "shuffled_patches": "(b) shuffled patches",
    "other_data": "(c) photo patches",
    "perturbed": "(d) near the data",
    "covariance_noise": "(e) full covariance",
}
"""Negatives of the energy gap and their headings."""
IDLE = {"norm": "distance to the mean (learns nothing)", "constant": "constant (does nothing)"}
"""Energies that learn nothing."""


def tables(
    run: Run, methods: Sequence[VectorMethod], kinds: Sequence[str], words: Mapping[str, str], sets: Sequence[str]
) -> None:
    """The energy gap, and the share of the plane that has low energy: all methods and those that learn nothing."""
    families = {method.title: method.family for method in methods} | dict.fromkeys(IDLE.values(), "–")
    cell, gaps, volumes = run.measured.cell, [], []
    for title, family in families.items():
        seconds = cell(title, "seconds", 1)
        word = run.word(words[title]) if title in words else None
        gaps.append([family, title, *(cell(title, kind) for kind in kinds),
                     seconds[0] if isinstance(seconds, tuple) else seconds, word])  # fmt: skip
        volumes.append([family, title, *(cell(title, f"volume {name}") for name in sets)])
    heads = [KINDS[kind] for kind in kinds]
    run.table(["", "method", *heads, "seconds", "reached"], gaps, heat=dict.fromkeys(heads, (0.5, 1)), name="gaps")
    run.table(["", "method", *sets], volumes, heat=dict.fromkeys(sets, (1, 0)), name="volumes")


def pictures(
    run: Run,
    methods: Sequence[VectorMethod],
    fields: Mapping[str, Mapping[str, Field]],
    left: Mapping[str, Mapping[str, Any]],
    shape: tuple[int, int],
) -> None:
    """Landscapes of all methods, those of each strategy with what they learned, and slices in many dimensions."""
    families = {m.title: f"{m.family} {FAMILIES[m.family].title}" for m in methods}
    for name, shown in fields.items():
        title = f"{len(shown)} landscapes, one data set: {name}"
        run.figure(f"landscapes-{name}", partial(landscape_grid, shown, families=families, title=title))
    first = next(iter(fields.values()))
    for family in dict.fromkeys(method.family for method in methods):
        mine = [method.title for method in methods if method.family == family]
        panels = [partial(landscape, first[title], size=(3.6, 3.6)) for title in mine]
        run.grid(f"family-{family}", [(panel, "") for panel in panels])
        pictures = [found for title in mine if (found := left[title]["pictures"]) is not None]
        run.grid(f"learned-{family}", [(partial(images, one, shape, columns=8), "") for one in pictures])
    slices = {title: as_field(found["field"]) for title, found in left.items()}
    run.figure("slices", partial(landscape_grid, slices, families=families, arrows=False))


def words_of(family: str, methods: Sequence[VectorMethod], left: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What the page says of one strategy and its methods."""
    mine = [method for method in methods if method.family == family]
    return {
        "key": family,
        **FAMILIES[family]._asdict(),
        "captions": [f"**{method.title}** · {method.paper}. {method.text}" for method in mine],
        "learned": [f"{m.title}: {m.shows}" for m in mine if left[m.title]["pictures"] is not None],
    }

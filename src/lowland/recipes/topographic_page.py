"""The page of the recipe `topographic`: the map, its orientations in colour, and how far they agree."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.figure import Figure
from torch import Tensor

from lowland.energies.lateral_inhibition import sheet_distance
from lowland.plots import curves, images
from lowland.plots.style import INK, MUTED, ORANGE, bare, figure, ruled
from lowland.reports.run import Run

MAP, POOLED, INHIBITED, FLAT = "overlapping pools", "pools of 4, apart", "lateral inhibition", "sparse coding, no pools"
UNTRAINED = "random atoms, untrained"
Found = Mapping[str, Sequence[Mapping[str, Any]]]


def write_page(run: Run, found: Found, sheet: tuple[int, int], pool: int) -> None:
    """Fill the page from what was measured of each method and seed."""
    run.part(_write_map, found, sheet, pool)
    run.part(_write_test, found, sheet)
    run.part(_write_others, found, sheet)


def _write_map(run: Run, found: Found, sheet: tuple[int, int], pool: int) -> None:
    first = found[MAP][0]
    run.section("The map")
    run.text(
        f"Each unit has a place on a sheet of {sheet[0]} × {sheet[1]}, closed in both directions like a torus. The "
        f"penalty counts active **pools** of {pool} × {pool} neighbours, not active units: √(ε² + ‖z_g‖²), summed over "
        "one pool around each place. Units that tend to be active together cost least when they share pools. Nothing "
        "in the energy knows of orientation, and the patches are drawn at random places."
    )
    atoms = images(first["atoms"], columns=sheet[1], title="Atoms, where they are on the sheet")
    wheel = _in_colour(first["angle"], first["selectivity"], sheet)
    run.grid("map", [(atoms, "after training"), (wheel, "the same: hue is orientation, pale where there is none")], 2)


def _write_test(run: Run, found: Found, sheet: tuple[int, int]) -> None:
    run.section("Is it a map?")
    worst = max(one["p"] for one in found[MAP])
    count = len(found[MAP][0]["shuffled"])
    told = (
        "so that chance does not explain the map" if worst < 0.01 else "so that chance is not ruled out in every seed"
    )
    agreement = statistics.fmean(one["agreement"] for one in found[MAP])
    run.finding(
        f"Neighbours on the sheet agree in orientation by {agreement:.2f} on average, of 1 where all are parallel. The "
        f"largest p of {len(found[MAP])} seeds against {count} shuffled maps is {worst:.2g}, {told}."
    )
    run.text(
        "An orientation θ is the axis of an atom's Fourier power. Two neighbours agree by cos 2(θᵢ − θⱼ): 1 where they "
        f"are parallel, −1 at a right angle. The same atoms, put in {count} random orders, give the grey histogram. "
        f"The largest p of the {len(found[MAP])} seeds is {worst:.2g}."
    )
    near = sheet_distance(sheet)
    rings = [(low, (near > low - 0.5) & (near <= low + 0.5)) for low in range(1, min(sheet) // 2 + 1)]
    lines = {}
    for name, each in found.items():
        pairs = [torch.cos(2 * (one["angle"][:, None] - one["angle"])) for one in each]
        means = [statistics.fmean(float(pair[ring].mean()) for pair in pairs) for _, ring in rings]
        lines[name] = ([distance for distance, _ in rings], means)
    drawn = curves(
        lines, title="Agreement against distance", xlabel="distance on the sheet", ylabel="mean of cos 2(θᵢ − θⱼ)"
    )
    caption = f"The null hypothesis for {MAP} in one seed, and mean agreement over {len(found[MAP])} seeds"
    run.grid("test", [(_histogram(found[MAP][0]), ""), (drawn, "")], 2, caption)
    rows = [
        [
            name,
            *((statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None)
              for values in ([one[key] for one in each] for key in ("agreement", "error", "silent"))),
            ", ".join(f"{one['p']:.2g}" for one in each),
        ]
        for name, each in found.items() if name != UNTRAINED
    ]  # fmt: skip
    columns = ("method", "agreement of neighbours", "‖y − Wz‖² on test patches of norm 1", "share of silent units", "p")
    run.table(columns, rows, "A unit is called silent below a twentieth of the patch's largest. p of each seed.")


def _write_others(run: Run, found: Found, sheet: tuple[int, int]) -> None:
    run.section("Other neighbourhoods")
    run.text(
        "**Pools of 4, apart**: 2 × 2 units make a block, and blocks know nothing of each other; half of all "
        "neighbours share one. **Lateral inhibition**: no pools; instead z_i S_ij z_j charges two units that fire "
        "together although they are far apart on the sheet. **No pools**: plain sparse coding, whose sheet means "
        "nothing; its atoms are shown in the order in which they came."
    )
    panels = [
        (images(found[name][0]["atoms"], columns=sheet[1], title=name.capitalize()), "")
        for name in (POOLED, INHIBITED, FLAT)
    ]
    colours = [
        (_in_colour(found[name][0]["angle"], found[name][0]["selectivity"], sheet), "")
        for name in (POOLED, INHIBITED, FLAT)
    ]
    run.grid("others", [*panels, *colours], 3, "Atoms, and their orientations in colour")


def _in_colour(angle: Tensor, selectivity: Tensor, sheet: tuple[int, int]) -> Figure:
    """Each unit in the hue of its orientation, with a bar along its stripes; paler where it has less of one."""
    drawn = figure(4.4, 4.6)
    ax = drawn.add_subplot()
    hue = colormaps["hsv"](((angle / math.pi) % 1).numpy())[:, :3]
    full = (selectivity / selectivity.max()).clamp(0, 1).numpy()[:, None]
    ax.imshow((1 - full + full * hue).reshape(*sheet, 3), interpolation="nearest")
    rows, columns = np.divmod(np.arange(sheet[0] * sheet[1]), sheet[1])
    # Stripes run at a right angle to the direction in which an atom varies.
    across, down = -0.38 * np.sin(angle.numpy()), 0.38 * np.cos(angle.numpy())
    ends = np.stack([np.stack([columns - across, columns + across]), np.stack([rows - down, rows + down])])
    ax.plot(*ends, color=INK, linewidth=0.9, alpha=0.75)
    bare(ax)
    ax.set_title("Orientations", fontsize=10, color=INK, loc="left", pad=6)
    return drawn


def _histogram(measured: Mapping[str, Any]) -> Figure:
    drawn = figure(6.4, 3.8)
    ax = drawn.add_subplot()
    ruled(ax, "Agreement of neighbours", "mean of cos 2(θᵢ − θⱼ) over neighbours", "shuffled maps")
    ax.hist(measured["shuffled"].numpy(), bins=40, color=MUTED, alpha=0.6)
    ax.axvline(measured["agreement"], color=ORANGE, linewidth=2.2)
    ax.annotate(
        "this map", (measured["agreement"], 0.92), xycoords=("data", "axes fraction"), xytext=(-6, 0), ha="right",
        textcoords="offset points", color=ORANGE, fontsize=9,
    )  # fmt: skip
    return drawn

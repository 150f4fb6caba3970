"""The page of the recipe `drsae`: paired differences, what the units are, and what the recurrence does."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from matplotlib.figure import Figure

from lowland.evaluation.verdict import Verdict, verdict
from lowland.plots import curves, images
from lowland.plots.style import FAINT, INK, MUTED, ORANGE, figure, ruled
from lowland.reports.run import Run

DRSAE, RELU, DEEPER, LINEAR = "DrSAE", "ReLU, two layers", "ReLU, three layers", "LISTA + linear"
Found = Sequence[Mapping[str, Mapping[str, Any]]]


def paired(found: Found, other: str) -> Verdict:
    """Test errors of DrSAE against those of the other, over paired seeds."""
    ours, theirs = ([one[name]["test"] for one in found] for name in (DRSAE, other))
    return verdict(ours, theirs, ("higher", "lower"))


def write_results(run: Run, found: Found, commonest: float, data: str) -> None:
    """One row for each method, and one for each paired difference."""
    common = {"id": "S8", "seeds": len(found), "data": data}
    for method in found[0]:
        errors = [100 * one[method]["test"] for one in found]
        sd = statistics.stdev(errors) if len(errors) > 1 else None
        run.result(claim="test error in %", method=method, measured=statistics.fmean(errors), sd=sd, **common)
    common |= {"seeds": 1}
    run.result(claim="test error in %", method="most frequent class (baseline)", measured=100 * commonest, **common)
    common |= {"seeds": len(found)}
    for method in found[0]:
        if method != DRSAE:
            mean, low, high = (100 * value for value in paired(found, method).difference)
            claim = f"test error of DrSAE less that of the other, in points; 95 % interval {low:+.2f} to {high:+.2f}"
            gaps = [100 * (one[DRSAE]["test"] - one[method]["test"]) for one in found]
            sd = statistics.stdev(gaps) if len(gaps) > 1 else None
            run.result(claim=claim, method=f"DrSAE − {method}", measured=mean, sd=sd, **common)


def write_page(
    run: Run,
    found: Found,
    chosen: Mapping[str, Mapping[str, Any]],
    grids: Mapping[str, Sequence[Mapping[str, float]]],
    iterations: int,
    width: int,
    shape: tuple[int, int],
) -> None:
    """Fill the page from the errors of each seed, the tuning, and what seed 0 shows of its units."""
    run.section("Against its rivals")
    told = []
    for method in found[0]:
        if method != DRSAE:
            gap = paired(found, method)
            mean, low, high = (100 * value for value in gap.difference)
            known = f"95 % interval {low:+.2f} to {high:+.2f}" if math.isfinite(low) else "one seed"
            link = "against" if gap.close else "than"
            told.append(f"{gap.word} {link} **{method}** ({mean:+.2f} points, {known})")
    run.finding(f"The test error of DrSAE over {len(found)} paired seeds: {'; '.join(told)}.")
    run.text(
        "In each seed all methods have the same "
        "training and validation images and the same number of updates, and all are tested on the same images. Before "
        "that, each method had four settings, and one more split of the training images chose among them."
    )
    run.text(
        f"A ReLU network of two layers has one hidden layer of {width} units, as DrSAE has; one of three layers has "
        "two of them. LISTA + linear learns a dictionary, then an encoder of its codes, then a classifier of these."
    )
    run.figure("pairs", _pairs(found), "Each line is one seed")
    rows = [
        [method, ", ".join(f"{name} {value:g}" for name, value in setting.items()), 100 * error,
         "chosen" if index == chosen[method]["best"] else ""]
        for method, grid in grids.items()
        for index, (setting, error) in enumerate(zip(grid, chosen[method]["errors"], strict=True))
    ]  # fmt: skip
    run.table(("method", "setting", "validation error in %", ""), rows, "Tuning")
    first = found[0][DRSAE]
    run.part(_write_units, first, shape)
    run.section("What the steps do")
    run.text(
        "The encoder is read out after each of its steps, with the classifier that was trained on the last. In the "
        "account of Rolfe & LeCun, units that match the image answer first; then those that explain the same strokes "
        "silence each other, and units that stand for a class are built up by their parts."
    )
    steps = list(range(1, iterations + 1))
    error = curves(
        {"test error": (steps, [100 * value for value in first["steps"]])}, title="Error after each step",
        xlabel="steps t", ylabel="test error in %",
    )  # fmt: skip
    active = curves(
        {"active": (steps, [100 * value for value in first["active"]])},
        title="Units that are active",
        xlabel="steps t",
        ylabel="%",
    )
    run.grid("steps", [(error, ""), (active, "")], 2)
    sheet = torch.cat([first["x"], first["again"].clamp_min(0)])
    run.figure("again", images(sheet, shape, columns=len(first["x"])), "Test images, and what their codes decode to")


def _write_units(run: Run, first: Mapping[str, Any], shape: tuple[int, int]) -> None:
    used, cosine = first["used"] > 1e-3, first["cosine"]
    if int(used.sum()) < 2:
        used = torch.ones_like(used)  # a code that is hardly trained yet
    order = cosine.masked_fill(~used, 2.0).argsort()[: int(used.sum())]
    count = min(32, len(order) // 2)
    run.section("Parts and categories")
    run.text(
        "Rolfe & LeCun tell two kinds of units apart by the angle between a unit's row of A, what drives it, and its "
        "column of D, what it draws. **Part-units** are driven by what they draw, as in ISTA. **Categorical-units** "
        f"are driven by other units instead. {int(used.sum())} units answer to more than one test image in a thousand; "
        f"below are the {count} with the smallest cosine and the {count} with the largest."
    )
    panels = [
        (images(first["atoms"][order[:count]], shape, columns=8), "smallest cosine: least driven by what they draw"),
        (images(first["atoms"][order[-count:]], shape, columns=8), "largest cosine: parts"),
    ]
    run.grid("units", panels, 2)
    drawn = figure(6.4, 3.8)
    ax = drawn.add_subplot()
    ruled(ax, "Each unit", "cosine of its row of A and its column of D", "largest weight in C less the mean")
    votes = first["votes"].amax(dim=0) - first["votes"].mean(dim=0)
    ax.scatter(cosine[used].numpy(), votes[used].numpy(), s=14, color=ORANGE, alpha=0.7, linewidths=0)
    run.figure("votes", drawn, "In that account, units on the upper left speak for a class")


def _pairs(found: Found) -> Figure:
    methods = list(found[0])
    drawn = figure(6.4, 3.8)
    ax = drawn.add_subplot()
    ruled(ax, "Test error", None, "%")
    for one in found:
        ax.plot(methods, [100 * one[method]["test"] for method in methods], color=FAINT, linewidth=1.2, zorder=1)
    for index, method in enumerate(methods):
        values = [100 * one[method]["test"] for one in found]
        colour = ORANGE if method == DRSAE else MUTED
        ax.scatter([index] * len(values), values, s=22, color=colour, zorder=2)
        ax.plot([index - 0.15, index + 0.15], [statistics.fmean(values)] * 2, color=INK, linewidth=2, zorder=3)
    return drawn

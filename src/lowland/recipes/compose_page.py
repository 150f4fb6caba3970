"""The page of the recipe `compose`: sheets of completed digits, errors, and landscapes that are added."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from lowland.energies.base import Energy
from lowland.evaluation.verdict import verdict
from lowland.plots import curves, images, landscape, measure, plane_through
from lowland.plots.style import FAINT, GOLD, INK, ORANGE, PAPER
from lowland.reports.run import Run
from lowland.solvers.proximal import FISTA

SIDE = 8
HALVES = {"right": (0, 4, 8, 4), "left": (0, 0, 8, 4), "lower": (4, 0, 4, 8), "upper": (0, 0, 4, 8)}
"""Halves of an image: first row and column, height and width in pixels."""
WEIGHTS = (0.001, 0.003, 0.01, 0.03, 0.1)
"""Weights of the second energy of a sum, of which the validation digits choose one."""
PARTNERS = ("smoothness", "correlations")
BEST = "strokes + correlations"
SHOWN = 12
_LABELS = {"sum": (8, 7), "strokes": (-12, -20), "correlations": (-12, -20), "truth": (8, 5)}


def mask_of(hidden: str) -> Tensor:
    """(64,): 1 where a pixel is known."""
    top, left, height, width = HALVES[hidden]
    mask = torch.ones(SIDE, SIDE)
    mask[top : top + height, left : left + width] = 0
    return mask.flatten()


def spread(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and standard deviation.

    >>> spread([1.0, 3.0]), spread([2.0])
    ((2.0, 1.4142135623730951), (2.0, None))
    """
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def write_errors(
    run: Run, found: Sequence[Mapping[str, Any]], hidden: str, test: Tensor, done: Mapping[str, Tensor]
) -> None:
    """The completed digits, their errors, and the error against the weight.

    Args:
        run: to be filled.
        found: of each seed: validation errors in "curves", test errors in "errors".
        hidden: which half.
        test: (N, 64), test digits.
        done: what one seed made of them, by method.
    """
    run.section("The missing half")
    run.text(
        "Three energies that know nothing of each other. **Strokes**: sparse coding, trained on digits, low where few "
        "strokes explain the picture. **Correlations**: a Gaussian of all pixels, fitted to digits by maximum "
        "likelihood, low where pixels agree as they usually do. **Smoothness**: Σ (yᵢ − yⱼ)² over neighbours, which "
        "learned nothing. Half of each test digit is clamped, and the other half falls where the energy is low. No "
        "energy was trained for this: which half is known is decided only now."
    )
    told = []
    for name in PARTNERS:
        both = [one["errors"][f"strokes + {name}"] for one in found]
        single = [min(one["errors"]["strokes"], one["errors"][name]) for one in found]
        told.append(f"with {name} it is {verdict(both, single, ('higher', 'lower')).word}")
    run.finding(
        f"The error of the sum against that of the better of its two terms, over {len(found)} seeds: {'; '.join(told)}."
    )
    given = torch.where(mask_of(hidden).bool(), test[:SHOWN], torch.nan)
    errors = {name: statistics.fmean(one["errors"][name] for one in found) for name in done}
    rows = {"given": given, **{f"{name}  {errors[name]:.4f}": y[:SHOWN] for name, y in done.items()}}
    run.figure(
        "halves",
        _sheet({**rows, "truth": test[:SHOWN]}, {"given": hidden}),
        f"The first {SHOWN} test digits, as one of the seeds fills them. The numbers are squared errors of a hidden "
        f"pixel, means over all test digits and {len(found)} seeds.",
    )
    run.text(
        "The weight w of the second energy is chosen on validation digits, and so is the sparsity λ, which is the best "
        "one for the strokes alone. Energies have no common unit, so w cannot be guessed; but this one number is all "
        "that has to be found to join two models. A partner is worth what it knows that the strokes do not: compare "
        "the two lines."
    )
    lines: dict[str, Any] = {}
    for name in PARTNERS:
        alone, *means = [statistics.fmean(point) for point in zip(*[one["curves"][name] for one in found], strict=True)]
        lines[f"+ {name}"] = (WEIGHTS, means)
        lines["strokes alone"] = (WEIGHTS, [alone] * len(WEIGHTS))
    drawn = curves(
        lines, title="Validation digits", xlabel="weight w", ylabel="squared error of a hidden pixel", log="x"
    )
    run.figure("weights", drawn, f"Mean over {len(found)} seeds")


def write_landscapes(
    run: Run, energies: Mapping[str, Energy], test: Tensor, done: Mapping[str, Tensor], resolution: int
) -> None:
    """Two energies and their sum on the plane through the truth and the answers of the two."""
    index = int((done["strokes"] - done["correlations"])[:40].square().sum(dim=1).argmax())
    answers = {"strokes": done["strokes"][index], "correlations": done["correlations"][index], "truth": test[index]}
    plane = plane_through(torch.stack(list(answers.values())), (0, 1, 2))
    flat = {name: plane.project(y[None])[0] for name, y in {**answers, "sum": done[BEST][index]}.items()}
    half = 1.3 * float(torch.stack(list(flat.values())).abs().max())
    panels = []
    for name in ("strokes", "correlations", BEST):
        bounds, solver = ((-half, half), (-half, half)), FISTA(max_steps=200)
        field = measure(energies[name].cpu(), bounds, resolution=resolution, arrows=13, plane=plane, solver=solver)
        drawn = landscape(field, title=name.capitalize())
        for label, u in flat.items():
            place = (float(u[0]), float(u[1]))
            drawn.axes[0].plot(*place, "o", color=GOLD, mec=INK, mew=0.8, ms=8, zorder=9)
            drawn.axes[0].annotate(
                label, place, xytext=_LABELS[label], textcoords="offset points", fontsize=12, color=INK, zorder=10,
                bbox={"boxstyle": "round,pad=0.2", "fc": PAPER, "ec": "none", "alpha": 0.75},
            )  # fmt: skip
        panels.append((drawn, ""))
    run.section("Adding landscapes")
    run.text(
        "One digit, and the plane through three ways of filling its hidden half: the answer of the strokes, that of "
        "the correlations, and the truth. Dark is low, and arrows point downhill. Of the first 40 test digits it is "
        "the one on which the two energies disagree most. Added, they settle on a compromise."
    )
    run.grid("plane", panels, columns=3, caption="The answer of the sum is drawn where it projects to.")


def write_any_half(run: Run, halves: Mapping[str, Tensor], test: Tensor) -> None:
    """What the same energy infers for each hidden half."""
    run.section("Any half")
    run.text("The same sum, with nothing trained or chosen anew, infers whichever half is hidden.")
    rows = {f"{half} half": y for half, y in halves.items()}
    drawn = _sheet({**rows, "truth": test[:SHOWN]}, {f"{half} half": half for half in halves})
    run.figure("any", drawn, f"Framed: inferred by {BEST}")


def _sheet(rows: Mapping[str, Tensor], hidden: Mapping[str, str]) -> Figure:
    """Rows of digits with their names; the hidden half of a row is framed, or tinted where its pixels are NaN."""
    count = len(next(iter(rows.values())))
    drawn = images(torch.cat([y.clamp(0, 1) for y in rows.values()]), columns=count, signed=False)
    ax = drawn.axes[0]
    for index, (name, y) in enumerate(rows.items()):
        down = index * (SIDE + 1)
        ax.text(-1.5, down + SIDE / 2 - 0.5, name, ha="right", va="center", fontsize=8.5, color=INK)
        if name not in hidden:
            continue
        top, left, height, width = HALVES[hidden[name]]
        fill, edge = (FAINT, "none") if bool(y.isnan().any()) else ("none", ORANGE)
        for column in range(count):
            corner = (column * (SIDE + 1) + left - 0.5, down + top - 0.5)
            ax.add_patch(Rectangle(corner, width, height, facecolor=fill, edgecolor=edge, linewidth=0.9))
    return drawn

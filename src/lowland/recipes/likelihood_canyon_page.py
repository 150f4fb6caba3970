"""The page of the recipe `likelihood-canyon`: landscapes, cuts, and what the canyon does to descent."""

from __future__ import annotations

import math
from typing import TypeAlias

import torch
from matplotlib.figure import Figure
from torch import Tensor

from lowland.energies.base import Energy
from lowland.plots import Field, curves, landscape_grid, measure
from lowland.reports.run import Run

PLAIN, SMOOTH = "likelihood alone", "with smoothness"
Lands: TypeAlias = dict[tuple[str, int], Energy]
"""Trained energies by method and training steps."""
Seen: TypeAlias = dict[tuple[str, int], dict[str, float]]
"""What was measured, by method and training steps."""

BOX = 2.6
"""Half the side of the square on which densities are normalised, in units of y."""
STEP, MOVES = 0.01, 50
"""Descent that is the same for all."""
CEILING = 3.0
"""Where the colours of the landscapes end, in nats above the floor: there the density is a twentieth."""
LEVEL = 1 / math.pi
"""Height of the centre of the spiral, where a horizontal cut crosses its turns."""
LENGTH = 12.86
"""Of the spiral, in units of y: (θ √(θ² + 1) + arsinh θ) / 4π at θ = 4π."""


def steepest(smoothness: float) -> float:
    """A / (4 λ ℓ), the slope beside the curve that training with smoothness tends to, in nats per unit.

    Where the loss has its minimum, ρ − p = (2 λ / A) ∇²F, with ρ the density of the data, p that of the model and A the
    area of the box. The flux of ∇F out of a curve of length ℓ, evenly filled, is thus A / (2 λ ℓ), half to each side.
    """
    return (2 * BOX) ** 2 / (4 * smoothness * LENGTH)


def write_page(run: Run, lands: Lands, seen: Seen, points: Tensor, smoothness: float, resolution: int) -> None:
    """Fill the page from what the stages measured; `points` are drawn on the landscapes."""
    last = max(steps for _, steps in lands)
    run.finding(
        f"After {last:,} steps of likelihood alone the valley has walls of {seen[PLAIN, last]['slope']:.3g} nats per "
        f"unit, and of {seen[SMOOTH, last]['slope']:.3g} with smoothness; theory gives {steepest(smoothness):.2g}."
    )
    run.section("The same loss, with and without smoothness")
    run.text(
        "The data lie on a curve, which has no area. A density concentrated in a strip of width σ around it gives the "
        "data −log p = log σ + const: **likelihood has no optimum**, it always gains by a narrower strip. In terms of "
        "energy, the floor falls without end against its surroundings and the walls turn vertical.\n\nThe lower row "
        f"adds λ mean ‖∇F‖² over the box, with λ = {smoothness:g}. A slope now costs something wherever it is, and "
        "there is an optimum: beside a curve of length ℓ in a box of area A the slope tends to A / 4λℓ = "
        f"**{steepest(smoothness):.2g}** and stays there, however long the training. The price is likelihood."
    )
    counts = sorted({steps for _, steps in lands})
    # Titles of panels are unique: those of the second row end in a space that does not show.
    titles = {key: f"{key[1]} steps" + (" " if key[0] == SMOOTH else "") for key in lands}
    captions = {titles[key]: f"depth {seen[key]['gap']:.3g}, slope {seen[key]['slope']:.3g}" for key in lands}
    drawn = landscape_grid(
        {titles[key]: _land(land, points, resolution) for key, land in lands.items()},
        captions=captions,
        families={titles[key]: key[0] for key in lands},
        columns=len(counts),
    )
    about = (
        f"Longer training from left to right. What lies more than {CEILING:g} nats above the floor has one colour. The "
        "captions give the depth, in nats, and the median slope a tenth of a unit beside the curve."
    )
    run.figure("landscapes", drawn, about, dpi=200)
    run.grid(
        "cuts",
        [(_cut(lands, name, counts[-4:]), "") for name in (PLAIN, SMOOTH)],
        columns=2,
        caption="F along a horizontal line through the middle of the spiral; numbers are training steps. The line "
        "meets the curve four times. Mind the scales.",
    )
    _inference(run, seen, counts)


def _land(energy: Energy, points: Tensor, resolution: int) -> Field:
    """The landscape below a ceiling above the floor, so that colours mean the same in all panels."""
    field = measure(energy, ((-BOX, BOX), (-BOX, BOX)), points, resolution=resolution, arrows=11)
    assert field.energies is not None
    return field._replace(values=field.values.clamp_max(float(field.energies.median()) + CEILING))


def _cut(lands: Lands, name: str, counts: list[int]) -> Figure:
    across = torch.linspace(-1.55, 1.05, 401)
    lines = {}
    for steps in counts:
        with torch.no_grad():
            values = lands[name, steps](y=torch.stack([across, torch.full_like(across, LEVEL)], dim=1))
        lines[f"{steps}"] = (across.tolist(), (values - values.min()).tolist())
    return curves(lines, title=name.capitalize(), xlabel="y₁", ylabel="F − lowest F on the cut, in nats")


def _inference(run: Run, seen: Seen, counts: list[int]) -> None:
    run.section("What it does to inference")
    run.text(
        "Descent on F is stable only for steps below 2 / curvature. As the canyon gets steeper, a step size that was "
        f"fine overshoots its walls: here {MOVES} steps of size {STEP:g}, from test points with noise of 0.3. With "
        "smoothness the curvature stays moderate, and so does the step size that it asks for. The table is fair to the "
        "canyon as well: its last columns choose the step size for each landscape anew, on validation points, and by "
        "ever smaller steps a canyon can be followed.\n\nThe sum over a grid has a limit of its own. Once the canyon "
        "is narrower than a cell, the loss in training promises a likelihood that a finer grid denies."
    )
    figures = (
        ("gap", "Depth of the valley", "F at 0.3 from the curve − F on it", "xy"),
        ("stiffness", "Curvature on the curve", "nats per squared unit", "xy"),
        ("fixed", f"{MOVES} steps of descent of size {STEP:g}", "distance to the curve", "xy"),
        ("honest", "Test points, Z on a finer grid", "−log p, in nats", "x"),
    )
    panels = []
    for key, title, label, log in figures:
        lines = {name: (counts, [seen[name, steps][key] for steps in counts]) for name in (PLAIN, SMOOTH)}
        if key == "fixed":
            lines["no inference"] = (counts, [seen[PLAIN, steps]["idle"] for steps in counts])
        panels.append((curves(lines, title=title, xlabel="training steps", ylabel=label, log=log), ""))
    run.grid("growth", panels, columns=2)
    keys = {
        "nll": "train",
        "honest": "test",
        "gap": "depth",
        "slope": "slope",
        "stiffness": "curvature",
        "fixed": f"steps of {STEP:g}",
        "chosen": "best steps",
        "step": "best size",
    }
    run.table(
        ("trained by", "for", *keys.values()),
        [[name, steps, *[round(seen[name, steps][key], 5) for key in keys]] for name, steps in seen],
        caption="*Train*, *test*: −log p, Z on the grid of training and on a finer one. *Steps*: median distance to "
        f"the curve after descent, which begins at {seen[PLAIN, counts[-1]]['idle']:.3f}.",
    )

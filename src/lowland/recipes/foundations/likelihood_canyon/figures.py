"""Pictures of the recipe `likelihood-canyon`: landscapes and cuts along the training, and how the measures grow."""

from __future__ import annotations

import math
from typing import TypeAlias

import torch
from matplotlib.figure import Figure
from torch import Tensor

from lowland.energies.base import Energy
from lowland.evaluation.energy_gap import scores
from lowland.plots import curves, landscape_grid, measure
from lowland.recipes.foundations.likelihood_canyon.valley import BOX, MOVES, STEP

PLAIN, SMOOTH = "likelihood alone", "with smoothness"
Lands: TypeAlias = dict[tuple[str, int], Energy]
"""Trained energies by method and training steps."""
Seen: TypeAlias = dict[tuple[str, int], dict[str, float]]
"""What was measured, by method and training steps."""

CEILING = 3.0
"""Where the colours of the landscapes end, in nats above the floor: there the density is a twentieth."""
LEVEL = 1 / math.pi
"""Height of the centre of the spiral, where a horizontal cut crosses its turns."""
PANELS = {
    "gap": ("Depth of the valley", "F at 0.3 from the curve − F on it", "xy"),
    "stiffness": ("Curvature on the curve", "nats per squared unit", "xy"),
    "fixed": (f"{MOVES} steps of descent of size {STEP:g}", "distance to the curve", "xy"),
    "honest": ("Test points, Z on a finer grid", "−log p, in nats", "x"),
}
"""Title, vertical axis and logarithmic axes of each picture of growth."""


def landscapes(lands: Lands, seen: Seen, points: Tensor, resolution: int) -> Figure:
    """Both trainings after every number of steps, with colours that mean the same."""
    bounds = ((-BOX, BOX), (-BOX, BOX))
    # Titles of panels are unique: those of the second row end in a space that does not show.
    titles = {key: f"{key[1]} steps" + (" " if key[0] == SMOOTH else "") for key in lands}
    panels = {
        titles[key]: measure(land, bounds, points, resolution=resolution, arrows=11).below(CEILING)
        for key, land in lands.items()
    }
    captions = {t: f"depth {seen[key]['gap']:.3g}, slope {seen[key]['slope']:.3g}" for key, t in titles.items()}
    families = {title: key[0] for key, title in titles.items()}
    return landscape_grid(panels, captions=captions, families=families, columns=len({steps for _, steps in lands}))


def cut(lands: Lands, name: str, counts: tuple[int, ...]) -> Figure:
    """F along a horizontal line."""
    across = torch.linspace(-1.55, 1.05, 401)
    values = {f"{n}": scores(lands[name, n], torch.stack([across, torch.full_like(across, LEVEL)], 1)) for n in counts}
    lines = {steps: (across.tolist(), (value - value.min()).tolist()) for steps, value in values.items()}
    return curves(lines, title=name.capitalize(), xlabel="y₁", ylabel="F − lowest F on the cut, in nats")


def growth(seen: Seen, counts: tuple[int, ...], key: str) -> Figure:
    """One measure against the number of training steps."""
    title, ylabel, log = PANELS[key]
    lines = {name: (counts, [seen[name, steps][key] for steps in counts]) for name in (PLAIN, SMOOTH)}
    if key == "fixed":
        lines["no inference"] = (counts, [seen[PLAIN, steps]["idle"] for steps in counts])
    return curves(lines, title=title, xlabel="training steps", ylabel=ylabel, log=log)

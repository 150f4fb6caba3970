"""The canyon of maximum likelihood: likelihood alone deepens a curve without end; a smoothness penalty stops it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, TypeAlias

import torch
from matplotlib.figure import Figure
from torch import Tensor

from lowland.data.plane import SPIRAL_LENGTH, toy
from lowland.energies.base import Energy
from lowland.energies.network import NetworkEnergy
from lowland.evaluation.energy_gap import scores
from lowland.plots import curves, landscape_grid, measure
from lowland.recipes.base import Bound, Count, Positive, Recipe, recipe
from lowland.recipes.foundations.likelihood_canyon.valley import BOX, MOVES, STEP, Probes, measured, probes
from lowland.reports.run import Run
from lowland.shaping.contrastive.likelihood import MaximumLikelihoodGrid
from lowland.training.fit import fit
from lowland.training.snapshots import Snapshots, check_rising

PLAIN, SMOOTH = "likelihood alone", "with smoothness"
Lands: TypeAlias = dict[tuple[str, int], Energy]
"""Trained energies by method and training steps."""
Seen: TypeAlias = dict[tuple[str, int], dict[str, float]]
"""What was measured, by method and training steps."""

CEILING = 3.0
"""Where the colours of the landscapes end, in nats above the floor: there the density is a twentieth."""
LEVEL = 1 / math.pi
"""Height of the centre of the spiral, where a horizontal cut crosses its turns."""
TABLE = {
    "nll": "train", "honest": "test", "gap": "depth", "slope": "slope", "stiffness": "curvature",
    "fixed": f"steps of {STEP:g}", "chosen": "best steps", "step": "best size",
}  # fmt: skip


@recipe
@dataclass(frozen=True)
class LikelihoodCanyonRecipe(Recipe):
    """L = mean F(y) + log ∫ e^{−F} + λ mean ‖∇F‖² on a spiral without noise, for λ = 0 and λ > 0."""

    steps: tuple[Count, ...] = (100, 200, 400, 800, 1200)
    """Numbers of training steps after which the energy is measured."""
    smoothness: Positive = 0.1
    """λ of the second training, in units of y²."""
    hidden: Count = 64
    """Units in each of the two hidden layers of the energy."""
    nodes: Annotated[int, Bound(least=2)] = 96
    """Nodes of the grid along each axis, on which Z is a sum."""
    points: Annotated[int, Bound(least=10)] = 4000
    """Training points; a fifth of them is held out for the training curves."""
    probes: Count = 400
    """Points, drawn separately, at which everything is measured."""
    resolution: Count = 90
    """Cells along each side of a landscape."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"steps": (5, 10, 20), "hidden": 16, "nodes": 24, "points": 200, "probes": 20, "resolution": 24}
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        check_rising("steps", self.steps)

    def run(self, run: Run) -> None:
        run.expect(4)
        validation, test = (probes(self.probes, self.generator(offset), self.device) for offset in (1, 2))
        lands: Lands = {}
        seen: Seen = {}
        for name, smoothness in ((PLAIN, 0.0), (SMOOTH, self.smoothness)):
            key = name.replace(" ", "-")
            trained = run.stage(f"train/{key}", partial(self._train, run, smoothness))
            mine: dict[str, Energy] = {str(steps): self._energy(trained["weights"][str(steps)]) for steps in self.steps}
            found = run.stage(f"measure/{key}", partial(self._measure, mine, validation, test))
            for steps in self.steps:
                lands[name, steps] = mine[str(steps)].cpu()
                seen[name, steps] = {"nll": trained["nll"][str(steps)], **found[str(steps)]}
            last, before = seen[name, self.steps[-1]], seen[name, self.steps[max(0, len(self.steps) - 2)]]
            run.measured.add({name: {**last, "growth": last["gap"] / before["gap"]}})
            run.save_energy(key, lands[name, self.steps[-1]])
        idle = seen[PLAIN, self.steps[-1]]["idle"]
        run.measured.add({"no inference": {"fixed": idle}, "uniform": {"honest": 2 * math.log(2 * BOX)}})
        steepest = self._likelihood(self.smoothness).steepest(SPIRAL_LENGTH)
        run.show(moves=MOVES, size=STEP, ceiling=CEILING, steepest=steepest)
        run.part(self._draw, lands, seen, test.on.cpu())

    def _likelihood(self, smoothness: float = 0.0, finer: int = 1) -> MaximumLikelihoodGrid:
        return MaximumLikelihoodGrid(-BOX, BOX, finer * self.nodes, smoothness)

    def _energy(self, weights: dict[str, Tensor] | None = None) -> NetworkEnergy:
        energy = NetworkEnergy(2, (self.hidden, self.hidden), generator=self.generator(4))
        if weights is not None:
            energy.load_state_dict(weights)
        return energy.to(self.device)

    def _train(self, run: Run, smoothness: float) -> dict[str, Any]:
        """One training, with the weights and the loss that it had after each number of steps."""
        energy = self._energy()
        kept = Snapshots(energy, self.steps)
        train = toy("spiral", self.points, self.generator(), noise=0.0).to(self.device)
        found = fit(
            energy, train, self._likelihood(smoothness), max_steps=self.steps[-1],
            batch_size=min(512, self.points // 2), lr=5e-3, validation=0.2, seed=self.seed, progress=False,
            callback=kept,
        )  # fmt: skip
        for name in ("nll", "validation/nll"):
            for step, value in zip(*found.history[name], strict=True):
                run.log(int(step), **{name: value})
        weights = {str(steps): kept.weights[steps] for steps in self.steps}
        return {"weights": weights, "nll": {str(steps): kept.metrics[steps]["nll"] for steps in self.steps}}

    def _measure(self, energies: dict[str, Energy], validation: Probes, test: Probes) -> dict[str, dict[str, float]]:
        # Four times finer than in training, so that a canyon between the nodes of the training grid is seen.
        exact = self._likelihood(finer=4)
        return {steps: measured(energy, exact, validation, test) for steps, energy in energies.items()}

    def _draw(self, run: Run, lands: Lands, seen: Seen, points: Tensor) -> None:
        run.figure("landscapes", partial(self._landscapes, lands, seen, points), dpi=200)
        run.grid("cuts", [(partial(_cut, lands, name, self.steps[-4:]), "") for name in (PLAIN, SMOOTH)])
        run.grid("growth", [(partial(_growth, seen, self.steps, key), "") for key in _PANELS])
        rows = [[name, steps, *[round(seen[name, steps][key], 5) for key in TABLE]] for name, steps in seen]
        run.table(("trained by", "for", *TABLE.values()), rows, name="all")

    def _landscapes(self, lands: Lands, seen: Seen, points: Tensor) -> Figure:
        bounds = ((-BOX, BOX), (-BOX, BOX))
        # Titles of panels are unique: those of the second row end in a space that does not show.
        titles = {key: f"{key[1]} steps" + (" " if key[0] == SMOOTH else "") for key in lands}
        panels = {
            titles[key]: measure(land, bounds, points, resolution=self.resolution, arrows=11).below(CEILING)
            for key, land in lands.items()
        }
        captions = {t: f"depth {seen[key]['gap']:.3g}, slope {seen[key]['slope']:.3g}" for key, t in titles.items()}
        families = {title: key[0] for key, title in titles.items()}
        return landscape_grid(panels, captions=captions, families=families, columns=len(self.steps))


def _cut(lands: Lands, name: str, counts: tuple[int, ...]) -> Figure:
    """F along a horizontal line."""
    across = torch.linspace(-1.55, 1.05, 401)
    values = {f"{n}": scores(lands[name, n], torch.stack([across, torch.full_like(across, LEVEL)], 1)) for n in counts}
    lines = {steps: (across.tolist(), (value - value.min()).tolist()) for steps, value in values.items()}
    return curves(lines, title=name.capitalize(), xlabel="y₁", ylabel="F − lowest F on the cut, in nats")


_PANELS = {
    "gap": ("Depth of the valley", "F at 0.3 from the curve − F on it", "xy"),
    "stiffness": ("Curvature on the curve", "nats per squared unit", "xy"),
    "fixed": (f"{MOVES} steps of descent of size {STEP:g}", "distance to the curve", "xy"),
    "honest": ("Test points, Z on a finer grid", "−log p, in nats", "x"),
}


def _growth(seen: Seen, counts: tuple[int, ...], key: str) -> Figure:
    """One measure against the number of training steps."""
    title, ylabel, log = _PANELS[key]
    lines = {name: (counts, [seen[name, steps][key] for steps in counts]) for name in (PLAIN, SMOOTH)}
    if key == "fixed":
        lines["no inference"] = (counts, [seen[PLAIN, steps]["idle"] for steps in counts])
    return curves(lines, title=title, xlabel="training steps", ylabel=ylabel, log=log)

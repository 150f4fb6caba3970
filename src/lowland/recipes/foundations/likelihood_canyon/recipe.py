"""The canyon of maximum likelihood: likelihood alone deepens a curve without end; a smoothness penalty stops it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar

from torch import Tensor

from lowland.data.plane import SPIRAL_LENGTH, toy
from lowland.energies.base import Energy
from lowland.energies.network import NetworkEnergy
from lowland.recipes.base import Bound, Count, Positive, Recipe, recipe
from lowland.recipes.foundations.likelihood_canyon.figures import (
    CEILING,
    PANELS,
    PLAIN,
    SMOOTH,
    Lands,
    Seen,
    cut,
    growth,
    landscapes,
)
from lowland.recipes.foundations.likelihood_canyon.valley import BOX, MOVES, STEP, Probes, measured, probes
from lowland.reports.run import Run
from lowland.shaping.contrastive.likelihood import MaximumLikelihoodGrid
from lowland.training.fit import fit
from lowland.training.snapshots import Snapshots, check_rising

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
        run.figure("landscapes", partial(landscapes, lands, seen, points, self.resolution), dpi=200)
        run.grid("cuts", [(partial(cut, lands, name, self.steps[-4:]), "") for name in (PLAIN, SMOOTH)])
        run.grid("growth", [(partial(growth, seen, self.steps, key), "") for key in PANELS])
        rows = [[name, steps, *[round(seen[name, steps][key], 5) for key in TABLE]] for name, steps in seen]
        run.table(("trained by", "for", *TABLE.values()), rows, name="all")

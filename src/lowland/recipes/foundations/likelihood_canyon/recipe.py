"""The canyon of maximum likelihood: likelihood alone deepens a curve without end; a smoothness penalty stops it."""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, TypeAlias

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional

from lowland.data.plane import toy
from lowland.energies.base import Energy
from lowland.energies.network import NetworkEnergy
from lowland.errors import OptionError
from lowland.evaluation.steepness import curvature, slope
from lowland.inference import infer
from lowland.plots import Field, curves, landscape_grid, measure
from lowland.recipes.base import Bound, Count, Positive, Recipe, recipe
from lowland.reports.run import Run
from lowland.shaping.base import Batch
from lowland.shaping.contrastive.likelihood import MaximumLikelihoodGrid
from lowland.solvers.gradient_descent import GradientDescent
from lowland.training.fit import fit

PLAIN, SMOOTH = "likelihood alone", "with smoothness"
Lands: TypeAlias = dict[tuple[str, int], Energy]
"""Trained energies by method and training steps."""
Seen: TypeAlias = dict[tuple[str, int], dict[str, float]]
"""What was measured, by method and training steps."""

BOX = 2.6
"""Half the side of the square on which densities are normalised, in units of y."""
STEP, MOVES = 0.01, 50
"""Descent that is the same for all."""
TRIED = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
"""Step sizes of descent among which the validation points choose."""
CEILING = 3.0
"""Where the colours of the landscapes end, in nats above the floor: there the density is a twentieth."""
LEVEL = 1 / math.pi
"""Height of the centre of the spiral, where a horizontal cut crosses its turns."""
LENGTH = 12.86
"""Of the spiral, in units of y: (θ √(θ² + 1) + arsinh θ) / 4π at θ = 4π."""
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
        if not self.steps or list(self.steps) != sorted(set(self.steps)):
            raise OptionError(f"steps must be one or more rising numbers, not {self.steps}.")

    def run(self, run: Run) -> None:
        run.expect(4)
        lands: Lands = {}
        seen: Seen = {}
        for name, smoothness in ((PLAIN, 0.0), (SMOOTH, self.smoothness)):
            key = name.replace(" ", "-")
            trained = run.stage(f"train/{key}", partial(self._train, run, smoothness))
            mine = {steps: self._energy(trained["weights"][str(steps)]) for steps in self.steps}
            found = run.stage(f"measure/{key}", partial(self._measure, mine))
            for steps, energy in mine.items():
                lands[name, steps] = energy.cpu()
                seen[name, steps] = {"nll": trained["nll"][str(steps)], **found[str(steps)]}
            last, before = seen[name, self.steps[-1]], seen[name, self.steps[max(0, len(self.steps) - 2)]]
            run.measured.add({name: {**last, "growth": last["gap"] / before["gap"]}})
            run.save_energy(key, lands[name, self.steps[-1]])
        idle = seen[PLAIN, self.steps[-1]]["idle"]
        run.measured.add({"no inference": {"fixed": idle}, "uniform": {"honest": 2 * math.log(2 * BOX)}})
        run.show(moves=MOVES, size=STEP, ceiling=CEILING, steepest=steepest(self.smoothness))
        run.part(self._draw, lands, seen)

    def _energy(self, weights: dict[str, Tensor] | None = None) -> NetworkEnergy:
        energy = NetworkEnergy(2, (self.hidden, self.hidden), generator=self.generator(4))
        if weights is not None:
            energy.load_state_dict(weights)
        return energy.to(self.device)

    def _train(self, run: Run, smoothness: float) -> dict[str, Any]:
        """One training, with the weights and the loss that it had after each number of steps."""
        energy, weights, losses, history = self._energy(), {}, {}, {}
        shaping = MaximumLikelihoodGrid(-BOX, BOX, self.nodes, smoothness)
        train = toy("spiral", self.points, self.generator(), noise=0.0).to(self.device)
        with tempfile.TemporaryDirectory() as folder:
            for steps in self.steps:
                # Each call continues where the last one ended, the state of the optimiser included.
                found = fit(
                    energy, train, shaping, max_steps=steps, batch_size=min(512, self.points // 2), lr=5e-3,
                    validation=0.2, seed=self.seed, run=folder, resume=True, progress=False,
                )  # fmt: skip
                weights[str(steps)] = {name: value.clone() for name, value in energy.state_dict().items()}
                history = found.history
                losses[str(steps)] = history["nll"].values[-1]
        for name in ("nll", "validation/nll"):
            for step, value in zip(*history[name], strict=True):
                run.log(int(step), **{name: value})
        return {"weights": weights, "nll": losses}

    def _measure(self, energies: dict[int, NetworkEnergy]) -> dict[str, dict[str, float]]:
        return {str(steps): self._measured(energy) for steps, energy in energies.items()}

    def _measured(self, energy: Energy) -> dict[str, float]:
        """Depths in nats, lengths in units of y."""
        validation, test = (self._probes(offset) for offset in (1, 2))
        # Four times finer than in training, so that a canyon between the nodes of the training grid is seen.
        exact = MaximumLikelihoodGrid(-BOX, BOX, 4 * self.nodes)
        with torch.no_grad():
            honest = exact(energy, Batch(test["on"])).losses["energy"].item()
            gap = energy(y=test["beside"]).mean() - energy(y=test["on"]).mean()
        tried = [_after_descent(energy, validation["noisy"], size) for size in TRIED]
        best = TRIED[min(range(len(TRIED)), key=tried.__getitem__)]
        return {
            "honest": honest,
            "gap": gap.item(),
            "slope": slope(energy, test["close"]).median().item(),
            "stiffness": curvature(energy, test["on"]).median().item(),
            "fixed": _after_descent(energy, test["noisy"], STEP),
            "chosen": _after_descent(energy, test["noisy"], best),
            "step": best,
            "idle": distance(test["noisy"]).median().item(),
        }

    def _probes(self, offset: int) -> dict[str, Tensor]:
        """Points on the curve, 0.1 and 0.3 away from them in random directions, and with noise of 0.3."""
        generator = self.generator(offset)
        on = toy("spiral", self.probes, generator, noise=0.0)
        noise = torch.randn(self.probes, 2, generator=generator)
        away = functional.normalize(noise, dim=1)
        places = {"on": on, "close": on + 0.1 * away, "beside": on + 0.3 * away, "noisy": on + 0.3 * noise}
        return {name: place.to(self.device) for name, place in places.items()}

    def _draw(self, run: Run, lands: Lands, seen: Seen) -> None:
        run.figure("landscapes", partial(self._landscapes, lands, seen), dpi=200)
        run.grid("cuts", [(partial(_cut, lands, name, self.steps[-4:]), "") for name in (PLAIN, SMOOTH)])
        run.grid("growth", [(partial(_growth, seen, self.steps, key), "") for key in _PANELS])
        rows = [[name, steps, *[round(seen[name, steps][key], 5) for key in TABLE]] for name, steps in seen]
        run.table(("trained by", "for", *TABLE.values()), rows, name="all")

    def _landscapes(self, lands: Lands, seen: Seen) -> Figure:
        points = self._probes(2)["on"].cpu()
        # Titles of panels are unique: those of the second row end in a space that does not show.
        titles = {key: f"{key[1]} steps" + (" " if key[0] == SMOOTH else "") for key in lands}
        return landscape_grid(
            {titles[key]: _below_ceiling(land, points, self.resolution) for key, land in lands.items()},
            captions={t: f"depth {seen[key]['gap']:.3g}, slope {seen[key]['slope']:.3g}" for key, t in titles.items()},
            families={title: key[0] for key, title in titles.items()},
            columns=len(self.steps),
        )


def steepest(smoothness: float) -> float:
    """A / (4 λ ℓ), the slope beside the curve that training with smoothness tends to, in nats per unit.

    Where the loss has its minimum, ρ − p = (2 λ / A) ∇²F, with ρ the density of the data, p that of the model and A the
    area of the box. The flux of ∇F out of a curve of length ℓ, evenly filled, is thus A / (2 λ ℓ), half to each side.
    """
    return (2 * BOX) ** 2 / (4 * smoothness * LENGTH)


def distance(y: Tensor) -> Tensor:
    """(N,): distance to the spiral, as to 20,000 points of it, which lie closer than 0.01 to each other."""
    curve = toy("spiral", 20_000, noise=0.0).to(y)
    return torch.cdist(y, curve, compute_mode="donot_use_mm_for_euclid_dist").min(dim=1).values


def _after_descent(energy: Energy, start: Tensor, size: float) -> float:
    """Median distance to the curve after descent."""
    found = infer(energy, over="y", solver=GradientDescent(size, max_steps=MOVES, tol=None), init=start)
    return distance(found.value).median().item()


def _below_ceiling(energy: Energy, points: Tensor, resolution: int) -> Field:
    """The landscape cut off above its floor, so that colours mean the same in all panels."""
    field = measure(energy, ((-BOX, BOX), (-BOX, BOX)), points, resolution=resolution, arrows=11)
    assert field.energies is not None
    return field._replace(values=field.values.clamp_max(float(field.energies.median()) + CEILING))


def _cut(lands: Lands, name: str, counts: tuple[int, ...]) -> Figure:
    across = torch.linspace(-1.55, 1.05, 401)
    lines = {}
    for steps in counts:
        with torch.no_grad():
            values = lands[name, steps](y=torch.stack([across, torch.full_like(across, LEVEL)], dim=1))
        lines[f"{steps}"] = (across.tolist(), (values - values.min()).tolist())
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

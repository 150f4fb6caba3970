"""The canyon of maximum likelihood (row L3): likelihood alone digs without end along a curve; smoothness stops it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from lowland.data.plane import toy
from lowland.energies.base import Energy
from lowland.energies.network import NetworkEnergy
from lowland.errors import OptionError
from lowland.inference import infer
from lowland.recipes.base import Recipe, recipe
from lowland.recipes.likelihood_canyon_page import BOX, MOVES, PLAIN, SMOOTH, STEP, Lands, Seen, write_page
from lowland.reports.run import Run
from lowland.shaping.base import Batch
from lowland.shaping.contrastive.likelihood import MaximumLikelihoodGrid
from lowland.solvers.gradient_descent import GradientDescent
from lowland.training.fit import fit

TRIED = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
"""Step sizes of descent among which the validation points choose."""


@recipe(
    "likelihood-canyon",
    shows="On data that fill no area maximum likelihood digs an ever deeper and steeper canyon, in which descent needs "
    "ever smaller steps; a penalty on the slope bounds it.",
    rows=("C1", "L3"),
    minutes=1.5,
    title="The likelihood canyon",
)
@dataclass(frozen=True)
class LikelihoodCanyonRecipe(Recipe):
    """L = mean F(y) + log ∫ e^{−F} + λ mean ‖∇F‖² on a spiral without noise, for λ = 0 and λ > 0."""

    steps: tuple[int, ...] = (100, 200, 400, 800, 1200)
    """Training steps after which the land is looked at."""
    smoothness: float = 0.1
    """λ of the second training, in units of y²."""
    hidden: int = 64
    """Units in each of the two hidden layers of the energy."""
    nodes: int = 96
    """Nodes of the grid along each axis, on which Z is a sum."""
    points: int = 4000
    """Points to train on; a fifth of them is held out for the curves of training."""
    probes: int = 400
    """Points, drawn apart, at which everything is measured."""
    resolution: int = 90
    """Cells along each side of a landscape."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"steps": (5, 10, 20), "hidden": 16, "nodes": 24, "points": 200, "probes": 20, "resolution": 24}
    }

    def __post_init__(self) -> None:
        if min(self.hidden, self.probes, self.resolution) < 1 or min(self.points // 5, self.nodes) < 2:
            raise OptionError(
                "hidden, probes and resolution must be at least 1, nodes at least 2 and points at least 10."
            )
        if not self.smoothness > 0:
            raise OptionError(f"smoothness must be positive, but it is {self.smoothness}.")
        if not self.steps or self.steps[0] < 1 or list(self.steps) != sorted(set(self.steps)):
            raise OptionError(f"steps must be positive and rising, not {self.steps}.")

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
            run.save_energy(key, lands[name, self.steps[-1]])
        self._results(run, seen)
        run.part(write_page, lands, seen, self._probes(2)["on"].cpu(), self.smoothness, self.resolution)

    def _energy(self, weights: dict[str, Tensor] | None = None) -> NetworkEnergy:
        energy = NetworkEnergy(2, (self.hidden, self.hidden), generator=self.generator(4))
        if weights is not None:
            energy.load_state_dict(weights)
        return energy.to(self.device)

    def _train(self, run: Run, smoothness: float) -> dict[str, Any]:
        """One training, with the weights and the loss that it had after each number of steps."""
        energy, weights, losses = self._energy(), {}, {}
        shaping = MaximumLikelihoodGrid(-BOX, BOX, self.nodes, smoothness)
        train = toy("spiral", self.points, self.generator(), noise=0.0).to(self.device)

        def keep(step: int, metrics: dict[str, float]) -> None:
            if step in self.steps:
                weights[str(step)] = {name: value.clone() for name, value in energy.state_dict().items()}
                losses[str(step)] = metrics["nll"]

        history = fit(
            energy, train, shaping, max_steps=self.steps[-1], batch_size=min(512, self.points // 2), lr=5e-3,
            validation=0.2, seed=self.seed, progress=False, callback=keep,
        ).history  # fmt: skip
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
        tried = [_fall(energy, validation["noisy"], size) for size in TRIED]
        best = TRIED[min(range(len(TRIED)), key=tried.__getitem__)]
        return {
            "honest": honest,
            "gap": gap.item(),
            "slope": _slope(energy, test["close"]),
            "stiffness": _stiffness(energy, test["on"]),
            "fixed": _fall(energy, test["noisy"], STEP),
            "chosen": _fall(energy, test["noisy"], best),
            "step": best,
            "idle": _distance(test["noisy"]).median().item(),
        }

    def _probes(self, offset: int) -> dict[str, Tensor]:
        """Points on the curve, 0.1 and 0.3 away from them in random directions, and with noise of 0.3."""
        generator = self.generator(offset)
        on = toy("spiral", self.probes, generator, noise=0.0)
        noise = torch.randn(self.probes, 2, generator=generator)
        away = torch.nn.functional.normalize(noise, dim=1)
        places = {"on": on, "close": on + 0.1 * away, "beside": on + 0.3 * away, "noisy": on + 0.3 * noise}
        return {name: place.to(self.device) for name, place in places.items()}

    def _results(self, run: Run, seen: Seen) -> None:
        last, before = self.steps[-1], self.steps[max(0, len(self.steps) - 2)]
        data = f"spiral without noise, {self.points} points, {self.probes} test points"
        claims = {
            "gap": f"depth: F at 0.3 from the curve less F on it, after {last} training steps, in nats",
            "slope": f"‖∇F‖ at 0.1 from the curve after {last} steps, median, in nats per unit",
            "stiffness": f"larger curvature of F on the curve after {last} steps, median, in nats per squared unit",
            "fixed": f"distance to the curve after {MOVES} steps of descent of size {STEP:g} from noisy points, median",
            "chosen": "the same with steps of the size that is best on validation points, median",
            "honest": "−log p of test points, in nats, Z on a grid 4 times finer than in training",
        }
        idle = {"fixed": seen[PLAIN, last]["idle"], "honest": 2 * math.log(2 * BOX)}
        for key, claim in claims.items():
            row = "C1" if key == "honest" else "L3"
            for name in (PLAIN, SMOOTH):
                run.result(id=row, claim=claim, method=name, measured=seen[name, last][key], data=data)
            if key in idle:
                method = "no inference (baseline)" if key == "fixed" else "uniform on the box (baseline)"
                run.result(id=row, claim=claim, method=method, measured=idle[key], data=data)
        for name in (PLAIN, SMOOTH):
            growth = seen[name, last]["gap"] / seen[name, before]["gap"]
            claim = f"growth of the depth from {before} to {last} training steps, as a factor"
            run.result(id="L3", claim=claim, method=name, measured=growth, data=data)


def _distance(y: Tensor) -> Tensor:
    """(N,): distance to the spiral, as to 20,000 points of it, which lie closer than 0.01 to each other."""
    curve = toy("spiral", 20_000, noise=0.0).to(y)
    return torch.cdist(y, curve, compute_mode="donot_use_mm_for_euclid_dist").min(dim=1).values


def _fall(energy: Energy, start: Tensor, size: float) -> float:
    """Median distance to the curve after descent."""
    found = infer(energy, over="y", solver=GradientDescent(size, max_steps=MOVES, tol=None), init=start)
    return _distance(found.value).median().item()


def _slope(energy: Energy, y: Tensor) -> float:
    """Median of ‖∇F‖."""
    y = y.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(energy(y=y).sum(), y)
    return gradient.norm(dim=1).median().item()


def _stiffness(energy: Energy, y: Tensor) -> float:
    """Median of the larger eigenvalue of ∇²F."""
    y = y.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(energy(y=y).sum(), y, create_graph=True)
    rows = [torch.autograd.grad(part.sum(), y, retain_graph=True)[0] for part in gradient.unbind(dim=1)]
    return torch.linalg.eigvalsh(torch.stack(rows, dim=1))[:, -1].median().item()

"""Inference on the ellipse (row E4), animated: the smallest energy with a latent variable, checked against SciPy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor

from lowland.energies.ellipse import Ellipse
from lowland.errors import OptionError
from lowland.inference import infer
from lowland.plots import animate, curves, landscape
from lowland.plots.style import figure
from lowland.recipes.base import Recipe, recipe
from lowland.registry import find, registered
from lowland.reports.digits import number
from lowland.reports.run import Run
from lowland.solvers.base import Solver, bind

_TRIED = 200
"""Points on which every solver is tried."""
BOUNDS = ((-3.2, 3.2), (-2.6, 2.6))


@recipe(
    "ellipse",
    shows="A model that cannot say y outright can still say how far y is: inference slides a latent angle to the "
    "closest point of the data manifold, and −∇F points there.",
    rows=("E1", "E3", "E4", "E5"),
    minutes=0.5,
    title="The ellipse: inference is descent",
)
@dataclass(frozen=True)
class EllipseRecipe(Recipe):
    """F(y) = min over z of (y₁ − r₁ sin z)² + (y₂ − r₂ cos z)²."""

    radii: tuple[float, float] = (2.0, 1.0)
    """Half axes of the ellipse, along y₁ and y₂."""
    points: int = 1000
    """Random points at which F is compared with SciPy's."""
    frames: int = 48
    """Frames of each moving picture."""
    resolution: int = 120
    """Cells along each side of the landscape."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {"smoke": {"points": 60, "frames": 8, "resolution": 40}}

    def __post_init__(self) -> None:
        if not all(0 < radius < np.inf for radius in self.radii):
            raise OptionError(f"radii must be positive, but they are {self.radii[0]} and {self.radii[1]}.")
        if min(self.points, self.frames, self.resolution) < 1:
            raise OptionError("points, frames and resolution must be at least 1.")

    def run(self, run: Run) -> None:
        energy = Ellipse(self.radii).to(self.device)
        names = [name for name, _ in _solvers(energy)]
        run.expect(2 + len(names))
        exact = run.stage("closest points by SciPy", self._exact)
        found = run.stage("inference", partial(self._infer, energy, exact["y"], exact["closest"]))
        distance = exact["distance"]
        data = f"{self.points} random points, no training"
        run.result(
            id="E4",
            claim="largest |F(y) − squared distance to the ellipse by SciPy|, in squared units of y (exact: 0)",
            method="infer, default solver",
            measured=(found["energy"] - distance).abs().max().item(),
            data=data,
        )
        run.result(
            id="E4",
            claim="the same for E(y, z) at an angle that was not inferred (baseline)",
            method="no inference, z = 0",
            measured=(found["idle"] - distance).abs().max().item(),
            data=data,
        )
        run.result(
            id="E4",
            claim="least cosine between −∇F and the way to the closest point (exact: 1)",
            method="infer, default solver",
            measured=found["cosine"].min().item(),
            data=data,
        )
        run.save_energy("ellipse", energy)
        error = (found["energy"] - distance).abs().max().item()
        run.finding(
            f"Inference finds the squared distance to the ellipse to {number(error)} on all of {self.points} random "
            "points."
        )
        trials = self._trials(run, energy, exact["y"], distance)
        run.part(self._pictures, energy)
        run.part(self._solvers, trials, min(len(distance), _TRIED))

    def _exact(self) -> dict[str, Tensor]:
        """Points, their closest points and squared distances, by a bracketed scalar search of SciPy's."""
        from scipy.optimize import minimize_scalar

        low, high = (torch.tensor(ends, dtype=torch.float64) for ends in zip(*BOUNDS, strict=True))
        uniform = torch.rand(self.points, 2, generator=self.generator(), dtype=torch.float64)
        y = (low + uniform * (high - low)).float()
        angles = np.linspace(0, 2 * np.pi, 721)
        curve = np.stack([self.radii[0] * np.sin(angles), self.radii[1] * np.cos(angles)], axis=1)
        closest = []
        for point in y.double().numpy():

            def squared(angle: float, at: np.ndarray = point) -> float:
                return (at[0] - self.radii[0] * np.sin(angle)) ** 2 + (at[1] - self.radii[1] * np.cos(angle)) ** 2

            best = angles[((curve - point) ** 2).sum(axis=1).argmin()]
            # One cell to each side of the best of 720 angles brackets the minimum.
            found: Any = minimize_scalar(
                squared, bounds=(best - 0.01, best + 0.01), method="bounded", options={"xatol": 1e-12}
            )
            closest.append([self.radii[0] * np.sin(found.x), self.radii[1] * np.cos(found.x)])
        nearest = torch.tensor(np.array(closest))
        return {"y": y, "closest": nearest.float(), "distance": (y - nearest).square().sum(dim=1).float()}

    def _infer(self, energy: Ellipse, y: Tensor, closest: Tensor) -> dict[str, Tensor]:
        y = y.to(self.device).requires_grad_()
        solution = infer(energy, y=y, over="z")
        (gradient,) = torch.autograd.grad(solution.energy.sum(), y)
        cosine = torch.nn.functional.cosine_similarity(-gradient, closest.to(y) - y, dim=1)
        with torch.no_grad():
            idle = energy(y=y, z=torch.zeros(len(y), 1, device=y.device))
        return {"energy": solution.energy.detach(), "cosine": cosine.detach(), "idle": idle}

    def _pictures(self, run: Run, energy: Ellipse) -> None:
        energy = energy.cpu()
        around = torch.linspace(0, 2 * torch.pi, 13)[:-1, None] + 0.2
        descent = find("solver", "GradientDescent")
        y = torch.tensor([[2.9, 1.9], [-2.9, 1.5], [-1.6, -2.2], [1.0, 2.4], [0.9, 0.35], [2.4, -1.9]])
        with torch.no_grad():
            walk = infer(
                energy, y=y, over="z", solver=descent(0.02, max_steps=240, tol=None), init=around[::2], record=True
            )
            assert walk.trajectory is not None
            on_curve = energy.reconstruct(None, None, walk.trajectory.reshape(-1, 1)).reshape(-1, len(y), 2)
            start = torch.stack([torch.cat([3.1 * torch.sin(around), 2.5 * torch.cos(around)], dim=1)]).flatten(0, 1)
            fall = infer(
                energy,
                over=("y", "z"),
                solver=descent(0.02, max_steps=240, tol=None),
                init={"y": start, "z": around},
                record=True,
            )
            assert fall.trajectory is not None
        scene = {"resolution": self.resolution, "bounds": BOUNDS}
        run.section("Two ways to walk downhill")
        run.text(
            "The model has one latent variable, an angle z. Dark is low: **F(y) = min over z of E(y, z)** is the "
            "squared distance to the ellipse, and the arrows are −∇F. *Left*, y is given (crosses) and inference "
            "slides z, so that the decoded point (gold) runs along the ellipse to the place closest to y. *Right*, "
            "nothing is given: y and z fall together, and y lands on the data manifold."
        )
        given = landscape(energy, **scene, ax=_stage(), title="Given y, infer z")
        given.axes[0].scatter(*y.T.tolist(), marker="x", c="#14213d", s=42, linewidths=1.6, zorder=9)
        free = landscape(energy, **scene, ax=_stage(), title="Infer y and z together")
        run.grid(
            "walks",
            [
                (
                    animate(given, on_curve, frames=self.frames),
                    "z slides along the manifold; two starts may end in two valleys",
                ),
                (animate(free, fall.trajectory[:, :, :2], frames=self.frames), "y relaxes onto the manifold"),
            ],
            columns=2,
        )
        angles = torch.linspace(0, 2 * torch.pi, 181)
        lines = {}
        for point in (torch.tensor([0.3, 0.2]), torch.tensor([1.5, 1.5]), torch.tensor([2.8, 0.0])):
            with torch.no_grad():
                values = energy(y=point.expand(181, 2), z=angles[:, None])
            lines[f"y = ({point[0]:g}, {point[1]:g})"] = (angles.tolist(), values.tolist())
        drawn = curves(lines, title="E(y, z) for three given y", xlabel="latent angle z, in radians", ylabel="energy")
        run.text(
            "As a function of z the energy has one valley or two: near the middle of the ellipse both long sides "
            "are close. A solver that only descends ends in the valley where it starts, which is why the energy "
            "offers a first guess."
        )
        run.figure("valleys", drawn, "The energy that inference sees")

    def _trials(self, run: Run, energy: Ellipse, y: Tensor, distance: Tensor) -> dict[str, dict[str, Any]]:
        """How each solver does, by name."""
        y, trials = y.to(self.device)[:_TRIED], {}
        for name, solver in _solvers(energy):
            trial = run.stage(f"solver/{name}", partial(self._trial, energy, solver, y, distance[: len(y)]))
            trials[name] = {**trial, "stochastic": solver.stochastic}
        return trials

    def _solvers(self, run: Run, trials: dict[str, dict[str, Any]], count: int) -> None:
        rows = [
            [name, trial["steps"], trial["guess"], trial["error"], trial["found"]] for name, trial in trials.items()
        ]
        lines = {
            name: trial["median"]
            for name, trial in trials.items()
            if not trial["stochastic"] and len(trial["median"]) > 2
        }
        run.section("Every solver on the same problem")
        run.text(
            f"All solvers of the library that support this problem, with their default settings, on {count} of the "
            "points. *From the guess*: the energy's own first guess, the best of 64 angles. *From anywhere*: from "
            "random angles. Samplers are not meant to end at the minimum: they explore around it."
        )
        columns = (
            "solver",
            "steps, median",
            "error from the guess",
            "error from anywhere, median",
            "in the right valley",
        )
        run.table(
            columns, rows, heat={"in the right valley": (0.5, 1.0)}, caption="Errors are of F, in squared units of y."
        )
        drawn = curves(lines, title="From random angles", xlabel="step", ylabel="median of E − F", log="xy")
        run.figure("convergence", drawn, "How fast the solvers that draw no random numbers descend")

    def _trial(self, energy: Ellipse, solver: Solver, y: Tensor, distance: Tensor) -> dict[str, Any]:
        anywhere = 2 * torch.pi * torch.rand(len(y), 1, generator=self.generator(1)).to(y)
        with torch.no_grad():
            guess = infer(energy, y=y, over="z", solver=solver, generator=self.generator(2))
            free = infer(energy, y=y, over="z", solver=solver, init=anywhere, generator=self.generator(3), record=True)
            assert free.trajectory is not None
            path = torch.stack([energy(y=y, z=z) for z in free.trajectory]) - distance.to(y)
        error = (free.energy - distance.to(y)).abs()
        return {
            "steps": int(free.steps.median()),
            "guess": (guess.energy - distance.to(y)).abs().median().item(),
            "error": error.median().item(),
            "found": (error < 0.05).double().mean().item(),
            "median": path.abs().median(dim=1).values.clamp_min(1e-8).tolist(),
        }


def _stage() -> Axes:
    """Axes of the shape of the scene."""
    return figure(5.6, 4.9).add_subplot()


def _solvers(energy: Ellipse) -> list[tuple[str, Solver]]:
    """All registered solvers that support inference of z, in alphabetical order."""
    problem = bind(energy, {"y": torch.zeros(2, 2, device=energy.radii.device)}, "z")
    made = [(name, cls.reference_case().solver) for name, cls in registered("solver").items()]
    return [(name, solver) for name, solver in made if solver.supports(problem)]

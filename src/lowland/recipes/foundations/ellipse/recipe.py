"""Inference on the ellipse, animated: the smallest energy with a latent variable, checked against SciPy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from lowland.energies.ellipse import Ellipse
from lowland.evaluation.closest_point import closest_on_curve
from lowland.evaluation.solver_trial import supporting_solvers, try_solver
from lowland.inference import infer
from lowland.plots import animate, curves, landscape
from lowland.recipes.base import Bound, Count, Recipe, recipe
from lowland.reports.run import Run
from lowland.solvers.base import Solver
from lowland.solvers.gradient_descent import GradientDescent

TRIED = 200
"""Points on which every solver is tried."""
BOUNDS = ((-3.2, 3.2), (-2.6, 2.6))
STARTS = torch.tensor([[2.9, 1.9], [-2.9, 1.5], [-1.6, -2.2], [1.0, 2.4], [0.9, 0.35], [2.4, -1.9]])
"""Points y of the first moving picture."""


@recipe
@dataclass(frozen=True)
class EllipseRecipe(Recipe):
    """F(y) = min over z of (y₁ − r₁ sin z)² + (y₂ − r₂ cos z)²."""

    radii: tuple[Annotated[float, Bound(above=0)], Annotated[float, Bound(above=0)]] = (2.0, 1.0)
    """Half axes of the ellipse, along y₁ and y₂."""
    points: Count = 1000
    """Random points at which F is compared with SciPy's."""
    frames: Count = 48
    """Frames of each moving picture."""
    resolution: Count = 120
    """Cells along each side of the landscape."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {"smoke": {"points": 60, "frames": 8, "resolution": 40}}

    def run(self, run: Run) -> None:
        energy = Ellipse(self.radii).to(self.device)
        solvers = supporting_solvers(energy, torch.zeros(2, 2, device=self.device))
        run.expect(2 + len(solvers))
        exact = run.stage("closest points by SciPy", self._exact)
        y, distance = exact["y"], exact["distance"]
        found = run.stage("inference", partial(self._infer, energy, y, exact["closest"]))
        errors = {name: (found[name] - distance).abs().max().item() for name in ("energy", "idle")}
        run.measured.add(
            {
                "infer": {"error": errors["energy"], "cosine": found["cosine"].min().item()},
                "no inference": {"error": errors["idle"]},
            }
        )
        run.save_energy("ellipse", energy)
        y, distance = y.to(self.device)[:TRIED], distance[:TRIED]
        paths = {}
        for name, solver in solvers.items():
            trial = run.stage(f"solver/{name}", partial(self._trial, energy, solver, y, distance))
            run.measured.add({name: {measure: trial[measure] for measure in ("steps", "guess", "error", "found")}})
            if not solver.stochastic and len(trial["median"]) > 2:
                paths[name] = trial["median"]
        run.show(tried=len(y))
        run.part(self._walks, energy)
        run.part(self._lines, energy, paths)

    def _exact(self) -> dict[str, Tensor]:
        """Points, their closest points and squared distances, by a bracketed scalar search of SciPy's."""

        def curve(angle: Any) -> Any:
            return np.stack([self.radii[0] * np.sin(angle), self.radii[1] * np.cos(angle)], axis=-1)

        low, high = (torch.tensor(ends, dtype=torch.float64) for ends in zip(*BOUNDS, strict=True))
        uniform = torch.rand(self.points, 2, generator=self.generator(), dtype=torch.float64)
        y = (low + uniform * (high - low)).float()
        nearest = closest_on_curve(curve, y, 0.0, 2 * np.pi)
        return {"y": y, "closest": nearest.float(), "distance": (y - nearest).square().sum(dim=1).float()}

    def _infer(self, energy: Ellipse, y: Tensor, closest: Tensor) -> dict[str, Tensor]:
        y = y.to(self.device).requires_grad_()
        solution = infer(energy, y=y, over="z")
        (gradient,) = torch.autograd.grad(solution.energy.sum(), y)
        cosine = torch.nn.functional.cosine_similarity(-gradient, closest.to(y) - y, dim=1)
        with torch.no_grad():
            idle = energy(y=y, z=torch.zeros(len(y), 1, device=y.device))
        return {"energy": solution.energy.detach(), "cosine": cosine.detach(), "idle": idle}

    def _trial(self, energy: Ellipse, solver: Solver, y: Tensor, distance: Tensor) -> dict[str, Any]:
        """How one solver does from the warm start of the energy ("guess") and from random angles."""
        anywhere = 2 * torch.pi * torch.rand(len(y), 1, generator=self.generator(1)).to(y)
        found = try_solver(energy, solver, y, distance, anywhere, (self.generator(2), self.generator(3)))._asdict()
        return found | {"median": [max(error, 1e-8) for error in found.pop("path")]}

    def _walks(self, run: Run, energy: Ellipse) -> None:
        """Two moving pictures: z slides for given y, and y and z descend together."""
        energy, y = energy.cpu(), STARTS
        around = torch.linspace(0, 2 * torch.pi, 13)[:-1, None] + 0.2
        descent = GradientDescent(0.02, max_steps=240, tol=None)
        with torch.no_grad():
            walk = infer(energy, y=y, over="z", solver=descent, init=around[::2], record=True).trajectory
            assert walk is not None
            on_curve = energy.reconstruct(None, None, walk.reshape(-1, 1)).reshape(-1, len(y), 2)
            start = torch.cat([3.1 * torch.sin(around), 2.5 * torch.cos(around)], dim=1)
            fall = infer(energy, over=("y", "z"), solver=descent, init={"y": start, "z": around}, record=True)
        assert fall.trajectory is not None
        scene = partial(landscape, energy, BOUNDS, resolution=self.resolution, size=(5.6, 4.9))
        given = scene(title="Given y, infer z")
        given.axes[0].scatter(*y.T.tolist(), marker="x", c="#14213d", s=42, linewidths=1.6, zorder=9)
        free = scene(title="Infer y and z together")
        moving = ((given, on_curve), (free, fall.trajectory[:, :, :2]))
        run.grid("walks", [(animate(still, path, frames=self.frames), "") for still, path in moving])

    def _lines(self, run: Run, energy: Ellipse, paths: dict[str, list[float]]) -> None:
        """E against z for three y, and how fast the solvers descend."""
        angles, lines = torch.linspace(0, 2 * torch.pi, 181), {}
        for point in (torch.tensor([0.3, 0.2]), torch.tensor([1.5, 1.5]), torch.tensor([2.8, 0.0])):
            with torch.no_grad():
                values = energy.cpu()(y=point.expand(181, 2), z=angles[:, None])
            lines[f"y = ({point[0]:g}, {point[1]:g})"] = (angles.tolist(), values.tolist())
        title, xlabel = "E(y, z) for three given y", "latent angle z, in radians"
        run.figure("valleys", curves(lines, title=title, xlabel=xlabel, ylabel="energy"))
        drawn = curves(paths, title="From random angles", xlabel="step", ylabel="median of E − F", log="xy")
        run.figure("convergence", drawn)

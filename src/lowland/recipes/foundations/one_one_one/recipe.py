"""The 1-1-1 network: two valleys and a saddle, and gradient flow from many starts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from lowland.energies.one_one_one import OneOneOne
from lowland.inference import infer
from lowland.plots import animate, curves, landscape
from lowland.recipes.base import Count, Positive, Recipe, recipe
from lowland.reports.run import Run
from lowland.solvers.gradient_descent import GradientDescent

HALF = 2.4
"""Half the side of the square in which the weights start."""
ARRIVED = 1e-3
"""A path whose loss ends below this has arrived in a valley."""


@recipe
@dataclass(frozen=True)
class OneOneOneRecipe(Recipe):
    """L(w₁, w₂) = (1 − w₁ w₂)²: one input, one hidden unit, one output, asked to learn the identity."""

    starts: Count = 400
    """Random starts of the gradient flow."""
    step: Positive = 0.0005
    """Step of the flow: the smaller, the closer gradient descent is to the differential equation."""
    steps: Count = 10000
    """Steps of the flow."""
    frames: Count = 48
    """Frames of the moving picture."""
    resolution: Count = 120
    """Cells along each side of the landscape."""

    accelerated: ClassVar[bool] = False
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"starts": 20, "steps": 500, "step": 0.01, "frames": 6, "resolution": 40}
    }

    def run(self, run: Run) -> None:
        energy = OneOneOne()
        run.expect(2)
        flow = run.stage("flow", partial(self._flow, energy))
        saddle = run.stage("saddle", partial(self._saddle, energy))
        start, end = flow["start"], flow["end"]
        loss = energy(y=end)
        # In continuous time d/dt (w₁² − w₂²) = 0, because w₁ ∂L/∂w₁ = w₂ ∂L/∂w₂: each path keeps to a hyperbola.
        before, after = (w[:, 0].square() - w[:, 1].square() for w in (start, end))
        smaller, larger = saddle["curvature"]
        run.measured.add(
            {
                "flow": {"loss": loss.median().item(), "change": (after - before).abs().max().item()},
                "no flow": {"loss": energy(y=start).median().item()},
                "saddle": {"loss": saddle["loss"], "smaller": smaller, "larger": larger},
                "positive": _valley(end[end[:, 0] > 0]),
                "negative": _valley(end[end[:, 0] <= 0]),
            }
        )
        run.save_energy("one-one-one", energy)
        run.show(arrived=int((loss < ARRIVED).sum()), below=ARRIVED)
        run.part(self._draw, energy, flow["path"])

    def _flow(self, energy: OneOneOne) -> dict[str, Tensor]:
        start = HALF * (2 * torch.rand(self.starts, 2, generator=self.generator()) - 1)
        solver = GradientDescent(self.step, max_steps=self.steps, tol=None)
        with torch.no_grad():
            found = infer(energy, over="y", solver=solver, init=start, record=True)
        assert found.trajectory is not None
        # What a film shows: 24 of the paths, at 241 of the steps.
        return {"start": start, "end": found.value, "path": found.trajectory[:: self._thin, :24].clone()}

    @property
    def _thin(self) -> int:
        return max(1, self.steps // 240)

    def _saddle(self, energy: OneOneOne) -> dict[str, Any]:
        zero = torch.zeros(2)
        hessian = torch.autograd.functional.hessian(lambda w: energy(y=w[None]).sum(), zero)
        assert isinstance(hessian, Tensor)
        return {"loss": energy(y=zero[None]).item(), "curvature": torch.linalg.eigvalsh(hessian).tolist()}

    def _draw(self, run: Run, energy: OneOneOne, path: Tensor) -> None:
        bounds, resolution = ((-HALF, HALF), (-HALF, HALF)), self.resolution
        drawn = landscape(energy, bounds, resolution=resolution, title="L(w₁, w₂) = (1 − w₁ w₂)²")
        title = f"{path.shape[1]} paths"
        still = landscape(energy, bounds, resolution=resolution, trajectories=path, arrows=False, title=title)
        run.grid("flow", [(animate(drawn, path, frames=self.frames), ""), (still, "")])
        times = (self.step * self._thin * torch.arange(len(path))).tolist()
        with torch.no_grad():
            losses = energy(y=path.reshape(-1, 2)).reshape(path.shape[:2])
        quantiles = {name: losses.quantile(share, dim=1) for name, share in (("median", 0.5), ("slowest tenth", 0.9))}
        lines = {name: (times, value.clamp_min(1e-8).tolist()) for name, value in quantiles.items()}
        drawn = curves(lines, title="Loss along the flow", xlabel="time: step size × steps", ylabel="loss", log="y")
        run.figure("loss", drawn)


def _valley(end: Tensor) -> dict[str, Any]:
    """How many paths end in one of the valleys, and how far from w₁ w₂ = 1 they are there."""
    return {"starts": len(end), "off": (end.prod(dim=1) - 1).abs().median().item() if len(end) else None}

"""The 1-1-1 network (row O1): two valleys and a saddle, and the flow of the gradient from many starts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from lowland.energies.one_one_one import OneOneOne
from lowland.errors import OptionError
from lowland.inference import infer
from lowland.plots import animate, curves, landscape
from lowland.recipes.base import Recipe, recipe
from lowland.reports.run import Run
from lowland.solvers.gradient_descent import GradientDescent

HALF = 2.4


@recipe(
    "one-one-one",
    shows="The smallest deep network already has the landscape of the large ones: two valleys of solutions that are "
    "as good as each other, and a saddle between them.",
    rows=("O1",),
    minutes=0.5,
    title="The 1-1-1 network",
)
@dataclass(frozen=True)
class OneOneOneRecipe(Recipe):
    """L(w₁, w₂) = (1 − w₁ w₂)²: one input, one hidden unit, one output, asked to learn the identity."""

    starts: int = 400
    """Random starts of the gradient flow."""
    step: float = 0.0005
    """Step of the flow: the smaller, the closer gradient descent is to the differential equation."""
    steps: int = 10000
    """Steps of the flow."""
    frames: int = 48
    """Frames of the moving picture."""
    resolution: int = 120
    """Cells along each side of the landscape."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"starts": 20, "steps": 500, "step": 0.01, "frames": 6, "resolution": 40}
    }

    def __post_init__(self) -> None:
        if min(self.starts, self.steps, self.frames, self.resolution) < 1 or not self.step > 0:
            raise OptionError("starts, steps, frames and resolution must be at least 1, and step must be positive.")

    def run(self, run: Run) -> None:
        energy = OneOneOne()
        run.expect(2)
        flow = run.stage("flow", partial(self._flow, energy))
        saddle = run.stage("saddle", partial(self._saddle, energy))
        start, end, path = flow["start"], flow["end"], flow["path"]
        data = f"{self.starts} random starts, no data"
        loss = {"start": energy(y=start), "end": energy(y=end)}
        # In continuous time d/dt (w₁² − w₂²) = 0, because w₁ ∂L/∂w₁ = w₂ ∂L/∂w₂: each path keeps to a hyperbola.
        kept = [(w[:, 0].square() - w[:, 1].square()) for w in (start, end)]
        results = (
            ("median loss at the end of the flow (exact: 0)", "gradient flow", loss["end"].median().item()),
            ("median loss where it starts (baseline)", "no flow", loss["start"].median().item()),
            (
                "largest change of w₁² − w₂² along a path (exact: 0)",
                "gradient flow",
                (kept[1] - kept[0]).abs().max().item(),
            ),
            ("loss at the saddle (exact: 1)", "autograd at w = 0", saddle["loss"]),
            (
                "smaller eigenvalue of the Hessian at the saddle (exact: −2)",
                "autograd at w = 0",
                saddle["curvature"][0],
            ),
            ("larger eigenvalue of the Hessian at the saddle (exact: 2)", "autograd at w = 0", saddle["curvature"][1]),
        )
        for claim, method, measured in results:
            run.result(id="O1", claim=claim, method=method, measured=measured, data=data)
        run.save_energy("one-one-one", energy)
        arrived = int((loss["end"] < 1e-3).sum())
        run.finding(
            f"{arrived} of {self.starts} paths of gradient flow end in one of the two valleys, with a loss below 0.001."
        )
        run.part(self._page, energy, start, end, path)

    def _flow(self, energy: OneOneOne) -> dict[str, Tensor]:
        start = HALF * (2 * torch.rand(self.starts, 2, generator=self.generator()) - 1)
        solver = GradientDescent(self.step, max_steps=self.steps, tol=None)
        with torch.no_grad():
            found = infer(energy, over="y", solver=solver, init=start, record=True)
        assert found.trajectory is not None
        # What a film shows: 24 of the paths, at 241 of the steps.
        thin = max(1, self.steps // 240)
        return {"start": start, "end": found.value, "path": found.trajectory[::thin, :24].clone()}

    def _saddle(self, energy: OneOneOne) -> dict[str, Any]:
        zero = torch.zeros(2)
        hessian = torch.autograd.functional.hessian(lambda w: energy(y=w[None]).sum(), zero)
        assert isinstance(hessian, Tensor)
        return {"loss": energy(y=zero[None]).item(), "curvature": torch.linalg.eigvalsh(hessian).tolist()}

    def _page(self, run: Run, energy: OneOneOne, start: Tensor, end: Tensor, path: Tensor) -> None:
        bounds = ((-HALF, HALF), (-HALF, HALF))
        run.section("Two valleys and a saddle")
        run.text(
            "A chain of two weights computes w₁ w₂ x. Learning the identity means **w₁ w₂ = 1**: two curves, one "
            "for each sign, on which the loss is zero. At the origin the gradient vanishes too, but the ground "
            "falls on one diagonal and rises on the other: a saddle, not a minimum. Paths of gradient flow keep to "
            "hyperbolas w₁² − w₂² = const, so that the start alone decides which solution is found."
        )
        drawn = landscape(energy, bounds, resolution=self.resolution, title="L(w₁, w₂) = (1 − w₁ w₂)²")
        still = landscape(energy, bounds, resolution=self.resolution, trajectories=path, arrows=False, title="24 paths")
        run.grid(
            "flow",
            [
                (animate(drawn, path, frames=self.frames), "gradient flow from 24 random starts"),
                (still, "the same paths, whole: each a piece of a hyperbola"),
            ],
            columns=2,
        )
        product = end[:, 0] * end[:, 1]
        upper = end[:, 0] > 0
        rows = [
            ["w₁, w₂ > 0", int(upper.sum()), (product[upper] - 1).abs().median().item() if upper.any() else None],
            [
                "w₁, w₂ < 0",
                int((~upper).sum()),
                (product[~upper] - 1).abs().median().item() if (~upper).any() else None,
            ],
        ]
        run.table(("valley", "starts that end there", "median of |w₁ w₂ − 1|"), rows)
        times = (self.step * max(1, self.steps // 240) * torch.arange(len(path))).tolist()
        with torch.no_grad():
            losses = energy(y=path.reshape(-1, 2)).reshape(path.shape[:2])
        quantiles = {name: losses.quantile(share, dim=1) for name, share in (("median", 0.5), ("slowest tenth", 0.9))}
        lines = {name: (times, value.clamp_min(1e-8).tolist()) for name, value in quantiles.items()}
        figure = curves(lines, title="Loss along the flow", xlabel="time: step size × steps", ylabel="loss", log="y")
        run.text(
            "Paths that start near the line w₁ = −w₂ first walk towards the saddle and linger "
            "there: they are the plateau in the slowest tenth."
        )
        run.figure("loss", figure, "The slowest paths are those that pass near the saddle")

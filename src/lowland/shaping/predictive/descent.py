"""Learn a landscape down which a given solver arrives at the answer (system E7)."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from lowland.energies.base import Energy
from lowland.energies.factor_graph import FactorGraph
from lowland.errors import OptionError, UnsupportedError, check_instance
from lowland.inference import infer
from lowland.registry import register
from lowland.shaping.base import Batch, Losses, Shaping, ShapingCase
from lowland.solvers.adjoint import Unroll
from lowland.solvers.base import Solver
from lowland.solvers.gradient_descent import GradientDescent


@register("shaping")
class Descent(Shaping):
    """L = mean log(1 + ‖y_T − y‖² / ‖y_0 − y‖²): T steps of a solver from y_0 should end close to the answer y.

    The loss is differentiated through the steps (`Unroll`), as energy-based transformers are trained: Gladstone et al.,
    "Energy-based transformers are scalable learners and thinkers" (2025). A part of the rows starts where `infer` does.
    The others start at y + s e, e normal, with s between the spread and a hundredth of it: the denoising of Du, Mao &
    Tenenbaum, "Learning iterative reasoning through energy diffusion" (2024), but in one landscape for all noise
    levels, and without their contrastive term. So the late steps of a long descent are trained by short ones. The error
    is relative to that of the start, so that every step counts, near the answer or far away; the logarithm bounds the
    pull of rows that diverge. With `ahead` the start is moved first by up to so many steps that are not differentiated:
    what is left then lies in the flattest directions, whose curvature decides whether a long descent arrives. Du, Li,
    Tenenbaum & Mordatch, "Learning iterative reasoning through energy minimization" (2022), keep their late points in
    a replay buffer to the same end.

    Energies: any E(x, y) with a continuous y, one tensor, and no z, twice differentiable.

    Args:
        solver: takes the steps; None is `GradientDescent(1.0, momentum=0.8, max_steps=10, tol=None)`. It must have
            tol=None, since a row that stops early has no gradient of its later steps.
        near: share of rows that start near the answer, from 0 to 1.
        spread: largest s, in standard deviations of y in the batch.
        seed: see `Shaping`.
        ahead: most steps before those that are differentiated; a batch takes a random number of them, from 0.

    Raises:
        OptionError: for a solver with a tolerance or without steps, a share outside [0, 1], a spread that is not
            positive, or a negative number of steps ahead.
        UnsupportedError: in training, for an energy with a z, or a discrete y.

    >>> case = Descent.reference_case()
    >>> list(case.shaping(case.energy, case.batch).losses)
    ['energy']
    """

    def __init__(
        self, solver: Solver | None = None, near: float = 0.5, spread: float = 2.0, seed: int = 0, ahead: int = 0
    ) -> None:
        super().__init__(seed)
        solver = solver or GradientDescent(1.0, momentum=0.8, max_steps=10, tol=None)
        check_instance(solver, Solver, "solver")
        if solver.tol is not None or solver.max_steps < 1:
            raise OptionError(
                f"Descent trains through all steps of a solver: it needs tol=None and max_steps of at least 1, not "
                f"{solver.tol} and {solver.max_steps}."
            )
        if not 0 <= near <= 1 or not spread > 0:
            raise OptionError(f"near must be from 0 to 1 and spread positive, but they are {near} and {spread}.")
        if ahead < 0 or int(ahead) != ahead:
            raise OptionError(f"ahead must be a whole number of steps of at least 0, but it is {ahead}.")
        self.solver, self.near, self.spread, self.ahead = solver, near, spread, int(ahead)

    def forward(self, energy: Energy, batch: Batch) -> Losses:
        domain = energy.domain("y")
        if "z" in energy.domains or domain.discrete or not isinstance(batch.y, Tensor):
            raise UnsupportedError(
                f"Descent needs an energy E(x, y) with a continuous y, one tensor, but {type(energy).__name__} has "
                f"{', '.join(f'{name} in {one!r}' for name, one in energy.domains.items())}."
            )
        start = self._moved(energy, batch, self.start(energy, batch))
        found = infer(energy, x=batch.x, over="y", solver=self.solver, adjoint=Unroll(), init=start)
        miss = (found.value - batch.y).flatten(1).square().sum(dim=1)
        far = (start - batch.y).flatten(1).square().sum(dim=1)
        floor = torch.finfo(far.dtype).eps * batch.y.flatten(1).square().sum(dim=1).mean().clamp_min(1e-12)
        ratio = miss / (far + floor)
        metrics = {"error": miss.detach().mean() / batch.y[0].numel(), "shrinks": ratio.detach().median()}
        return Losses({"energy": torch.log1p(ratio).mean()}, metrics)

    @torch.no_grad()
    def start(self, energy: Energy, batch: Batch) -> Tensor:
        """Where the steps of each row begin, in the shape of y."""
        y, domain, noise = batch.y, energy.domain("y"), self.noise(batch.y)
        far = domain.start(len(y), y.dtype, y.device)
        spread = self.spread * y.std(unbiased=False) * 10 ** (-2 * noise.uniform())
        near = domain.project(domain.pack(y) + spread[:, None] * noise.normal(domain.size))
        return domain.unpack(torch.where((noise.uniform() < self.near)[:, None], near, far))

    @torch.no_grad()
    def _moved(self, energy: Energy, batch: Batch, start: Tensor) -> Tensor:
        """The start after some of the steps ahead; a row that these led ten times as far from the answer stays."""
        if not self.ahead:
            return start
        solver = copy.copy(self.solver)
        solver.max_steps = int(torch.randint(self.ahead + 1, (), generator=self.generator()))
        found = infer(energy, x=batch.x, over="y", solver=solver, init=start).value
        far, moved = ((one - batch.y).flatten(1).square().sum(dim=1) for one in (start, found))
        return torch.where((moved < 100 * far).view(-1, *[1] * (start.ndim - 1)), found, start)

    @classmethod
    def reference_case(cls) -> ShapingCase:
        x = torch.randn(32, 12, generator=torch.Generator().manual_seed(0))
        energy = FactorGraph("linear_system", 3, channels=2, hidden=4)
        return ShapingCase(cls(GradientDescent(1.0, max_steps=3, tol=None)), energy, Batch(x[:, :3], x))

"""Contrastive divergence, from the data or with persistent chains: push up where a sampler goes (system C2)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lowland.energies.base import Energy
from lowland.energies.rbm import RBM
from lowland.errors import OptionError, UnsupportedError
from lowland.inference import infer
from lowland.registry import register, registered
from lowland.shaping.base import Batch, Losses, ShapingCase
from lowland.shaping.contrastive.points import binarise
from lowland.shaping.free import FreeEnergyShaping
from lowland.solvers.base import Solver
from lowland.tensors import PerSampleRNG


@register("shaping")
class ContrastiveDivergence(FreeEnergyShaping):
    """L = mean F(y⁺) − mean F(y⁻) + α mean(F(y⁺)² + F(y⁻)²), y⁻ the end of a short Markov chain under exp(−F).

    Chains start at the data (Hinton, "Training products of experts by minimizing contrastive divergence", 2002) or,
    when persistent, where chains ended in earlier steps (Tieleman 2008), each restarted from data plus noise with a
    small probability (Du & Mordatch, "Implicit generation and modeling with energy based models", 2019, who restart
    from uniform noise; α is theirs). If the energy has a latent z, chains move in (y, z). With F = F_1 this follows the
    likelihood gradient; with F = min_z E it is a perceptron, which compares the best z of the data with the best z at
    the ends of the chains.

    Energies: any whose y (and z) the sampler `solver` can draw, binary or continuous.

    Args:
        solver: the sampler, such as Langevin, HMC or Gibbs; None takes `Gibbs` for a discrete y, else `Langevin`. Its
            `max_steps` is the k of CD-k.
        persistent: keep chains from one step to the next, in a buffer.
        chains: number of persistent chains; each step uses a random subset, one per sample of the batch.
        restart: probability that a persistent chain is restarted at each use.
        spread: standard deviation of the noise added to continuous starts at data, in units of y.
        magnitude: α ≥ 0, in units of 1 / F.
        beta, latent_solver, seed: see `FreeEnergyShaping`.

    Raises:
        OptionError: for fewer than one chain, a restart outside [0, 1] or a negative α or spread.

    >>> case = ContrastiveDivergence.reference_case()
    >>> case.shaping.persistent, case.shaping.chains
    (False, 512)
    """

    buffer: Tensor

    def __init__(
        self,
        solver: Solver | None = None,
        persistent: bool = False,
        chains: int = 512,
        restart: float = 0.05,
        spread: float = 0.0,
        magnitude: float = 0.0,
        beta: float | None = None,
        latent_solver: Solver | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(beta, latent_solver, seed)
        if chains < 1 or not 0 <= restart <= 1 or not magnitude >= 0 or not spread >= 0:
            raise OptionError(
                "ContrastiveDivergence needs chains ≥ 1, 0 ≤ restart ≤ 1, magnitude ≥ 0 and spread ≥ 0, not "
                f"{chains}, {restart}, {magnitude} and {spread}."
            )
        self.solver, self.persistent, self.chains = solver, persistent, chains
        self.restart, self.spread, self.magnitude = restart, spread, magnitude
        self.register_buffer("buffer", torch.zeros(0))
        self._ended: tuple[Tensor, Tensor] | None = None

    def prepare(self, energy: Energy, data: Batch) -> None:
        """Start the persistent chains at random samples of the data."""
        super().prepare(energy, data)
        if self.persistent:
            with torch.no_grad():
                rows = torch.randint(len(data.y), (self.chains,), generator=self.generator()).to(data.y.device)
                self.buffer = self._near(energy, data.y[rows])

    def forward(self, energy: Energy, batch: Batch) -> Losses:
        y = binarise(self, energy, batch.y)
        with torch.no_grad():
            start, rows = self._near(energy, y), None
            if self.persistent:
                rows = self._pick(y)
                old = self.buffer[rows].reshape(y.shape)
                fresh = self.noise(y).uniform(1) < self.restart
                start = torch.where(fresh.reshape(-1, *[1] * (y.ndim - 1)), start, old)
        negative = self.walk(energy, start, batch.x)
        if rows is not None:
            self._ended = (rows, negative)
        data, fantasy = self.free(energy, y, batch.x), self.free(energy, negative, batch.x)
        gap = fantasy.mean() - data.mean()
        loss = -gap
        if self.magnitude:
            loss = loss + self.magnitude * (data.square().mean() + fantasy.square().mean())
        return Losses({"energy": loss}, {"gap": gap.detach(), "data_energy": data.detach().mean()})

    def walk(self, energy: Energy, start: Tensor, x: Any = None) -> Tensor:
        """The ends of chains from `start` (B, ...), with z sampled jointly if there is one."""
        known, discrete = registered("solver"), energy.domain("y").discrete
        solver = self.solver or (known["Gibbs"]() if discrete else known["Langevin"]())
        with torch.no_grad():
            if "z" not in energy.domains:
                return infer(energy, x, over="y", solver=solver, init=start, generator=self.generator()).value
            latent = self._latent(energy, start, x, solver)
            first = {"y": start, "z": latent}
            return infer(energy, x, over=("y", "z"), solver=solver, init=first, generator=self.generator()).value["y"]

    def _latent(self, energy: Energy, y: Tensor, x: Any, solver: Solver) -> Any:
        """A z for each start, sampled by the same solver given y."""
        try:
            return infer(energy, x, y, over="z", solver=solver, generator=self.generator()).value
        except UnsupportedError as error:
            raise UnsupportedError(
                f"ContrastiveDivergence samples y and z with one sampler. {error} Choose a `solver` that takes "
                "both, such as Langevin for continuous variables and Gibbs for discrete ones."
            ) from error

    def _near(self, energy: Energy, y: Tensor) -> Tensor:
        if energy.domain("y").discrete or not self.spread:
            return binarise(self, energy, y)
        noisy = y + self.spread * self.noise(y).normal(*y.shape[1:])
        return energy.domain("y").unpack(energy.domain("y").project(noisy.flatten(1)))

    def _pick(self, y: Tensor) -> Tensor:
        """The chains of this step: one per sample, distinct if there are enough."""
        if len(self.buffer) == 0:
            raise OptionError("Persistent chains have no start: call prepare(energy, data) before the first step.")
        if len(y) > self.chains:
            raise OptionError(
                f"A batch of {len(y)} needs at least as many persistent chains, but chains={self.chains}."
            )
        return torch.randperm(self.chains, generator=self.generator())[: len(y)].to(y.device)

    def after_step(self, energy: Energy, batch: Batch) -> None:
        """Put the chains of this step back into the buffer."""
        if self._ended is not None:
            rows, ends = self._ended
            self.buffer[rows] = ends
            self._ended = None
        super().after_step(energy, batch)

    @classmethod
    def reference_case(cls) -> ShapingCase:
        y = (PerSampleRNG(0, torch.arange(32)).uniform(6) < torch.tensor([0.9, 0.9, 0.1, 0.1, 0.5, 0.9])).float()
        return ShapingCase(cls(), RBM(6, 4, scale=0.5), Batch(y))

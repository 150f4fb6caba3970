"""Generative latent optimisation (system S14): each training sample has its own latent, learned with the generator."""

from __future__ import annotations

import torch
from torch import Tensor

from lowland.energies.base import Energy
from lowland.energies.generator import Generator
from lowland.errors import UnsupportedError
from lowland.inference import infer
from lowland.registry import register
from lowland.shaping.base import Batch, Losses, Shaping, ShapingCase
from lowland.solvers.base import Solver
from lowland.solvers.gradient_descent import GradientDescent
from lowland.tensors import PerSampleRNG


@register("shaping")
class LearnedLatents(Shaping):
    """L = mean over data of E(y_i, z_i), z_i ← a few steps of inference from the stored z_i.

    A table holds one latent per sample; the solver updates those of a batch and keeps them in their domain.
    `MinimumEnergy` would infer each z from scratch. Source: Bojanowski, Joulin, Lopez-Paz & Szlam (2018), "Optimizing
    the latent space of generative networks" (GLO). Held-out samples have no latent, so call `ll.fit` with
    `validation=0.0` and infer z of new samples with `ll.infer`.

    Energies: any with a z.

    Args:
        solver: updates the latents; by default one step of gradient descent of size 0.1.
        seed: of the initial latents, drawn from N(0, I) and projected onto their domain.

    Raises:
        UnsupportedError: in training, for an energy without a z, or batches without the indices of their samples.

    >>> import lowland as ll
    >>> energy, shaping = Generator(n_features=4, n_latents=2), LearnedLatents()
    >>> result = ll.fit(energy, torch.ones(50, 4), shaping, max_steps=10, validation=0.0)
    >>> shaping.latents.shape
    torch.Size([50, 2])
    """

    latents: Tensor

    def __init__(self, solver: Solver | None = None, seed: int = 0) -> None:
        super().__init__(seed)
        self.solver = solver or GradientDescent(0.1, max_steps=1, tol=None, check_every=1)
        self.register_buffer("latents", torch.zeros(0))
        self._moved: tuple[Tensor, Tensor] | None = None

    def forward(self, energy: Energy, batch: Batch) -> Losses:
        if batch.index is None or "z" not in energy.domains:
            raise UnsupportedError(
                f"LearnedLatents needs an energy with a latent z and batches with the index of each sample: "
                f"{type(energy).__name__} has {', '.join(energy.domains)}, and index is {batch.index}."
            )
        self._grow(energy, batch, int(batch.index.max()) + 1)
        domain = energy.domain("z")
        start = domain.unpack(self.latents[batch.index])
        options = {"solver": self.solver, "init": start, "generator": self.generator()}
        found = infer(energy, x=batch.x, y=batch.y, over="z", **options)
        self._moved = batch.index, domain.pack(found.value).detach()
        loss = found.energy.mean()
        return Losses({"energy": loss}, {"objective": loss.detach()})

    def after_step(self, energy: Energy, batch: Batch) -> None:
        """Write the latents of this step into the table."""
        if self._moved is not None:
            rows, moved = self._moved
            self.latents[rows] = moved
            self._moved = None
        super().after_step(energy, batch)

    def _grow(self, energy: Energy, batch: Batch, size: int) -> None:
        """Initial latents for new samples; each draws the same numbers whenever it first occurs."""
        known = len(self.latents)
        if size > known:
            own = next(energy.parameters())
            noise = PerSampleRNG(int(self.seed), torch.arange(known, size, device=own.device), own.dtype)
            domain = energy.domain("z")
            fresh = domain.project(noise.normal(domain.size))
            self.latents = torch.cat([self.latents.to(fresh), fresh]) if known else fresh

    @classmethod
    def reference_case(cls) -> ShapingCase:
        y = torch.randn(32, 4, generator=torch.Generator().manual_seed(0))
        return ShapingCase(cls(), Generator(4, 2, hidden=(16,)), Batch(y, index=torch.arange(32)))

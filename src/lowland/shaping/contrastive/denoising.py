"""Denoising and masking: learn the map from corrupted points back to the data (system C3)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lowland.energies.autoencoder import Autoencoder
from lowland.energies.base import Energy, squared_distance
from lowland.energies.masked_autoencoder import MaskedAutoencoder
from lowland.energies.protocols import Completing, offered
from lowland.errors import OptionError, UnsupportedError
from lowland.inference import infer
from lowland.registry import register
from lowland.shaping.base import Batch, Losses, Shaping, ShapingCase
from lowland.solvers.adjoint import Adjoint, Implicit
from lowland.solvers.base import Solver
from lowland.tensors import PerSampleRNG


@register("shaping")
class Denoising(Shaping):
    """L = mean ‖r(ỹ) − y‖², ỹ = m ⊙ (y + s e): the reconstruction r(ỹ) of a corrupted sample should equal the sample.

    Source: Vincent, Larochelle, Bengio & Manzagol, "Extracting and composing robust features with denoising
    autoencoders" (2008). The energy ‖y − r(y)‖² then grows with the distance from the data, within the range of the
    corruption. If the energy decodes a latent z, r(ỹ) decodes ẑ = argmin_z E(ỹ, z), and the loss is differentiated
    through ẑ; for sparse codes this is Mairal, Bach & Ponce, "Task-driven dictionary learning" (2012).

    Energies: those that `reconstruct` y, or a z from which y can be decoded.

    Args:
        spread: s, standard deviation of the Gaussian noise, in units of y.
        dropped: fraction of coordinates set to 0, where m is 0 (the corruption of the paper).
        solver, adjoint: for ẑ, if the energy has a z; by default the most exact solver for the energy, and `Implicit`.
        seed: see `Shaping`.

    Raises:
        OptionError: if nothing is corrupted.
        UnsupportedError: if the energy decodes neither y nor z, or ẑ is not differentiable.

    >>> case = Denoising.reference_case()
    >>> list(case.shaping(case.energy, case.batch).losses)
    ['energy']
    """

    def __init__(
        self,
        spread: float = 0.3,
        dropped: float = 0.0,
        solver: Solver | None = None,
        adjoint: Adjoint | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(seed)
        if not spread >= 0 or not 0 <= dropped < 1 or spread + dropped == 0:
            raise OptionError(f"Denoising needs spread > 0 or 0 < dropped < 1, not {spread} and {dropped}.")
        self.spread, self.dropped, self.solver, self.adjoint = spread, dropped, solver, adjoint or Implicit()

    def forward(self, energy: Energy, batch: Batch) -> Losses:
        noise, shape = self.noise(batch.y), batch.y.shape[1:]
        corrupted = batch.y + self.spread * noise.normal(*shape) if self.spread else batch.y
        if self.dropped:
            corrupted = corrupted * (noise.uniform(*shape) > self.dropped)
        restored = energy.reconstruct(batch.x, corrupted, self._code(energy, batch.x, corrupted))
        if restored is None:
            raise UnsupportedError(
                f"{type(energy).__name__} does not reconstruct y, which Denoising compares with the data: give it a "
                "method `reconstruct`, or use DenoisingScoreMatching, which needs none."
            )
        loss = squared_distance(restored, batch.y).mean()
        return Losses({"energy": loss}, {"corruption": squared_distance(corrupted, batch.y).mean()})

    def _code(self, energy: Energy, x: Any, corrupted: Tensor) -> Any:
        if "z" not in energy.domains:
            return None
        if energy.domain("z").discrete:
            raise UnsupportedError(
                f"The z of {type(energy).__name__} is in {energy.domain('z')!r} and passes no gradient, so Denoising "
                "cannot train through it: use ExpectationMaximisation, or MinimumEnergy(noise=...)."
            )
        return infer(energy, x, corrupted, over="z", solver=self.solver, adjoint=self.adjoint).value

    @classmethod
    def reference_case(cls) -> ShapingCase:
        y = 0.2 * PerSampleRNG(0, torch.arange(32)).normal(2)
        return ShapingCase(cls(), Autoencoder(2, 16, hidden=(16,)), Batch(y))


@register("shaping")
class Masked(Shaping):
    """L = mean ‖(1 − m) ⊙ (y − r(m ⊙ y, m))‖² · D / #hidden, with a new random mask m for each sample and step.

    The loss of `MaskedAutoencoder` under random masks: Devlin et al., "BERT" (2019), for vectors. Each sample draws its
    own visible fraction from `visible`, so r learns to predict from little and from much.

    Energies: `Completing` ones: `MaskedAutoencoder`, and `MaskedText`, whose error is −log p of the hidden words.

    Args:
        visible: (smallest, largest) fraction of visible coordinates.
        seed: see `Shaping`.

    Raises:
        OptionError: for fractions out of order or outside [0, 1).
        UnsupportedError: if the energy is not `Completing`.

    >>> case = Masked.reference_case()
    >>> list(case.shaping(case.energy, case.batch).losses)
    ['energy']
    """

    def __init__(self, visible: tuple[float, float] = (0.3, 0.7), seed: int = 0) -> None:
        super().__init__(seed)
        if not 0 <= visible[0] <= visible[1] < 1:
            raise OptionError(f"visible must be two shares in order, from 0 to below 1, but it is {visible}.")
        self.visible = visible

    def forward(self, energy: Energy, batch: Batch) -> Losses:
        weight, core = offered(energy, Completing, type(self).__name__)
        noise, (low, high) = self.noise(batch.y), self.visible
        share = low + (high - low) * noise.uniform(1)
        mask = (noise.uniform(*batch.y.shape[1:]) < share).to(batch.y.dtype)
        loss = weight * core.hidden_error(batch.y, mask, batch.x).mean()
        return Losses({"energy": loss}, {"hidden": (1 - mask).mean()})

    @classmethod
    def reference_case(cls) -> ShapingCase:
        first = PerSampleRNG(0, torch.arange(32)).normal(1)
        return ShapingCase(cls(), MaskedAutoencoder(2, hidden=(16,)), Batch(torch.cat([first, -first], dim=1)))

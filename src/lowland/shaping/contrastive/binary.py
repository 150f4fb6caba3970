"""Ratio matching and minimum probability flow: each binary sample against its single flips (system C2)."""

from __future__ import annotations

import torch
from torch import Tensor

from lowland.energies.base import Energy
from lowland.energies.rbm import RBM
from lowland.errors import UnsupportedError
from lowland.registry import register
from lowland.shaping.base import Batch, Losses, ShapingCase
from lowland.shaping.contrastive.points import binarise, flat_vectors
from lowland.shaping.free import FreeEnergyShaping
from lowland.solvers.base import Solver
from lowland.tensors import PerSampleRNG, repeat_rows


def climb(shaping: FreeEnergyShaping, energy: Energy, batch: Batch, y: Tensor) -> tuple[Tensor, Tensor]:
    """F(ȳᵢ) − F(y) for all D flips of one coordinate, (B, D), and F(y), (B,)."""
    if not energy.domain("y").discrete:
        raise UnsupportedError(
            f"Flips need a binary y, but that of {type(energy).__name__} is in {energy.domain('y')!r}: use score "
            "matching, which is their counterpart for real numbers."
        )
    size = y.shape[1]
    change_DD = torch.eye(size, dtype=y.dtype, device=y.device)
    flips_BDD = y[:, None, :] + change_DD * (1 - 2 * y[:, None, :])
    value = shaping.free(energy, y, batch.x)
    flipped = shaping.free(energy, flips_BDD.reshape(-1, size), repeat_rows(batch.x, size)).reshape(-1, size)
    return flipped - value[:, None], value


def _case() -> tuple[Energy, Batch]:
    energy = RBM(6, 4, scale=0.5)
    y = (PerSampleRNG(0, torch.arange(32)).uniform(6) < torch.tensor([0.9, 0.9, 0.1, 0.1, 0.5, 0.9])).float()
    return energy, Batch(y)


@register("shaping")
class RatioMatching(FreeEnergyShaping):
    """L = mean over samples of Σ_i σ(F(y) − F(ȳᵢ))², with ȳᵢ = y with coordinate i flipped.

    σ(F(y) − F(ȳᵢ)) = 1 / (1 + p(y) / p(ȳᵢ)), so log Z cancels. Source: Hyvärinen, "Some extensions of score matching"
    (2007), for binary y. Grey y in [0, 1] are taken as probabilities and sampled.

    Energies: any with a binary y.

    Args:
        beta, latent_solver, seed: see `FreeEnergyShaping`.

    >>> case = RatioMatching.reference_case()
    >>> list(case.shaping(case.energy, case.batch).losses)
    ['energy']
    """

    def forward(self, energy: Energy, batch: Batch) -> Losses:
        rise, value = climb(self, energy, batch, binarise(self, energy, flat_vectors(self, batch.y)))
        loss = torch.sigmoid(-rise).square().sum(dim=1).mean()
        return Losses({"energy": loss}, {"data_energy": value.detach().mean()})

    @classmethod
    def reference_case(cls) -> ShapingCase:
        return ShapingCase(cls(), *_case())


@register("shaping")
class MinimumProbabilityFlow(FreeEnergyShaping):
    """L = ε / B Σ_{y in the batch} Σ_{ȳᵢ not in the batch} exp(½ (F(y) − F(ȳᵢ))), ȳᵢ being y with coordinate i flipped.

    The initial rate at which probability flows away from the data under dynamics that lead from the data to
    exp(−F) / Z. Source: Sohl-Dickstein, Battaglino & DeWeese, "Minimum probability flow learning" (2011). Flow from one
    sample to another is not lost, so such flips are left out. Grey y are taken as probabilities and sampled.

    Energies: any with a binary y.

    Args:
        rate: ε, which only scales the loss.
        beta, latent_solver, seed: see `FreeEnergyShaping`.

    >>> case = MinimumProbabilityFlow.reference_case()
    >>> list(case.shaping(case.energy, case.batch).losses)
    ['energy']
    """

    def __init__(
        self,
        rate: float = 1.0,
        beta: float | None = None,
        latent_solver: Solver | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(beta, latent_solver, seed)
        self.rate = rate

    def forward(self, energy: Energy, batch: Batch) -> Losses:
        y = binarise(self, energy, flat_vectors(self, batch.y))
        rise, value = climb(self, energy, batch, y)
        flow = torch.exp(-0.5 * rise).masked_fill(_flip_is_a_sample(y), 0.0)
        loss = self.rate * flow.sum(dim=1).mean()
        return Losses({"energy": loss}, {"data_energy": value.detach().mean()})

    @classmethod
    def reference_case(cls) -> ShapingCase:
        return ShapingCase(cls(), *_case())


def _flip_is_a_sample(y: Tensor) -> Tensor:
    """(B, D): whether y with coordinate i flipped is another sample of the batch."""
    distance_BB = y @ (1 - y).T + (1 - y) @ y.T
    first, second = (distance_BB.round() == 1).nonzero(as_tuple=True)
    found = torch.zeros_like(y, dtype=torch.bool)
    found[first, (y[first] != y[second]).float().argmax(dim=1)] = True
    return found

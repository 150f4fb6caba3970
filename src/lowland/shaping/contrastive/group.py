"""Group losses: one sample against several negatives at once (system L2)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from lowland.energies.base import Energy
from lowland.energies.network import NetworkEnergy
from lowland.errors import OptionError
from lowland.registry import register
from lowland.shaping.base import Batch, Losses, ShapingCase
from lowland.shaping.contrastive.points import Negatives, Perturbed
from lowland.shaping.free import FreeEnergyShaping
from lowland.solvers.base import Solver
from lowland.tensors import PerSampleRNG, repeat_rows


class GroupLoss(FreeEnergyShaping):
    """L = mean over samples of H(F(x, y); F(x, ŷ₁) … F(x, ŷ_N)); a subclass defines H.

    Args:
        negatives: the rule that chooses the ŷ, from `lowland.shaping.contrastive.points`.
        count: N (p⁻ in the talks), negatives per sample.
        temperature: τ > 0, in units of F.
        magnitude: weight of the mean of F² at y and ŷ, which keeps F from drifting (0 gives the published loss).
        beta, latent_solver, seed: see `FreeEnergyShaping`.

    Raises:
        OptionError: for fewer than one negative or a temperature that is not positive.
    """

    def __init__(
        self,
        negatives: Negatives,
        count: int = 8,
        temperature: float = 1.0,
        magnitude: float = 0.0,
        beta: float | None = None,
        latent_solver: Solver | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(beta, latent_solver, seed)
        if count < 1 or not temperature > 0:
            raise OptionError(f"A group needs count ≥ 1 and temperature > 0, not {count} and {temperature}.")
        self.negatives, self.count, self.temperature, self.magnitude = negatives, count, temperature, magnitude

    def loss(self, data: Tensor, negatives: Tensor) -> Tensor:
        """H, (B,), from F(x, y) / τ, (B,), and F(x, ŷ) / τ, (B, N)."""
        raise NotImplementedError

    def forward(self, energy: Energy, batch: Batch) -> Losses:
        points = self.negatives(self, energy, batch, self.count)
        data = self.free(energy, batch.y, batch.x)
        negatives = self.free(energy, points, repeat_rows(batch.x, self.count)).reshape(len(data), self.count)
        loss = self.loss(data / self.temperature, negatives / self.temperature).mean()
        if self.magnitude:
            loss = loss + self.magnitude * (data.square().mean() + negatives.square().mean())
        first = (data[:, None] < negatives).all(dim=1).float().mean()
        return Losses({"energy": loss}, {"gap": (negatives.mean() - data.mean()).detach(), "first": first})

    @classmethod
    def reference_case(cls) -> ShapingCase:
        y = 0.2 * PerSampleRNG(0, torch.arange(32)).normal(2)
        return ShapingCase(cls(Perturbed(1.0), count=4), NetworkEnergy(2, hidden=(16,)), Batch(y))


@register("shaping")
class InfoNCE(GroupLoss):
    """H = −log p, p = e^{−F(x,y)/τ} / (e^{−F(x,y)/τ} + Σ_n e^{−F(x,ŷ_n)/τ}).

    Source: van den Oord, Li & Vinyals, "Representation learning with contrastive predictive coding" (2018), equation 4,
    with −F / τ as the score. See `GroupLoss` for the arguments.

    Energies: any for whose y the rule `negatives` finds others.

    >>> case = InfoNCE.reference_case()
    >>> list(case.shaping(case.energy, case.batch).losses)
    ['energy']
    """

    def loss(self, data: Tensor, negatives: Tensor) -> Tensor:
        energies = torch.cat([data[:, None], negatives], dim=1)
        return data + torch.logsumexp(-energies, dim=1)


@register("shaping")
class NeighbourhoodComponents(GroupLoss):
    """H = −p, with p as in `InfoNCE`: minus the expected number of samples picked correctly among their negatives.

    Source: Goldberger, Roweis, Hinton & Salakhutdinov, "Neighbourhood components analysis" (2004), with one neighbour
    of the same class. Hopeless groups get smaller gradients than under InfoNCE. See `GroupLoss` for the arguments.

    Energies: any for whose y the rule `negatives` finds others.

    >>> case = NeighbourhoodComponents.reference_case()
    >>> list(case.shaping(case.energy, case.batch).losses)
    ['energy']
    """

    def loss(self, data: Tensor, negatives: Tensor) -> Tensor:
        return -functional.softmax(-torch.cat([data[:, None], negatives], dim=1), dim=1)[:, 0]

"""Pair losses: one sample against one negative, with a margin (system L1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from lowland.energies.base import Energy
from lowland.energies.network import NetworkEnergy
from lowland.errors import DomainError
from lowland.registry import register
from lowland.shaping.base import Batch, Losses, ShapingCase
from lowland.shaping.contrastive.points import Negatives, Perturbed
from lowland.shaping.free import FreeEnergyShaping
from lowland.solvers.base import Solver
from lowland.tensors import PerSampleRNG, repeat_rows

Margin: TypeAlias = float | Callable[[Tensor, Tensor], Tensor]
"""m ≥ 0, in units of F; or m(y, ŷ) → (B,), such as `DistanceMargin`."""


class DistanceMargin:
    """m(y, ŷ) = s ‖y − ŷ‖^p: negatives far from the data must have high energy, while those close by may stay low.

    Args:
        scale: s, in units of F per unit of y^p.
        power: p.
    """

    def __init__(self, scale: float = 1.0, power: float = 1.0) -> None:
        self.scale, self.power = scale, power

    def __call__(self, y: Tensor, negative: Tensor) -> Tensor:
        return self.scale * (y - negative).flatten(1).norm(dim=1) ** self.power


class PairLoss(FreeEnergyShaping):
    """L = mean over pairs of H(F(x, y), F(x, ŷ), m(y, ŷ)); a subclass defines H.

    Args:
        negatives: the rule that chooses ŷ, from `lowland.shaping.contrastive.points`: `ShortRun` for the most offending
            answers, `OtherSamples` for energies of pairs, `Perturbed`.
        margin: m, in units of F; a number or a function of y and ŷ.
        count: negatives per sample.
        magnitude: weight of the mean of F² at y and ŷ, which keeps F from drifting (0 gives the published loss).
        beta, latent_solver, seed: see `FreeEnergyShaping`.

    Raises:
        DomainError: for data of energy +∞, such as an answer that no path of a lattice writes.
    """

    def __init__(
        self,
        negatives: Negatives,
        margin: Margin = 1.0,
        count: int = 1,
        magnitude: float = 0.0,
        beta: float | None = None,
        latent_solver: Solver | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(beta, latent_solver, seed)
        self.negatives, self.margin, self.count, self.magnitude = negatives, margin, count, magnitude

    def loss(self, data: Tensor, negative: Tensor, margin: Tensor) -> Tensor:
        """H for each pair, (P,), from F(x, y), F(x, ŷ) and m, (P,) each."""
        raise NotImplementedError

    def forward(self, energy: Energy, batch: Batch) -> Losses:
        points = self.negatives(self, energy, batch, self.count)
        y, x = repeat_rows(batch.y, self.count), repeat_rows(batch.x, self.count)
        free = self.free(energy, batch.y, batch.x)
        _check_possible(free)
        data = repeat_rows(free, self.count)
        negative = self.free(energy, points, x)
        margin = self.margin(y, points) if callable(self.margin) else torch.full_like(negative, self.margin)
        loss = self.loss(data, negative, margin).mean()
        if self.magnitude:
            loss = loss + self.magnitude * (data.square().mean() + negative.square().mean())
        gap = (negative - data).detach().mean()
        return Losses({"energy": loss}, {"gap": gap, "data_energy": data.detach().mean()})

    @classmethod
    def reference_case(cls) -> ShapingCase:
        y = 0.2 * PerSampleRNG(0, torch.arange(32)).normal(2)
        return ShapingCase(cls(Perturbed(1.0)), NetworkEnergy(2, hidden=(16,)), Batch(y))


def _check_possible(free: Tensor) -> None:
    never = torch.isposinf(free.detach())
    if bool(never.any()):
        row = int(never.nonzero()[0])
        raise DomainError(
            f"Sample {row} of the batch has the energy +∞, so that it cannot be what it is said to be, and nothing can "
            "be learned from it: leave such samples out (a lattice finds them by `possible`)."
        )


@register("shaping")
class SimplePair(PairLoss):
    """H = [F(x, y)]⁺ + [m − F(x, ŷ)]⁺: the data below 0, the negatives above m.

    Source: Bromley et al., "Signature verification using a Siamese time delay neural network" (1993), as the talks
    restate it. See `PairLoss` for the arguments.

    Energies: any for whose y the rule `negatives` finds others.

    >>> case = SimplePair.reference_case()
    >>> list(case.shaping(case.energy, case.batch).losses)
    ['energy']
    """

    def loss(self, data: Tensor, negative: Tensor, margin: Tensor) -> Tensor:
        return data.clamp_min(0) + (margin - negative).clamp_min(0)


@register("shaping")
class HingePair(PairLoss):
    """H = [F(x, y) − F(x, ŷ) + m]⁺: the data must lie below the negatives by m, at any level.

    Source: Altun, Johnson & Hofmann (2003), with the most offending ŷ; as a ranking loss with sampled ŷ, Weston,
    Bengio & Usunier (2010). See `PairLoss` for the arguments.

    Energies: any for whose y the rule `negatives` finds others.

    >>> case = HingePair.reference_case()
    >>> list(case.shaping(case.energy, case.batch).losses)
    ['energy']
    """

    def loss(self, data: Tensor, negative: Tensor, margin: Tensor) -> Tensor:
        return (data - negative + margin).clamp_min(0)


@register("shaping")
class SquareSquarePair(PairLoss):
    """H = ([F(x, y)]⁺)² + ([m − F(x, ŷ)]⁺)².

    Source: Chopra, Hadsell & LeCun (2005); Hadsell, Chopra & LeCun (2006), where F is the distance of two embeddings,
    not its square. See `PairLoss` for the arguments.

    Energies: any for whose y the rule `negatives` finds others.

    >>> case = SquareSquarePair.reference_case()
    >>> list(case.shaping(case.energy, case.batch).losses)
    ['energy']
    """

    def loss(self, data: Tensor, negative: Tensor, margin: Tensor) -> Tensor:
        return data.clamp_min(0).square() + (margin - negative).clamp_min(0).square()

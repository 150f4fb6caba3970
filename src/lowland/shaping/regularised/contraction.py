"""The contractive auto-encoder (system A3): a code that changes as little as reconstruction allows."""

from __future__ import annotations

import torch
from torch import Tensor

from lowland.energies.autoencoder import Autoencoder
from lowland.energies.base import Energy
from lowland.energies.protocols import Encoding, offered
from lowland.errors import OptionError
from lowland.registry import register
from lowland.shaping.base import Batch, ShapingCase
from lowland.shaping.regularised.minimum_energy import MinimumEnergy


@register("shaping")
class Contraction(MinimumEnergy):
    """L = mean F(y) + λ · mean ‖∂Enc(y)/∂y‖²_F.

    Source: Rifai, Vincent, Muller, Glorot & Bengio (2011), equations 1 and 2. Away from the data nothing counteracts
    the penalty, so the code becomes constant and F high. With tied weights, as in the paper, a small encoder with a
    large decoder cannot evade the penalty.

    Energies: those with an encoder (`Encoding`), such as `Autoencoder`.

    Args:
        weight: λ ≥ 0, in units of squared y (over squared code per squared y).
        probes: random directions v for Hutchinson's estimate ‖J‖²_F = E ‖Jᵀv‖²; None computes it exactly, with one
            backward pass per unit of the code.
        seed: of the random directions.

    Raises:
        OptionError: for a negative weight, or fewer than one probe.
        UnsupportedError: in training, for an energy that is not `Encoding`.

    >>> import lowland as ll
    >>> energy = Autoencoder(n_features=4, n_codes=8, hidden=(), code="sigmoid", tied=True)
    >>> sorted(Contraction(0.1)(energy, ll.shaping.Batch(torch.ones(2, 4))).metrics)
    ['free_energy', 'penalty']
    """

    def __init__(self, weight: float = 0.1, probes: int | None = 1, seed: int = 0) -> None:
        super().__init__(seed=seed)
        if not weight >= 0 or (probes is not None and probes < 1):
            raise OptionError(f"Contraction needs weight ≥ 0 and probes ≥ 1 (or None), not {weight} and {probes}.")
        self.weight, self.probes = weight, probes

    def penalty(self, energy: Energy, batch: Batch) -> Tensor:
        _, core = offered(energy, Encoding, type(self).__name__)
        with torch.enable_grad():
            y = batch.y.detach().requires_grad_()
            code = core.code(y)
            if self.probes is None:
                directions = torch.eye(code.shape[1], dtype=y.dtype, device=y.device)[:, None].expand(-1, len(y), -1)
            else:
                drawn = self.noise(y).normal(self.probes, code.shape[1]).transpose(0, 1)
                directions = drawn / self.probes**0.5
            square = torch.zeros_like(y[:, 0])
            for direction in directions:
                (pulled,) = torch.autograd.grad((code * direction).sum(), y, create_graph=True)
                square = square + pulled.square().sum(dim=1)
            return self.weight * square.mean()

    @classmethod
    def reference_case(cls) -> ShapingCase:
        y = torch.randn(32, 4, generator=torch.Generator().manual_seed(0))
        energy = Autoencoder(4, 8, hidden=(), code="sigmoid", tied=True)
        return ShapingCase(cls(probes=None), energy, Batch(y, index=torch.arange(32)))

"""Prediction without a latent variable (the baseline of system S15): one answer, however the data spread."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lowland.domains import Reals
from lowland.energies.base import Energy, ReferenceCase, squared_distance
from lowland.energies.structure import Structure
from lowland.nn.layers import mlp
from lowland.registry import register


@register("energy")
class Prediction(Energy):
    """E(x, y) = ½‖y − f(x)‖², with f a multi-layer perceptron.

    The only minimiser is f(x). Trained with `ll.shaping.MinimumEnergy()`, which is least squares, f(x) becomes the mean
    of all y for an x, however unlikely that mean is; `ConditionalAutoencoder` has a latent variable for what x does not
    determine. Source: textbook.

    To use any other module (B, n_inputs) → (B, n_features) as f, assign it to `network`; `save_energy` stores only the
    arguments below.

    Args:
        n_inputs: size of x.
        n_features: size of y.
        hidden: sizes of the hidden layers of f, SiLU between them.
        generator: draws the weights.

    >>> energy = Prediction(n_inputs=3, n_features=4)
    >>> energy(x=torch.zeros(5, 3), y=torch.zeros(5, 4)).shape
    torch.Size([5])
    """

    def __init__(
        self,
        n_inputs: int,
        n_features: int,
        hidden: tuple[int, ...] = (256,),
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(x=Reals(n_inputs), y=Reals(n_features))
        self.network: nn.Module = mlp(n_inputs, *hidden, n_features, generator=generator)

    def encode(self, x: Tensor) -> Tensor:
        """f(x), (B, n_features)."""
        return self.network(x)

    def energy(self, x: Tensor, y: Tensor, z: Any) -> Tensor:
        return 0.5 * squared_distance(y, x)

    def structure(self, over: tuple[str, ...], x: Tensor | None, y: Any, z: Any) -> Structure:
        if over != ("y",) or x is None:
            return Structure()
        return Structure(minimiser=lambda: x, lipschitz=1.0, convex=True)

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """With f(x) = 2 x the answer to x is 2 x."""
        energy = cls(2, 2, hidden=())
        energy.load_state_dict({"network.0.weight": 2 * torch.eye(2), "network.0.bias": torch.zeros(2)})
        x = torch.tensor([[1.0, -3.0]])
        return ReferenceCase(energy, {"x": x}, "y", minimum=torch.zeros(1), minimiser=2 * x)

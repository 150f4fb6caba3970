"""A generator whose latent is inferred (system S14): an auto-encoder without the encoder."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lowland.domains import Ball, Reals
from lowland.energies.base import Energy, ReferenceCase, squared_distance
from lowland.nn.layers import mlp
from lowland.registry import register
from lowland.tensors import PerSampleRNG


@register("energy")
class Generator(Energy):
    """E(y, z) = ½‖y − G(z)‖², ‖z‖ ≤ radius, with G a multi-layer perceptron.

    The ball bounds the low-energy volume: G is smooth, so its outputs form a bounded smooth set. Source: Bojanowski,
    Joulin, Lopez-Paz & Szlam (2018), "Optimizing the latent space of generative networks" (GLO), with the squared error
    in place of their Laplacian pyramid; `ll.shaping.LearnedLatents` trains it as they do.

    Args:
        n_features: size of y.
        n_latents: size of z.
        hidden: sizes of the hidden layers of G, SiLU between them; () makes G linear.
        radius: of the ball.
        generator: draws the weights.

    >>> energy = Generator(n_features=4, n_latents=2)
    >>> energy(y=torch.zeros(3, 4), z=torch.zeros(3, 2)).shape
    torch.Size([3])
    """

    def __init__(
        self,
        n_features: int,
        n_latents: int,
        hidden: tuple[int, ...] = (128,),
        radius: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(y=Reals(n_features), z=Ball(n_latents, radius=radius))
        self.network = mlp(n_latents, *hidden, n_features, generator=generator)

    def energy(self, x: Any, y: Tensor, z: Tensor) -> Tensor:
        return 0.5 * squared_distance(y, self.network(z))

    def reconstruct(self, x: Any, y: Any, z: Tensor) -> Tensor:
        """G(z), (B, n_features)."""
        return self.network(z)

    def initialise(self, x: Any, y: Tensor, noise: PerSampleRNG) -> None:
        """Set the last bias to the mean of the data, so that G only learns how samples differ from it."""
        bias = self.network[-1].bias
        assert isinstance(bias, Tensor)
        bias.copy_(y.mean(dim=0))

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """With G the identity, z is y, or the point of the ball closest to it."""
        energy = cls(2, 2, hidden=())
        energy.load_state_dict({"network.0.weight": torch.eye(2), "network.0.bias": torch.zeros(2)})
        y = torch.tensor([[3.0, 4.0], [0.3, -0.4]])
        z = torch.tensor([[0.6, 0.8], [0.3, -0.4]])
        return ReferenceCase(energy, {"y": y}, "z", minimum=torch.tensor([8.0, 0.0]), minimiser=z)

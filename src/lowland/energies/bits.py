"""Answers of many yes and no: which pixels belong to a thing, which phrases fit an image."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.domains import Binary, Reals
from lowland.energies.base import Energy, ReferenceCase
from lowland.energies.structure import Structure
from lowland.nn.layers import linear
from lowland.registry import register


@register("energy")
class Bits(Energy):
    """E(x, y) = −Σ_k y_k f_k(x), with y_k = 0 or 1: independent given x, f from a network.

    So log Z(x) = Σ_k log(1 + exp f_k(x)), the least energy is that of [f > 0], and `MaximumLikelihood` is the logistic
    loss of each answer, summed. With y the phrases that are said of an image x, it is the training of Lebret, Pinheiro
    & Collobert, "Phrase-based image captioning" (2015), with all phrases that are not said as negatives in place of a
    few that are drawn.

    Args:
        network: (B, *inputs) → f, (B, *answers).
        inputs: shape of x.
        answers: shape of y.

    >>> energy = Bits(linear(3, 4), (3,), (4,))
    >>> energy(x=torch.zeros(5, 3), y=torch.zeros(5, 4))
    tensor([-0., -0., -0., -0., -0.], grad_fn=<NegBackward0>)
    """

    def __init__(self, network: nn.Module, inputs: tuple[int, ...], answers: tuple[int, ...]) -> None:
        super().__init__(x=Reals(*inputs), y=Binary(*answers))
        self.network = network

    def encode(self, x: Tensor) -> Tensor:
        """f(x), with the shape of y."""
        return self.network(x)

    def energy(self, x: Tensor, y: Tensor, z: Any) -> Tensor:
        return -(x * y).flatten(1).sum(dim=1)

    def log_partition(self, x: Tensor) -> Tensor:
        return functional.softplus(x).flatten(1).sum(dim=1)

    def structure(self, over: tuple[str, ...], x: Tensor | None, y: Any, z: Any) -> Structure:
        if over != ("y",) or x is None:
            return Structure()
        return Structure(minimiser=lambda: (x > 0).to(x.dtype).flatten(1))

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """With f(x) = x − 1, the answers are yes where x is above 1."""
        layer = linear(3, 3)
        with torch.no_grad():
            layer.weight.copy_(torch.eye(3))
            layer.bias.fill_(-1.0)
        x = torch.tensor([[3.0, 0.25, 1.5]])
        energy = cls(layer, (3,), (3,))
        return ReferenceCase(energy, {"x": x}, "y", torch.tensor([-2.5]), torch.tensor([[1.0, 0.0, 1.0]]))

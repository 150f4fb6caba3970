"""Classification: a network with one output per class is an energy of an input and an answer (systems V1, E2)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lowland.domains import OneHot, Reals
from lowland.energies.base import Energy, ReferenceCase
from lowland.energies.structure import Structure
from lowland.nn.layers import mlp
from lowland.registry import register


@register("energy")
class Classifier(Energy):
    """E(x, y) = −y·f(x): x an input, y a one-hot answer, f a network with one output for each of the K classes.

    The best answer ŷ = argmin_y E(x, y) is the class of the largest output, found by enumerating all K. The partition
    function is log Z(x) = log Σ_k exp f_k(x), so that p(y | x) = exp(−E(x, y)) / Z(x) is the softmax of f(x), and
    `MaximumLikelihood` is the cross-entropy. Source: LeCun, Chopra, Hadsell, Ranzato & Huang, "A tutorial on
    energy-based learning" (2006).

    To use any other module (B, D) → (B, K) as f, assign it to `network`. `save_energy` stores only the arguments below,
    so save such an energy with `export_program`, `export_onnx` or `export_safetensors`.

    Args:
        n_inputs: D, the size of x.
        n_classes: K.
        hidden: sizes of the hidden layers of f, ReLU between them; () makes f linear.
        generator: draws the initial weights.

    >>> energy = Classifier(64, 10)
    >>> energy(x=torch.zeros(5, 64), y=torch.eye(10)[:5]).shape
    torch.Size([5])
    """

    def __init__(
        self,
        n_inputs: int,
        n_classes: int,
        hidden: tuple[int, ...] = (1000,),
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(x=Reals(n_inputs), y=OneHot(n_classes))
        self.network: nn.Module = mlp(n_inputs, *hidden, n_classes, activation=nn.ReLU, generator=generator)

    def encode(self, x: Tensor) -> Tensor:
        """f(x), (B, K): everything the energy needs from x."""
        return self.network(x)

    def energy(self, x: Tensor, y: Tensor, z: Any) -> Tensor:
        return -(x * y).sum(dim=1)

    def log_partition(self, x: Tensor) -> Tensor:
        return torch.logsumexp(x, dim=1)

    def structure(self, over: tuple[str, ...], x: Tensor | None, y: Any, z: Any) -> Structure:
        return Structure(table=lambda: -x) if over == ("y",) and x is not None else Structure()

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """With f(x) = W x, the best of three answers is the row of W with the largest product."""
        energy = cls(2, 3, hidden=())
        weight, bias = (parameter.data for parameter in energy.network.parameters())
        weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]]))
        bias.zero_()
        x = torch.tensor([[2.0, 1.0], [0.5, 1.5], [-1.0, -2.0]])
        return ReferenceCase(energy, {"x": x}, "y", minimum=torch.tensor([-2.0, -1.5, -3.0]), minimiser=torch.eye(3))

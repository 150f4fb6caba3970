"""A sparse auto-encoder (systems A2, S6, S7): sparse coding with an encoder that learns to predict the codes."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor

from lowland.energies.base import ReferenceCase, squared_distance
from lowland.energies.sparse_coding import SparseCoding
from lowland.energies.structure import Quadratic, Structure
from lowland.errors import OptionError
from lowland.nn.layers import mlp
from lowland.registry import register


@register("energy")
class SparseAutoencoder(SparseCoding):
    """E(y, z) = ½‖y − W z‖² + (α/2)‖z − Enc(y)‖² + λ‖z‖₁, with unit-norm atoms as the columns of W.

    Inference starts at the encoder's prediction; the same z then trains decoder and encoder (envelope theorem). Source:
    predictive sparse decomposition, Kavukcuoglu, Ranzato & LeCun (2008). Train with
    `ll.shaping.MinimumEnergy(solver=ll.solvers.FISTA(max_steps=50))`.

    Args:
        n_features, n_atoms, sparsity, positive: as in `SparseCoding`.
        prediction: α > 0, weight of the distance between code and encoder output.
        hidden: sizes of the encoder's hidden layers; by default one hidden layer.
        generator: draws dictionary and encoder.

    Raises:
        OptionError: if α or λ is not positive.

    >>> energy = SparseAutoencoder(n_features=4, n_atoms=8)
    >>> energy(y=torch.ones(2, 4), z=torch.zeros(2, 8)).shape
    torch.Size([2])
    """

    def __init__(
        self,
        n_features: int,
        n_atoms: int,
        sparsity: float = 0.1,
        prediction: float = 1.0,
        positive: bool = False,
        hidden: tuple[int, ...] = (128,),
        generator: torch.Generator | None = None,
    ) -> None:
        if not prediction > 0:
            raise OptionError(f"prediction must be positive, but it is {prediction}: with 0 use SparseCoding.")
        generator = generator or torch.Generator().manual_seed(0)
        super().__init__(n_features, n_atoms, sparsity, positive, generator)
        self.prediction = prediction
        self.encoder = mlp(n_features, *hidden, n_atoms, generator=generator)

    def energy(self, x: Any, y: Tensor, z: Tensor) -> Tensor:
        return super().energy(x, y, z) + 0.5 * self.prediction * squared_distance(z, self.encoder(y))

    def structure(self, over: tuple[str, ...], x: Any, y: Any, z: Any) -> Structure:
        coding = super().structure(over, x, y, z)
        if coding.quadratic is None:
            return coding
        gram, linear, constant = coding.quadratic
        predicted = self.encoder(y)
        quadratic = Quadratic(
            gram + self.prediction * torch.eye(len(gram), dtype=gram.dtype, device=gram.device),
            linear + self.prediction * predicted,
            constant + 0.5 * self.prediction * predicted.square().sum(dim=1),
        )

        def bound() -> Tensor:
            known = coding.bound()
            assert known is not None
            return torch.as_tensor(known) + self.prediction

        return dataclasses.replace(coding, quadratic=quadratic, lipschitz=bound, warm_start=lambda: predicted.detach())

    def code(self, y: Tensor) -> Tensor:
        """Enc(y), a fast approximation of the code, (B, n_atoms)."""
        return self.encoder(y)

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """With orthonormal atoms and Enc = 0, the code is shrink_λ(y) / (1 + α)."""
        energy = cls(2, 2, sparsity=0.5, prediction=1.0, hidden=())
        energy.load_state_dict({name: torch.zeros_like(value) for name, value in energy.state_dict().items()})
        energy.dictionary.data = torch.eye(2)
        y = torch.tensor([[2.5, 0.25]])
        code = torch.tensor([[1.0, 0.0]])
        minimum = 0.5 * squared_distance(y, code) + 0.5 * code.square().sum(dim=1) + 0.5 * code.abs().sum(dim=1)
        return ReferenceCase(energy, {"y": y}, "z", minimum=minimum, minimiser=code)

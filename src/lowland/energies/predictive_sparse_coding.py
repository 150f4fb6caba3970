"""Predictive sparse decomposition (system S6): sparse coding trained jointly with an unrolled encoder."""

from __future__ import annotations

import torch

from lowland.energies.base import ReferenceCase
from lowland.energies.sparse_autoencoder import SparseAutoencoder
from lowland.nn.lista import LISTA
from lowland.registry import register


@register("energy")
class PredictiveSparseCoding(SparseAutoencoder):
    """E(y, z) = ½‖y − W z‖² + (α/2)‖z − Enc(y)‖² + λ‖z‖₁, where Enc is LISTA with K shrinkages.

    Source: Kavukcuoglu, Ranzato & LeCun, "Fast inference in sparse coding algorithms with applications to object
    recognition" (2008), whose encoder is D tanh(W_e y + b). Here it is z ← shrink_θ(W_e y + S z), from 0, K times; for
    K = 1 it is a linear map and a shrinkage, which gives exact zeros. `MinimumEnergy` alternates between inference and
    training W and Enc. Afterwards `energy.code(y)` is the fast code. `energy.encoder` can be replaced by your own
    module.

    Args:
        n_features, n_atoms, sparsity, positive: as in `SparseCoding`.
        prediction: α > 0, weight of the distance between code and encoder output.
        shrinkages: K ≥ 1.
        tied: see `lowland.nn.LISTA`.
        generator: draws the dictionary, from which the encoder's initial weights follow.

    Raises:
        OptionError: if α or λ is not positive, or K is below 1.

    >>> energy = PredictiveSparseCoding(n_features=4, n_atoms=8, shrinkages=2)
    >>> energy.code(torch.ones(3, 4)).shape
    torch.Size([3, 8])
    """

    def __init__(
        self,
        n_features: int,
        n_atoms: int,
        sparsity: float = 0.1,
        prediction: float = 1.0,
        positive: bool = False,
        shrinkages: int = 1,
        tied: bool = True,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(n_features, n_atoms, sparsity, prediction, positive, (), generator)
        self.encoder = LISTA(self.dictionary, sparsity, shrinkages, tied, positive)

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """With orthonormal atoms Enc(y) = shrink_λ(y) =: s, and the code is shrink_λ(y + α s) / (1 + α)."""
        energy = cls(2, 2, sparsity=0.5, prediction=1.0)
        energy.dictionary.data = torch.eye(2)
        energy.encoder = LISTA(energy.dictionary, 0.5, shrinkages=1)
        y = torch.tensor([[2.5, 0.25]])
        code, minimum = torch.tensor([[2.0, 0.0]]), torch.tensor([0.5 * 0.25 + 0.5 * 2.0 + 0.5 * 0.0625])
        return ReferenceCase(energy, {"y": y}, "z", minimum, code)

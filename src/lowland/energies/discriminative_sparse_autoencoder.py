"""The discriminative recurrent sparse auto-encoder (system S8): codes that reconstruct, are sparse, and classify."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.domains import OneHot, Reals
from lowland.energies.base import Energy, ReferenceCase, squared_distance
from lowland.energies.structure import Structure
from lowland.errors import OptionError
from lowland.registry import register


@register("energy")
class DiscriminativeSparseAutoencoder(Energy):
    """E(x, y) = ½‖x − D z‖² + λ‖z‖₁ − μ y·log softmax(C ẑ + c), z = z_T(x), ẑ = z / ‖z‖, y a one-hot class.

        z_{t+1} = max(0, A x + S z_t − b),   z_0 = 0

    The encoder is ISTA for z ≥ 0 with learned matrices, unrolled T times. Initially A = η Dᵀ, S = I − η DᵀD, b = η λ,
    with η = 1 / ‖DᵀD‖. S explains away: units that account for the same part of x inhibit each other. Source: Rolfe &
    LeCun, "Discriminative recurrent sparse auto-encoders" (2013), with their T = 11 and one hidden layer, columns of D
    of norm 1 and rows of A of norm at most 1. `ll.shaping.MinimumEnergy()` trains it by back-propagation through time,
    as they do, starting with μ = 0.

    Args:
        n_inputs: size of x.
        n_classes: size of y.
        n_atoms: size of z.
        sparsity: λ > 0, in units of x.
        discrimination: μ ≥ 0, in units of E.
        iterations: T ≥ 1.
        generator: draws the initial D and C.

    Raises:
        OptionError: for options outside those ranges.

    >>> energy = DiscriminativeSparseAutoencoder(16, 10, n_atoms=32)
    >>> energy.code(torch.ones(5, 16)).shape, energy(x=torch.ones(5, 16), y=torch.eye(10)[:5]).shape
    (torch.Size([5, 32]), torch.Size([5]))
    """

    def __init__(
        self,
        n_inputs: int,
        n_classes: int,
        n_atoms: int = 400,
        sparsity: float = 0.1,
        discrimination: float = 1.0,
        iterations: int = 11,
        generator: torch.Generator | None = None,
    ) -> None:
        if not sparsity > 0 or not discrimination >= 0 or iterations < 1:
            raise OptionError(
                "DiscriminativeSparseAutoencoder needs sparsity > 0, discrimination ≥ 0 and iterations ≥ 1, not "
                f"{sparsity}, {discrimination} and {iterations}."
            )
        super().__init__(x=Reals(n_inputs), y=OneHot(n_classes))
        self.sparsity, self.discrimination, self.iterations = sparsity, discrimination, iterations
        generator = generator or torch.Generator().manual_seed(0)
        atoms = functional.normalize(torch.randn(n_inputs, n_atoms, generator=generator), dim=0)
        gram = atoms.T @ atoms
        step = 1 / torch.linalg.eigvalsh(gram)[-1]
        self.decoder = nn.Parameter(atoms)
        self.encoder = nn.Parameter(step * atoms.T)
        self.recurrence = nn.Parameter(torch.eye(n_atoms) - step * gram)
        self.threshold = nn.Parameter(torch.full((n_atoms,), float(step) * sparsity))
        self.classes = nn.Parameter(torch.randn(n_classes, n_atoms, generator=generator) / n_atoms**0.5)
        self.offset = nn.Parameter(torch.zeros(n_classes))

    def code(self, x: Tensor) -> Tensor:
        """z_T(x), (B, n_atoms)."""
        drive = functional.linear(x, self.encoder, -self.threshold)
        z = functional.relu(drive)
        for _ in range(self.iterations - 1):
            z = functional.relu(drive + z @ self.recurrence.T)
        return z

    def scores(self, z: Tensor) -> Tensor:
        """C ẑ + c, (B, n_classes); for a code of zeros it is c."""
        # The square root of a sum of squares has no derivative at 0.
        length = z.square().sum(dim=1, keepdim=True).clamp_min(1e-12).sqrt()
        return functional.linear(z / length, self.classes, self.offset)

    def encode(self, x: Tensor) -> dict[str, Tensor]:
        return {"x": x, "z": self.code(x)}

    def energy(self, x: dict[str, Tensor], y: Tensor, z: Any) -> Tensor:
        return self._explained(x) - self.discrimination * (y * self.scores(x["z"]).log_softmax(dim=1)).sum(dim=1)

    def structure(self, over: tuple[str, ...], x: dict[str, Tensor] | None, y: Any, z: Any) -> Structure:
        if over != ("y",) or x is None:
            return Structure()
        known = self._explained(x)[:, None]
        return Structure(table=lambda: known - self.discrimination * self.scores(x["z"]).log_softmax(dim=1))

    def _explained(self, x: dict[str, Tensor]) -> Tensor:
        code = x["z"]
        return 0.5 * squared_distance(x["x"], code @ self.decoder.T) + self.sparsity * code.sum(dim=1)

    def constrain(self) -> None:
        """Columns of D get norm 1, rows of A a norm of at most 1, and b stays non-negative."""
        self.decoder.copy_(functional.normalize(self.decoder, dim=0))
        self.encoder.div_(self.encoder.norm(dim=1, keepdim=True).clamp_min(1.0))
        self.threshold.clamp_min_(0)

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """With D = I one iteration is exact: x = (2, −1) has z = (1.5, 0), ẑ = (1, 0), and C = 3 I scores 3 to 0."""
        energy = cls(2, 2, n_atoms=2, sparsity=0.5, iterations=1)
        state = {"decoder": torch.eye(2), "encoder": torch.eye(2), "threshold": torch.full((2,), 0.5)}
        state |= {"classes": 3 * torch.eye(2)}
        energy.load_state_dict(energy.state_dict() | state)
        minimum = 0.5 * (0.25 + 1.0) + 0.75 + torch.log1p(torch.exp(torch.tensor(-3.0)))
        return ReferenceCase(energy, {"x": torch.tensor([[2.0, -1.0]])}, "y", minimum[None], torch.tensor([[1.0, 0.0]]))

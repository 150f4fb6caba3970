"""A discretised auto-encoder (system A1): the code has finitely many values."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lowland.domains import Binary, OneHot, Reals
from lowland.energies.base import Energy, ReferenceCase, squared_distance, squared_distances
from lowland.energies.structure import Structure
from lowland.errors import OptionError
from lowland.nn.layers import mlp
from lowland.registry import register


@register("energy")
class DiscreteAutoencoder(Energy):
    """E(y, z) = ‖y − Dec(z)‖², where z is a few binary units or one-hot groups; the encoder predicts z from y.

    At most `categories ** groups` points have zero energy. F over z is exact (by enumeration) for up to 65,536 of them;
    beyond that the encoder's output is used. `ll.shaping.StraightThrough()` trains encoder and decoder together: the
    gradient of E in z passes to the encoder as if rounding were the identity (Bengio, Léonard & Courville 2013).

    Args:
        n_features: size of y.
        groups: number of binary units or one-hot groups.
        categories: values per group: 2 for binary units, more for one-hot groups.
        hidden: sizes of the encoder's hidden layers; the decoder mirrors them.
        generator: draws the weights.

    Raises:
        OptionError: for fewer than 2 categories or no group.

    >>> energy = DiscreteAutoencoder(n_features=4, groups=8)
    >>> energy(y=torch.zeros(3, 4), z=torch.ones(3, 8)).shape
    torch.Size([3])
    """

    def __init__(
        self,
        n_features: int,
        groups: int = 8,
        categories: int = 2,
        hidden: tuple[int, ...] = (128,),
        generator: torch.Generator | None = None,
    ) -> None:
        if categories < 2 or groups < 1:
            raise OptionError(f"A discrete code needs groups ≥ 1 and categories ≥ 2, not {groups} and {categories}.")
        latent = Binary(groups) if categories == 2 else OneHot(categories, groups=groups)
        super().__init__(y=Reals(n_features), z=latent)
        generator = generator or torch.Generator().manual_seed(0)
        self.encoder = mlp(n_features, *hidden, latent.size, generator=generator)
        self.decoder = mlp(latent.size, *reversed(hidden), n_features, generator=generator)

    def energy(self, x: Any, y: Tensor, z: Tensor) -> Tensor:
        return squared_distance(y, self.reconstruct(x, y, z))

    def structure(self, over: tuple[str, ...], x: Any, y: Any, z: Any) -> Structure:
        if over != ("z",):
            return Structure()
        finite = self.domain("z").cardinality is not None
        return Structure(
            warm_start=lambda: self._soft(y)[1].flatten(1), table=(lambda: self._table(y)) if finite else None
        )

    def _table(self, y: Tensor) -> Tensor:
        """E of all values of z, (B, K); each value is decoded once, not once per sample."""
        return squared_distances(y, self.decoder(self.domain("z").elements(y.dtype, y.device)))

    def _soft(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """The encoder's probabilities and the most probable z, each in the shape of z."""
        logits = self.domain("z").unpack(self.encoder(y))
        soft = torch.sigmoid(logits) if isinstance(self.domain("z"), Binary) else logits.softmax(dim=-1)
        return soft, self.domain("z").unpack(self.domain("z").project(soft.detach().flatten(1)))

    def straight_through(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """E at the encoder's rounded z, (B,), with gradients as if nothing were rounded; and that z."""
        soft, hard = self._soft(y)
        return self.energy(None, y, hard + soft - soft.detach()), hard

    def reconstruct(self, x: Any, y: Any, z: Tensor) -> Tensor:
        """Dec(z), (B, n_features)."""
        return self.decoder(z.flatten(1).to(next(self.decoder.parameters()).dtype))

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """With Dec the identity, the nearest corner of the square."""
        energy = cls(2, groups=2, hidden=())
        state = {"decoder.0.weight": torch.eye(2), "decoder.0.bias": torch.zeros(2)}
        energy.load_state_dict(energy.state_dict() | state)
        y = torch.tensor([[1.0, 0.2], [-0.5, 0.8]])
        corner = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
        return ReferenceCase(energy, {"y": y}, "z", minimum=squared_distance(y, corner), minimiser=corner)

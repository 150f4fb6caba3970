"""Energies that are reconstruction errors: denoising and masked auto-encoders (row C3), EBGAN's (row G2)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lowland.domains import Reals
from lowland.energies.base import Energy, ReferenceCase, squared_distance
from lowland.errors import OptionError
from lowland.nn.layers import mlp
from lowland.registry import register


@register("energy")
class Reconstruction(Energy):
    """F(y) = ‖y − Dec(Enc(y))‖², low where the map r = Dec ∘ Enc leaves y in place.

    Trained by `Denoising`, r maps points off the data back to it (Vincent et al. 2008); trained by `EBGAN`, F is the
    discriminator of Zhao, Mathieu & LeCun (2017). Neither needs a narrow code.

    Args:
        n_features: size of y.
        hidden: sizes of the encoder's hidden layers; the decoder has them in reverse.
        n_code: size of the code.
        generator: for the first weights.

    >>> Reconstruction(4, hidden=(8,), n_code=8)(y=torch.zeros(2, 4)).shape
    torch.Size([2])
    """

    def __init__(
        self,
        n_features: int,
        hidden: tuple[int, ...] = (256,),
        n_code: int = 256,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(y=Reals(n_features))
        generator = generator or torch.Generator().manual_seed(0)
        self.encoder = mlp(n_features, *hidden, n_code, generator=generator)
        self.decoder = mlp(n_code, *hidden[::-1], n_features, generator=generator)

    def code(self, y: Tensor) -> Tensor:
        """Enc(y), (B, n_code)."""
        return self.encoder(y)

    def reconstruct(self, x: Any, y: Tensor, z: Any) -> Tensor:
        """r(y) = Dec(Enc(y)), (B, n_features)."""
        return self.decoder(self.code(y))

    def energy(self, x: Any, y: Tensor, z: Any) -> Tensor:
        return squared_distance(y, self.reconstruct(x, y, z))

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """A linear map that keeps the first coordinate and drops the second: F(y) = y₂² for y₁ given by the start."""
        energy = cls(2, hidden=(), n_code=2)
        for weight, bias in (energy.encoder.parameters(), energy.decoder.parameters()):
            weight.data = torch.diag(torch.tensor([1.0, 0.0]))
            bias.data.zero_()
        return ReferenceCase(energy, {}, "y", minimum=torch.zeros(1), start=torch.tensor([[0.7, 0.5]]))


@register("energy")
class MaskedAutoencoder(Energy):
    """F(y) = mean over masks m of ‖(1 − m) ⊙ (y − r(m ⊙ y, m))‖² · D / #hidden: how badly hidden parts are filled in.

    The masks are fixed, so that F is deterministic: they are drawn once, in pairs of a mask and what it left out, and
    `Masked` trains r on fresh ones. It is the masked language model of Devlin et al. (2019) and the inpainting of
    Pathak et al. (2016) for vectors.

    Args:
        n_features: D, the size of y.
        hidden: sizes of the hidden layers of r, which takes (m ⊙ y, m).
        n_masks: number of fixed masks, even.
        visible: share of the coordinates that each mask of a pair's first half shows.
        generator: for masks and first weights.

    Raises:
        OptionError: for an odd number of masks, or a share that shows all or nothing.

    >>> MaskedAutoencoder(4, hidden=(8,))(y=torch.zeros(2, 4)).shape
    torch.Size([2])
    """

    masks: Tensor

    def __init__(
        self,
        n_features: int,
        hidden: tuple[int, ...] = (256, 256),
        n_masks: int = 16,
        visible: float = 0.5,
        generator: torch.Generator | None = None,
    ) -> None:
        shown = round(visible * n_features)
        if n_masks < 2 or n_masks % 2 or not 0 < shown < n_features:
            raise OptionError(
                f"MaskedAutoencoder needs an even number of masks and 0 < visible < 1, not {n_masks} and {visible}."
            )
        super().__init__(y=Reals(n_features))
        generator = generator or torch.Generator().manual_seed(0)
        order = torch.rand(n_masks // 2, n_features, generator=generator).argsort(dim=1)
        first = (order < shown).to(torch.get_default_dtype())
        self.register_buffer("masks", torch.cat([first, 1 - first]))
        self.network = mlp(2 * n_features, *hidden, n_features, generator=generator)

    def fill(self, y: Tensor, mask: Tensor) -> Tensor:
        """r(m ⊙ y, m), (B, D): what the visible part says about all of y; `mask` is (B, D), 1 where y is visible."""
        return self.network(torch.cat([mask * y, mask], dim=1))

    def hidden_error(self, y: Tensor, mask: Tensor) -> Tensor:
        """(B,), the squared error on the hidden coordinates, scaled to D of them."""
        hidden = 1 - mask
        error = (hidden * (y - self.fill(y, mask))).square().sum(dim=1)
        return error * y.shape[1] / hidden.sum(dim=1).clamp_min(1)

    def energy(self, x: Any, y: Tensor, z: Any) -> Tensor:
        count = len(self.masks)
        masks = self.masks.repeat(len(y), 1)
        return self.hidden_error(y.repeat_interleave(count, dim=0), masks).reshape(-1, count).mean(dim=1)

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """A network that always answers 1 is right where y = 1."""
        energy = cls(3, hidden=(), n_masks=2, visible=0.34)
        weight, bias = energy.network.parameters()
        weight.data.zero_()
        bias.data.fill_(1.0)
        return ReferenceCase(energy, {}, "y", minimum=torch.zeros(1), minimiser=torch.ones(1, 3))

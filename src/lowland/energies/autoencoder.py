"""Auto-encoders (systems A1, A3): F(y) is the reconstruction error."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.domains import Reals
from lowland.energies.base import Energy, ReferenceCase, squared_distance
from lowland.errors import OptionError
from lowland.nn.layers import mlp
from lowland.registry import register

CODES = {
    "linear": lambda a: a,
    "relu": functional.relu,
    "hardtanh": functional.hardtanh,
    "sigmoid": torch.sigmoid,
}
_FLAT = {"relu": lambda a: a.clamp_min(0), "hardtanh": lambda a: (1 - a.abs()).clamp_min(0)}


@register("energy")
class Autoencoder(Energy):
    """F(y) = ‖y − Dec(Enc(y))‖².

    The user chooses what bounds the low-energy volume: a narrow code (system A1), or a shaping that keeps Dec(Enc(y))
    as constant as possible (system A3), such as `ll.shaping.Contraction` (contractive auto-encoder) or
    `ll.shaping.Saturation` (saturating auto-encoder). Noise on the input makes it a denoising auto-encoder (system C3).
    Source: Hinton & Salakhutdinov, "Reducing the dimensionality of data with neural networks" (2006), for the deep
    auto-encoder with a narrow code.

    Args:
        n_features: size of y.
        n_codes: size of the code.
        hidden: sizes of the encoder's hidden layers; the decoder mirrors them. Empty for one linear layer each.
        code: what is applied to the encoder's output a: "linear" a, "relu" max(0, a), "hardtanh" a clipped to ±1,
            "sigmoid".
        tied: the decoder's weights are the encoder's, transposed, as in the first contractive auto-encoders; only
            without hidden layers.
        generator: draws the weights.

    Raises:
        OptionError: for an unknown code, or tied weights with hidden layers.

    >>> energy = Autoencoder(n_features=4, n_codes=2)
    >>> energy(y=torch.zeros(3, 4)).shape, energy.code(torch.zeros(3, 4)).shape
    (torch.Size([3]), torch.Size([3, 2]))
    """

    def __init__(
        self,
        n_features: int,
        n_codes: int,
        hidden: tuple[int, ...] = (128,),
        code: Literal["linear", "relu", "hardtanh", "sigmoid"] = "linear",
        tied: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        if code not in CODES:
            raise OptionError(f"code must be one of {', '.join(CODES)}, but it is {code!r}.")
        if tied and hidden:
            raise OptionError(f"Tied weights need an encoder of one layer: pass hidden=() instead of {hidden}.")
        super().__init__(y=Reals(n_features))
        generator = generator or torch.Generator().manual_seed(0)
        self.activation, self.tied = code, tied
        if tied:
            weight = torch.randn(n_codes, n_features, generator=generator) / n_features**0.5
            self.weight = nn.Parameter(weight)
            self.inner, self.outer = nn.Parameter(torch.zeros(n_codes)), nn.Parameter(torch.zeros(n_features))
        else:
            self.encoder = mlp(n_features, *hidden, n_codes, generator=generator)
            self.decoder = mlp(n_codes, *reversed(hidden), n_features, generator=generator)

    def energy(self, x: Any, y: Tensor, z: Any) -> Tensor:
        return squared_distance(y, self.decode(self.code(y)))

    def preactivation(self, y: Tensor) -> Tensor:
        """a, the encoder's output before `code` is applied, (B, n_codes)."""
        return functional.linear(y, self.weight, self.inner) if self.tied else self.encoder(y)

    def code(self, y: Tensor) -> Tensor:
        """Enc(y), (B, n_codes)."""
        return CODES[self.activation](self.preactivation(y))

    def decode(self, code: Tensor) -> Tensor:
        """Dec(code), (B, n_features)."""
        return code @ self.weight + self.outer if self.tied else self.decoder(code)

    def distance_to_flat(self, a: Tensor) -> Tensor:
        """Distance of each a from the flat region of the code's activation, (B, n_codes).

        max(0, a) for "relu", max(0, 1 − |a|) for "hardtanh": the complementary function of Goroshin & LeCun (2013).
        """
        if self.activation not in _FLAT:
            raise OptionError(f"A code {self.activation!r} has no flat region: use {' or '.join(_FLAT)}.")
        return _FLAT[self.activation](a)

    def reconstruct(self, x: Any, y: Tensor, z: Any) -> Tensor:
        """Dec(Enc(y)), (B, n_features)."""
        return self.decode(self.code(y))

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """With Enc the identity of the plane and Dec its transpose, F vanishes in the plane."""
        energy = cls(2, 2, hidden=(), tied=True)
        energy.weight.data = torch.eye(2)
        return ReferenceCase(energy, {}, "y", minimum=torch.zeros(1))

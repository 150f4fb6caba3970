"""Masked prediction: the error in predicting hidden patches of an image from the others (systems J5, J7).

Shape letters: B images, N patches of an image, K of them shown, M asked for, D width of the encoder's tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.domains import Binary, Reals
from lowland.energies.base import Energy, ReferenceCase
from lowland.errors import OptionError, nearest
from lowland.nn.encoders.vision_transformer import TransformerBlock, VisionTransformer, picked, places
from lowland.nn.layers import linear
from lowland.registry import register

TARGETS = ("latents", "pixels", "normalised")


@register("energy")
class MaskedPrediction(Energy):
    """F(x, y, z) = Σ_i z_i ‖p(h(x ∖ z), i) − t(y)_i‖² / (d Σ_i z_i), z_i = 1 where patch i of x is hidden.

    The encoder h sees the visible patches only; the predictor p, a narrower transformer, gets their tokens and a mask
    token at each hidden position. The target t defines what is predicted, d numbers per patch:

    - "latents": the tokens of h(y), which sees all of y, each normalised to mean 0 and standard deviation 1. This is
      the energy of I-JEPA (Assran et al. 2023, figure 2c) and of data2vec 2.0 (Baevski et al. 2023, section 3).
    - "pixels", or "normalised": the pixels of each patch, normalised by their mean and standard deviation. This is the
      masked auto-encoder, MAE (He et al. 2022, section 3).

    After training only the encoder is kept: `energy.represent(y)`. With latents, nothing in the energy keeps it from
    being low everywhere; `IJEPA` and `Data2Vec` train it with targets from an EMA encoder, and `MAE` trains the other
    two.

    Args:
        encoder: h, with its patches.
        target: t.
        width: token size of the predictor, a multiple of 4 and of `heads`.
        depth: blocks of the predictor.
        heads: attention heads of the predictor.
        generator: draws the weights of the predictor.

    Raises:
        OptionError: for an unknown target, or sizes that do not divide each other.

    >>> energy = MaskedPrediction(VisionTransformer((3, 16, 16), width=24, depth=1), width=12, depth=1)
    >>> image, hidden = torch.rand(2, 3, 16, 16), torch.zeros(2, 16)
    >>> hidden[:, :8] = 1
    >>> energy(x=image, y=image, z=hidden).shape, energy.represent(image).shape
    (torch.Size([2]), torch.Size([2, 24]))
    """

    views = True
    places: Tensor

    def __init__(
        self,
        encoder: VisionTransformer,
        target: str = "latents",
        width: int = 96,
        depth: int = 4,
        heads: int = 3,
        generator: torch.Generator | None = None,
    ) -> None:
        if target not in TARGETS:
            raise OptionError(f"There is no target {target!r}. {nearest(target, TARGETS)}")
        if width % 4 or width % heads or depth < 1:
            raise OptionError(
                f"A predictor needs a width that 4 and its heads divide, and a depth of at least 1, not a width of "
                f"{width}, {heads} heads and a depth of {depth}."
            )
        self.count = encoder.grid[0] * encoder.grid[1]
        super().__init__(x=Reals(encoder.shape), y=Reals(encoder.shape), z=Binary(self.count))
        generator = generator or torch.Generator().manual_seed(0)
        self.encoder, self.target = encoder, target
        self.enter = linear(encoder.size, width, generator)
        self.mask = nn.Parameter(0.02 * torch.randn(width, generator=generator))
        self.blocks = nn.ModuleList(TransformerBlock(width, heads, generator) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        pixels = encoder.shape[0] * encoder.patch**2
        self.leave = linear(width, encoder.size if target == "latents" else pixels, generator)
        self.register_buffer("places", places(encoder.grid, width), persistent=False)

    def represent(self, sample: Tensor) -> Tensor:
        """The representation, (B, encoder.size), for downstream tasks."""
        return self.encoder(sample)

    def predict(self, x: Tensor, shown: Tensor, asked: Tensor, z: Tensor | None = None) -> Tensor:
        """p: predictions for the requested patches from the visible ones, (B, M, d).

        Args:
            x: (B, C, H, W).
            shown: (B, K) int64, indices of the patches that the encoder gets.
            asked: (B, M) int64, indices of the patches to predict.
            z: (B, N), if given: visible patches count only where it is 0, and requested ones only where it is 1.
        """
        hidden = None if z is None else z > 0.5
        seen = None if hidden is None else ~hidden.gather(1, shown)
        token = self.enter(self.encoder.tokens(x, shown, seen))
        table = self.places[None].expand(x.shape[0], -1, -1)
        both = torch.cat([token + picked(table, shown), self.mask + picked(table, asked)], dim=1)
        counts = None if hidden is None or seen is None else torch.cat([seen, hidden.gather(1, asked)], dim=1)
        for block in self.blocks:
            both = block(both, counts)
        return self.leave(self.norm(both[:, shown.shape[1] :]))

    def targets(self, y: Tensor) -> Tensor:
        """t(y) of all patches, (B, N, d)."""
        if self.target == "latents":
            return normalised(self.encoder.tokens(y))
        patches = self.encoder.patches(y)
        return normalised(patches) if self.target == "normalised" else patches

    def hide(self, y: Tensor, z: Tensor, grey: float = 0.5) -> Tensor:
        """The image y with its hidden patches in one grey, (B, C, H, W)."""
        return self.encoder.image(torch.where(z[:, :, None] > 0.5, grey, self.encoder.patches(y)))

    def filled(self, y: Tensor, z: Tensor) -> Tensor:
        """The image y with its hidden patches filled in, (B, C, H, W).

        Normalised predictions are rescaled with mean and standard deviation of the true patch.

        Raises:
            OptionError: for latents, which have no pixels.
        """
        if self.target == "latents":
            raise OptionError("Latents cannot be shown as an image: only an energy of pixels fills in hidden patches.")
        every = torch.arange(self.count, device=y.device).expand(y.shape[0], -1)
        found, patches = self.predict(y, every, every, z), self.encoder.patches(y)
        if self.target == "normalised":
            found = patches.mean(dim=2, keepdim=True) + patches.std(dim=2, keepdim=True, correction=0) * found
        return self.encoder.image(torch.where(z[:, :, None] > 0.5, found, patches))

    def energy(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        every = torch.arange(self.count, device=y.device).expand(y.shape[0], -1)
        error = (self.predict(x, every, every, z) - self.targets(y)).square().mean(dim=2)
        return (z * error).sum(dim=1) / z.sum(dim=1).clamp_min(1)

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """Correctly predicted pixels have energy 0."""
        energy = cls(VisionTransformer((1, 4, 4), patch=2, width=12, depth=1), "pixels", width=12, depth=1)
        x = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
        z = torch.tensor([[1.0, 0.0, 0.0, 1.0], [0.0, 1.0, 0.0, 0.0]])
        return ReferenceCase(energy, {"x": x, "z": z}, "y", minimum=torch.zeros(2))


def normalised(token: Tensor) -> Tensor:
    """Each token (…, d) normalised to mean 0 and standard deviation 1."""
    return functional.layer_norm(token, token.shape[-1:], eps=1e-6)

"""Masked prediction: how badly the hidden patches of an image are foretold from the others (rows J5, J7).

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

    The encoder h sees the shown patches alone; the predictor p, a narrower transformer, gets what it made of them and a
    mask token at each hidden place. The target t decides what is foretold, d numbers for each patch:

    - "latents": the tokens of h(y), which sees all of y, each with mean 0 and deviation 1 over its numbers. This is the
      energy of I-JEPA (Assran et al. 2023, figure 2c) and of data2vec 2.0 (Baevski et al. 2023, section 3).
    - "pixels", or "normalised": those of each patch less their mean, over their deviation: the masked auto-encoder, MAE
      (He et al. 2022, section 3).

    Trained, the encoder alone is kept: `energy.represent(y)`. With latents nothing in the energy keeps it from being
    low everywhere; `IJEPA` and `Data2Vec` train it with targets by a slow encoder, and `MAE` trains the other two.

    Args:
        encoder: h, with its patches.
        target: t.
        width: of the predictor, a multiple of 4 and of `heads`.
        depth: blocks of the predictor.
        heads: of its attention.
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
        """The representation, (B, encoder.size): what the encoder is trained for."""
        return self.encoder(sample)

    def predict(self, x: Tensor, shown: Tensor, asked: Tensor, z: Tensor | None = None) -> Tensor:
        """p: what the shown patches say of those that are asked for, (B, M, d).

        Args:
            x: (B, C, H, W).
            shown: (B, K) int64, the numbers of the patches that the encoder gets.
            asked: (B, M) int64.
            z: (B, N), where given: the shown ones count only where it is 0, and those asked for only where it is 1.
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
        """The image y with its hidden patches painted in, (B, C, H, W).

        Patches that are foretold less their mean, over their deviation, get those of the true patch back.

        Raises:
            OptionError: for latents, which have no pixels.
        """
        if self.target == "latents":
            raise OptionError("Latents cannot be looked at: only an energy of pixels paints hidden patches.")
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
        """Foretold pixels that are there have energy 0."""
        energy = cls(VisionTransformer((1, 4, 4), patch=2, width=12, depth=1), "pixels", width=12, depth=1)
        x = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
        z = torch.tensor([[1.0, 0.0, 0.0, 1.0], [0.0, 1.0, 0.0, 0.0]])
        return ReferenceCase(energy, {"x": x, "z": z}, "y", minimum=torch.zeros(2))


def normalised(token: Tensor) -> Tensor:
    """Each token (…, d) less its mean, over its deviation."""
    return functional.layer_norm(token, token.shape[-1:], eps=1e-6)

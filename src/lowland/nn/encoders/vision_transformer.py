"""A vision transformer: an image as a set of patches, of which it may be shown some alone.

Shape letters: B images, N = h · w patches of an image, K patches that are shown, D width.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.errors import OptionError
from lowland.nn.layers import linear
from lowland.registry import register


class TransformerBlock(nn.Module):
    """(B, K, D) → (B, K, D): t + attention(norm t), then t + mlp(norm t), with GELU and four times D hidden units.

    Dosovitskiy et al. 2021, equations 2 and 3. `seen` (B, K), where given, says to which tokens the others attend; each
    attends to itself besides.
    """

    def __init__(self, width: int, heads: int, generator: torch.Generator) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.queries, self.out = glorot(width, 3 * width, generator), glorot(width, width, generator)
        self.widen, self.narrow = glorot(width, 4 * width, generator), glorot(4 * width, width, generator)

    def forward(self, token: Tensor, seen: Tensor | None = None) -> Tensor:
        allowed = None
        if seen is not None:
            itself = torch.eye(token.shape[1], dtype=torch.bool, device=seen.device)
            allowed = (seen[:, None, :] | itself)[:, None]
        query, key, value = self.parts(token)
        return self.rest(token, functional.scaled_dot_product_attention(query, key, value, attn_mask=allowed))

    def parts(self, token: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of all heads, (B, heads, K, D / heads) each."""
        batch, count, width = token.shape
        found = self.queries(self.norms[0](token)).reshape(batch, count, 3, self.heads, width // self.heads)
        query, key, value = found.permute(2, 0, 3, 1, 4).unbind(0)
        return query, key, value

    def rest(self, token: Tensor, mixed: Tensor) -> Tensor:
        """What follows the attention, from what it mixed (B, heads, K, D / heads)."""
        token = token + self.out(mixed.transpose(1, 2).flatten(2))
        return token + self.narrow(functional.gelu(self.widen(self.norms[1](token))))


@register("encoder")
class VisionTransformer(nn.Module):
    """(B, C, H, W) → (B, D): patches, embedded linearly at fixed places, through blocks; then the mean of the patches.

    Dosovitskiy et al. 2021, equations 1 to 4, with the mean in place of a class token, and places as sines and cosines
    of row and column (He et al. 2022, MAE, appendix A.1). The sizes are those of ViT-tiny (Touvron et al. 2021, table
    1), with patches of 4 × 4 for images of 32 × 32.

    Args:
        shape: (C, H, W).
        patch: side of a patch; H and W are multiples of it.
        width: D, a multiple of 4 and of `heads`.
        depth: blocks.
        heads: of the attention.
        generator: draws the weights.

    Raises:
        OptionError: for sizes that do not divide each other.

    >>> encoder = VisionTransformer((3, 32, 32), depth=2)
    >>> encoder.grid, encoder(torch.zeros(2, 3, 32, 32)).shape
    ((8, 8), torch.Size([2, 192]))
    >>> encoder.tokens(torch.zeros(2, 3, 32, 32), keep=torch.tensor([[0, 5, 9], [1, 2, 3]])).shape
    torch.Size([2, 3, 192])
    """

    places: Tensor

    def __init__(
        self,
        shape: tuple[int, int, int],
        patch: int = 4,
        width: int = 192,
        depth: int = 12,
        heads: int = 3,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        channels, height, across = shape
        if patch < 1 or height % patch or across % patch:
            raise OptionError(f"Patches of {patch} × {patch} do not tile images of {height} × {across}.")
        if width % 4 or width % heads or depth < 1:
            raise OptionError(
                f"A transformer needs a width that 4 and its heads divide, and a depth of at least 1, not a width of "
                f"{width}, {heads} heads and a depth of {depth}."
            )
        generator = generator or torch.Generator().manual_seed(0)
        self.shape, self.size, self.patch = tuple(shape), width, patch
        self.grid = (height // patch, across // patch)
        self.embedding = glorot(channels * patch**2, width, generator)
        self.blocks = nn.ModuleList(TransformerBlock(width, heads, generator) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.register_buffer("places", places(self.grid, width), persistent=False)

    def patches(self, image: Tensor) -> Tensor:
        """The pixels of each patch, (B, N, C · patch²), row by row."""
        (rows, columns), side = self.grid, self.patch
        cut = image.reshape(image.shape[0], image.shape[1], rows, side, columns, side)
        return cut.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)

    def image(self, patches: Tensor) -> Tensor:
        """The image (B, C, H, W) of its patches (B, N, C · patch²)."""
        (rows, columns), side = self.grid, self.patch
        cut = patches.reshape(patches.shape[0], rows, columns, self.shape[0], side, side)
        return cut.permute(0, 3, 1, 4, 2, 5).reshape(patches.shape[0], *self.shape)

    def tokens(self, image: Tensor, keep: Tensor | None = None, seen: Tensor | None = None, last: int = 1) -> Tensor:
        """What the blocks make of the patches, (B, K, D).

        Args:
            image: (B, C, H, W).
            keep: (B, K) int64, the numbers of the patches that the network gets; None for all of them.
            seen: (B, K) bool, to which of these the others attend: the rest stand apart, and say nothing.
            last: return the mean of so many last blocks, each normalised, in place of the last block alone.
        """
        token = self.embedding(picked(self.patches(image), keep))
        token = token + picked(self.places[None].expand(image.shape[0], -1, -1), keep)
        outputs: list[Tensor] = []
        for number, block in enumerate(self.blocks):
            token = block(token, seen)
            if number >= len(self.blocks) - last:
                outputs.append(self.norm(token))
        return outputs[0] if last == 1 else torch.stack(outputs).mean(dim=0)

    def maps(self, image: Tensor) -> Tensor:
        """The tokens as feature maps, (B, D, H / patch, W / patch)."""
        return self.tokens(image).transpose(1, 2).unflatten(2, self.grid)

    def forward(self, image: Tensor) -> Tensor:
        return self.tokens(image).mean(dim=1)


def picked(values: Tensor, rows: Tensor | None) -> Tensor:
    """The rows (B, K) of values (B, N, D) that each sample names, (B, K, D); None names all."""
    return values if rows is None else values.gather(1, rows[:, :, None].expand(-1, -1, values.shape[2]))


def places(grid: tuple[int, int], width: int) -> Tensor:
    """Sines and cosines of row and column at wavelengths from 2π to 20,000π, (N, width); width is a multiple of 4.

    Vaswani et al. 2017, section 3.5, for each axis with half of the width.
    """
    rates = 10_000 ** (-torch.arange(width // 4) / (width // 4))
    row, column = torch.meshgrid(torch.arange(grid[0]), torch.arange(grid[1]), indexing="ij")
    angles = torch.cat([axis.flatten()[:, None] * rates for axis in (row, column)], dim=1)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def glorot(inputs: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    """A linear layer with Glorot's uniform weights, as MAE has them, and no offset at first."""
    layer = linear(inputs, outputs, generator)
    bound = math.sqrt(6 / (inputs + outputs))
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=generator)
        layer.bias.zero_()
    return layer

"""Memories as layers: look-ups among very many slots by product keys, and attention in place of a feed-forward net.

Legend: B samples, K tokens, D width, H heads, N sub-keys of each half, P slots of an all-attention layer.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.errors import OptionError
from lowland.nn.encoders.vision_transformer import glorot


class ProductKeyMemory(nn.Module):
    """(..., D) → (..., D): Σ_i softmax(q · k_i) v_i over the k best of N² slots, found from 2 N products a head.

    The key of slot (i, j) is the pair of sub-keys (c_i, c′_j), so that q · k = q₁ · c_i + q₂ · c′_j. The k best pairs
    are among those of the k best c_i and the k best c′_j, so that they are found exactly (Lample et al. 2019, "Large
    memory layers with product keys", equations 1 to 3). The query of each head is a linear map of the token; the heads
    share the values, and are added.

    Args:
        width: D.
        sub_keys: N; there are N² slots.
        count: k, slots that are read by each head.
        heads: H.
        key_width: of a query and a key, even.
        generator: draws the weights.

    Raises:
        OptionError: for an odd width of keys, or more slots to read than sub-keys.

    >>> layer = ProductKeyMemory(16, sub_keys=32, count=4)
    >>> layer.values.shape, layer(torch.zeros(2, 5, 16)).shape
    (torch.Size([1024, 16]), torch.Size([2, 5, 16]))
    """

    def __init__(
        self, width: int, sub_keys: int = 128, count: int = 32, heads: int = 4, key_width: int = 64,
        generator: torch.Generator | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if key_width < 2 or key_width % 2 or not 1 <= count <= sub_keys or heads < 1:
            raise OptionError(
                "A product-key memory needs an even width of keys and a head, and reads at least one slot and at most "
                f"as many as it has sub-keys, not {key_width}, {heads} and {count} of {sub_keys}."
            )
        generator = generator or torch.Generator().manual_seed(0)
        self.count, self.heads, self.sub_keys = count, heads, sub_keys
        self.queries = glorot(width, heads * key_width, generator)
        half = key_width // 2
        # As the authors' code draws them: uniform sub-keys, and values of a variance of 1 / D.
        keys = torch.rand(2, heads, sub_keys, half, generator=generator).mul(2).sub(1)
        self.keys = nn.Parameter(keys / math.sqrt(half))
        self.values = nn.Parameter(torch.randn(sub_keys**2, width, generator=generator) / math.sqrt(width))

    def look_up(self, token: Tensor) -> tuple[Tensor, Tensor]:
        """Scores and numbers of the k best slots of each head, (M, H, k) each, for tokens (M, D)."""
        query = self.queries(token).unflatten(1, (self.heads, 2, -1))
        each = torch.einsum("mhpd,phnd->pmhn", query, self.keys)
        score, place = each.topk(self.count, dim=3)
        pairs = (score[0][..., :, None] + score[1][..., None, :]).flatten(2)
        best, pair = pairs.topk(self.count, dim=2)
        first, second = (place[i].gather(2, index) for i, index in enumerate((pair // self.count, pair % self.count)))
        return best, first * self.sub_keys + second

    def forward(self, token: Tensor) -> Tensor:
        score, slot = self.look_up(token.flatten(0, -2))
        share = score.softmax(dim=2).flatten(1)
        read = functional.embedding_bag(slot.flatten(1), self.values, per_sample_weights=share, mode="sum")
        return read.unflatten(0, token.shape[:-1])


class AllAttention(nn.Module):
    """(B, K, D) → (B, K, D): t + attention(norm t), in which each token attends to the others and to P slots.

    The slots are pairs of a key and a value that are learned and do not depend on the input. They stand in for the
    feed-forward net of a transformer block (Sukhbaatar et al. 2019, "Augmenting self-attention with persistent
    memory"). `parts` and `rest` are those of a `TransformerBlock`.

    Args:
        width: D.
        heads: that D is divided into.
        slots: P; each head has its own.
        generator: draws the weights.

    Raises:
        OptionError: if the heads do not divide the width, or there is no slot.

    >>> AllAttention(16, heads=2, slots=8)(torch.zeros(3, 5, 16)).shape
    torch.Size([3, 5, 16])
    """

    def __init__(self, width: int, heads: int, slots: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        if heads < 1 or width % heads or slots < 1:
            raise OptionError(f"All-attention needs heads that divide its width, and slots, not {heads} and {slots}.")
        generator = generator or torch.Generator().manual_seed(0)
        self.heads, self.norm = heads, nn.LayerNorm(width)
        self.queries, self.out = glorot(width, 3 * width, generator), glorot(width, width, generator)
        # With these deviations a product of a query and a key, and a mean of values, are as large as those of tokens.
        self.keys = nn.Parameter(torch.randn(heads, slots, width // heads, generator=generator))
        self.values = nn.Parameter(torch.randn(heads, slots, width // heads, generator=generator))

    def parts(self, token: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of all heads, (B, heads, K, D / heads) each, without the slots."""
        batch, count, width = token.shape
        found = self.queries(self.norm(token)).reshape(batch, count, 3, self.heads, width // self.heads)
        query, key, value = found.permute(2, 0, 3, 1, 4).unbind(0)
        return query, key, value

    def with_slots(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """The slots before keys and values (B, heads, K, D / heads)."""
        slots = (one[None].expand(key.shape[0], -1, -1, -1) for one in (self.keys, self.values))
        before, read = slots
        return torch.cat([before, key], dim=2), torch.cat([read, value], dim=2)

    def rest(self, token: Tensor, mixed: Tensor) -> Tensor:
        """The token with what the attention mixed (B, heads, K, D / heads)."""
        return token + self.out(mixed.transpose(1, 2).flatten(2))

    def forward(self, token: Tensor) -> Tensor:
        query, key, value = self.parts(token)
        key, value = self.with_slots(key, value)
        return self.rest(token, functional.scaled_dot_product_attention(query, key, value))

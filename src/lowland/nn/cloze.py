"""A transformer that predicts every token of a line from the others in one pass.

Shape letters: B lines, T tokens of a line, L earlier lines, S keys, K words, D width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.errors import OptionError
from lowland.nn.layers import linear


class ClozeBlock(nn.Module):
    """q + attention(norm q; k), then q + mlp(norm q): the queries move on, the keys stay what they are."""

    def __init__(self, width: int, heads: int, generator: torch.Generator) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.query, self.keys = linear(width, width, generator), linear(width, 2 * width, generator)
        self.out = linear(width, width, generator)
        self.widen, self.narrow = linear(width, 2 * width, generator), linear(2 * width, width, generator)

    def forward(self, query: Tensor, key: Tensor, allowed: Tensor) -> Tensor:
        """(B, T, D) from queries (B, T, D), keys (B, S, D) and which of them each query may see, (B, T, S)."""
        batch, count, width = query.shape
        parts = self.keys(key).reshape(batch, key.shape[1], 2, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        asked = self.query(self.norms[0](query)).reshape(batch, count, self.heads, width // self.heads).transpose(1, 2)
        mixed = functional.scaled_dot_product_attention(asked, parts[0], parts[1], attn_mask=allowed[:, None])
        query = query + self.out(mixed.transpose(1, 2).reshape(batch, count, width))
        return query + self.narrow(functional.gelu(self.widen(self.norms[1](query))))


class ClozeTransformer(nn.Module):
    """Scores of all K words at each place of a line, from the words at other places and from the lines before it.

    A query stands at each place and never sees the word there; keys and values are the words with their places. It sees
    all words before it, and those behind it that are shown. If all are shown, one pass gives all T predictions of a
    word from the others, which takes T passes elsewhere; if none is shown, it gives p(y) by the chain rule. Each
    earlier line is one key besides, of the mean of its words. Source: Shin, Lee & Jung, "Fast and accurate deep
    bidirectional language representations for unsupervised learning" (2020), section 3; hidden words that are seen by
    those behind them, and the keys of earlier lines, are our additions.

    Args:
        words: K.
        length: the largest T.
        before: L.
        width: D, a multiple of `heads`.
        depth: blocks.
        heads: of the attention.
        generator: draws the weights.

    Raises:
        OptionError: for sizes below 1, or heads that do not divide the width.

    >>> network = ClozeTransformer(words=10, length=8, before=2, width=8, heads=2)
    >>> y, x = torch.tensor([[3, 1, 4, -1]]), torch.full((1, 2, 4), -1)
    >>> network(y, x, y >= 0).shape
    torch.Size([1, 4, 10])
    """

    def __init__(
        self,
        words: int,
        length: int,
        before: int = 4,
        width: int = 64,
        depth: int = 2,
        heads: int = 4,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if min(words, length, before, width, depth, heads) < 1 or width % heads:
            raise OptionError(
                f"A ClozeTransformer needs sizes of at least 1 and heads that divide its width, not {words} words, a "
                f"length of {length}, {before} lines before, a width of {width}, {depth} blocks and {heads} heads."
            )
        generator = generator or torch.Generator().manual_seed(0)

        def table(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.randn(*shape, generator=generator) / width**0.5)

        self.words, self.length, self.before = words, length, before
        self.embedding, self.places = table(words, width), table(length, width)
        self.asked, self.ages, self.nothing = table(length, width), table(before, width), table(1, width)
        self.bias = nn.Parameter(torch.zeros(words))
        self.summary = linear(width, width, generator)
        self.blocks = nn.ModuleList(ClozeBlock(width, heads, generator) for _ in range(depth))
        self.keys, self.norm = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, y: Tensor, x: Tensor, shown: Tensor) -> Tensor:
        """Scores (B, T, K); their softmax over the last axis is p(word | rest).

        Args:
            y: (B, T) int64, the words, −1 behind the end.
            x: (B, L, T') int64, those of the lines before, the last one last; all −1 where there is none.
            shown: (B, T) bool, which words the places before them may see.
        """
        count, place = y.shape[1], torch.arange(y.shape[1], device=y.device)
        behind = (place[None, :] > place[:, None]) & shown[:, None, :]
        allowed = (behind | (place[None, :] < place[:, None])) & (y >= 0)[:, None, :]
        there = x >= 0
        words = functional.embedding(x.clamp_min(0), self.embedding) * there[..., None]
        mean = words.sum(dim=2) / there.sum(dim=2).clamp_min(1)[..., None]
        earlier = functional.gelu(self.summary(mean)) + self.ages
        own = functional.embedding(y.clamp_min(0), self.embedding) + self.places[:count]
        key = self.keys(torch.cat([self.nothing.expand(y.shape[0], 1, -1), earlier, own], dim=1))
        past = torch.cat([torch.ones_like(there[:, :1, 0]), there.any(dim=2)], dim=1)
        allowed = torch.cat([past[:, None, :].expand(-1, count, -1), allowed], dim=2)
        query = self.asked[:count].expand(y.shape[0], -1, -1)
        for block in self.blocks:
            query = block(query, key, allowed)
        return self.norm(query) @ self.embedding.T + self.bias

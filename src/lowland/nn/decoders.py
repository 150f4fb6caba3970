"""Networks that say what comes next: a causal transformer and an LSTM, which remember what they have read.

Each maps tokens (N, L) of numbers 0 … K, where K marks where a sequence begins and ends, to scores (N, L, K + 1) of the
token after each. Without a memory they read from the beginning; with the memory of an earlier call, on from there.

Legend: N sequences, L tokens, P tokens read before, K categories, D width.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.errors import OptionError
from lowland.nn.encoders.vision_transformer import TransformerBlock, glorot
from lowland.nn.layers import linear
from lowland.nn.memory_layers import AllAttention


class TransformerDecoder(nn.Module):
    """Scores of the next token by blocks in which each token attends to those before it (Vaswani et al. 2017).

    Blocks normalise before attention (Radford et al. 2019), and places are sines and cosines, so that sequences may be
    of any length. The memory is the keys and values of each block, so that a token is computed once.

    Args:
        categories: K.
        width: D, a multiple of 2 and of `heads`.
        depth: blocks.
        heads: of the attention.
        slots: of an all-attention layer in place of each block's feed-forward net; 0 for the net.
        generator: draws the weights.

    Raises:
        OptionError: for sizes that do not divide each other.

    >>> network = TransformerDecoder(5)
    >>> whole, _ = network(torch.tensor([[5, 0, 3]]))
    >>> first, memory = network(torch.tensor([[5, 0]]))
    >>> after, _ = network(torch.tensor([[3]]), memory)
    >>> whole.shape, torch.allclose(whole[:, 2:], after, atol=1e-5)
    (torch.Size([1, 3, 6]), True)
    """

    def __init__(
        self, categories: int, width: int = 64, depth: int = 2, heads: int = 4, slots: int = 0,
        generator: torch.Generator | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        if categories < 1 or width % 2 or heads < 1 or width % heads or depth < 1:
            raise OptionError(
                "A decoder needs a category, a width that 2 and its heads divide, and a depth of at least 1, not "
                f"{categories}, {width}, {heads} heads and {depth}."
            )
        generator = generator or torch.Generator().manual_seed(0)
        self.categories, self.width = categories, width
        self.embedding = nn.Parameter(torch.randn(categories + 1, width, generator=generator) / math.sqrt(width))
        blocks = (
            AllAttention(width, heads, slots, generator) if slots else TransformerBlock(width, heads, generator)
            for _ in range(depth)
        )  # fmt: skip
        self.blocks = nn.ModuleList(blocks)
        self.norm, self.out = nn.LayerNorm(width), glorot(width, categories + 1, generator)

    def forward(self, tokens: Tensor, memory: Any = None) -> tuple[Tensor, Any]:
        before = 0 if memory is None else memory["0"]["key"].shape[2]
        token = self.embedding[tokens] * math.sqrt(self.width) + sinusoids(before, tokens.shape[1], self.embedding)
        kept = {}
        for number, block in enumerate(self.blocks):
            token, kept[str(number)] = _causal(block, token, None if memory is None else memory[str(number)])
        return self.out(self.norm(token)), kept


def sinusoids(before: int, count: int, like: Tensor) -> Tensor:
    """Sines and cosines of the places of L tokens after P others, (L, D), D even (Vaswani et al. 2017, section 3.5).

    Args:
        before: P.
        count: L.
        like: a tensor of D columns, whose type and device are taken.

    >>> sinusoids(0, 2, torch.zeros(1, 4))[0]
    tensor([0., 0., 1., 1.])
    """
    half = like.shape[1] // 2
    rates = 10_000 ** (-torch.arange(half, dtype=like.dtype, device=like.device) / half)
    angles = torch.arange(before, before + count, dtype=like.dtype, device=like.device)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def _causal(block: nn.Module, token: Tensor, memory: Any) -> tuple[Tensor, dict[str, Tensor]]:
    """A block in which each token attends to itself, those before it, and those remembered."""
    assert isinstance(block, TransformerBlock | AllAttention)
    query, key, value = block.parts(token)
    if memory is not None:
        key, value = (torch.cat([memory[name], new], dim=2) for name, new in (("key", key), ("value", value)))
    kept, count = {"key": key, "value": value}, token.shape[1]
    allowed = torch.ones(count, key.shape[2], dtype=torch.bool, device=token.device)
    allowed = allowed.tril(key.shape[2] - count)
    if isinstance(block, AllAttention):
        key, value = block.with_slots(key, value)
        allowed = functional.pad(allowed, (key.shape[2] - allowed.shape[1], 0), value=True)
    mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=allowed)
    return block.rest(token, mixed), kept


class RecurrentDecoder(nn.Module):
    """Scores of the next token by an LSTM (Hochreiter & Schmidhuber 1997), whose memory are its hidden units and cells.

    Args:
        categories: K.
        width: of the embedding and of each layer.
        depth: layers.
        generator: draws the weights.

    Raises:
        OptionError: for sizes below 1.

    >>> network = RecurrentDecoder(5)
    >>> scores, memory = network(torch.tensor([[5, 0, 3]]))
    >>> scores.shape, memory["cell"].shape
    (torch.Size([1, 3, 6]), torch.Size([1, 1, 64]))
    """

    def __init__(
        self, categories: int, width: int = 64, depth: int = 1, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        if min(categories, width, depth) < 1:
            raise OptionError(
                f"A decoder needs a category, a width and a depth of at least 1, not {categories}, {width} and {depth}."
            )
        generator = generator or torch.Generator().manual_seed(0)
        self.categories = categories
        self.embedding = nn.Parameter(torch.randn(categories + 1, width, generator=generator))
        self.layers = nn.LSTM(width, width, depth, batch_first=True, device="meta").to_empty(device="cpu")
        bound = 1 / math.sqrt(width)
        with torch.no_grad():
            for parameter in self.layers.parameters():
                parameter.uniform_(-bound, bound, generator=generator)
        self.out = linear(width, categories + 1, generator)

    def forward(self, tokens: Tensor, memory: Any = None) -> tuple[Tensor, Any]:
        # A memory has the sequence as first axis, an LSTM the layer.
        state = None
        if memory is not None:
            state = tuple(memory[name].transpose(0, 1).contiguous() for name in ("hidden", "cell"))
        read, (hidden, cell) = self.layers(self.embedding[tokens], state)
        return self.out(read), {"hidden": hidden.transpose(0, 1), "cell": cell.transpose(0, 1)}

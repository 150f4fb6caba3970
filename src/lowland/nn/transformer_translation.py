"""Translation by a transformer that reads the words and then writes, through the same blocks.

Legend: N sequences, L tokens, P tokens written before, S words, D width, H heads.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.errors import OptionError
from lowland.nn.decoders import sinusoids
from lowland.nn.encoders.vision_transformer import TransformerBlock
from lowland.nn.translation import Translator


class TransformerTranslator(Translator):
    """Words attend to all words, and tokens to all words and the tokens before them (Vaswani et al. 2017).

    Blocks normalise before attention. Words and tokens pass through the same blocks, as in a language model with a
    prefix (Liu et al., "Generating Wikipedia by summarizing long sequences", 2018; Raffel et al. 2020, section 3.2),
    and are told apart by a vector that is added to each. Places are sines and cosines, and begin anew for y. The memory
    is the keys and values of each block.

    Args:
        words, tokens, prompt, generator, tied: see `Translator`.
        width: D, a multiple of 2 and of H.
        depth: blocks.
        heads: H.

    Raises:
        OptionError: for sizes that do not divide each other, or no block.

    >>> network = TransformerTranslator(words=5, tokens=5, prompt=3, width=8)
    >>> scores, memory = network(torch.tensor([[5, 0, 1, 4, 2, 3]]))
    >>> scores.shape, memory["0"]["key"].shape
    (torch.Size([1, 3, 6]), torch.Size([1, 4, 5, 2]))
    """

    def __init__(
        self, words: int, tokens: int, prompt: int, width: int = 64, depth: int = 3, heads: int = 4,
        generator: torch.Generator | None = None, tied: bool = False,
    ) -> None:  # fmt: skip
        if depth < 1 or heads < 1 or width % 2 or width % heads:
            raise OptionError(
                f"A transformer needs a block, and a width that 2 and its heads divide, not {depth}, {width} "
                f"and {heads}."
            )
        generator = generator or torch.Generator().manual_seed(0)
        super().__init__(words, tokens, prompt, width, generator, tied)
        self.sides = nn.Parameter(torch.randn(2, width, generator=generator) / math.sqrt(width))
        self.blocks = nn.ModuleList([TransformerBlock(width, heads, generator) for _ in range(depth)])
        self.norm = nn.LayerNorm(width)
        self.out = None if tied else nn.Linear(width, tokens + 1)
        if self.out is not None:
            with torch.no_grad():
                self.out.weight.normal_(0, 1 / math.sqrt(width), generator=generator)
                self.out.bias.zero_()

    def read(self, words: Tensor) -> dict[str, Any]:
        unseen = self.unseen(words)
        token = self._vectors("words", self.table()[words], 0, 0)
        kept: dict[str, Any] = {"blank": unseen}
        for number, block in enumerate(self.blocks):
            assert isinstance(block, TransformerBlock)
            query, key, value = block.parts(token)
            mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=~unseen[:, None, None])
            token = block.rest(token, mixed)
            kept[str(number)] = {"key": key, "value": value}
        return kept

    def write(
        self, tokens: Tensor, memory: dict[str, Any], looking: bool = False
    ) -> tuple[Tensor, dict[str, Any], Tensor | None]:
        unseen, count = memory["blank"], tokens.shape[1]
        words = unseen.shape[1]
        before = memory["0"]["key"].shape[2] - words
        token = self._vectors("written", self.written[tokens], 1, before)
        # Whom a token sees: the words that are no blanks, and the tokens up to itself.
        order = torch.ones(count, before + count, dtype=torch.bool, device=tokens.device).tril(before)
        seen = torch.cat(
            [~unseen[:, None].expand(-1, count, -1), order.expand(len(tokens), -1, -1)], dim=2
        )[:, None]  # fmt: skip
        kept: dict[str, Any] = {"blank": unseen}
        share = None
        for number, block in enumerate(self.blocks):
            assert isinstance(block, TransformerBlock)
            query, key, value = block.parts(token)
            key, value = (
                torch.cat([memory[str(number)][name], new], dim=2) for name, new in (("key", key), ("value", value))
            )
            kept[str(number)] = {"key": key, "value": value}
            if looking and number == len(self.blocks) - 1:
                fit = query @ key.transpose(2, 3) / math.sqrt(query.shape[3])
                # What goes to tokens is left out, so that a row may sum to less than 1.
                share = fit.masked_fill(~seen, -torch.inf).softmax(dim=3).mean(dim=1)[:, :, :words]
            token = block.rest(token, functional.scaled_dot_product_attention(query, key, value, attn_mask=seen))
        return self.thin("mixed", self.norm(token)), kept, share

    def _vectors(self, name: str, vectors: Tensor, side: int, before: int) -> Tensor:
        """Vectors of words or tokens, with those of their side and their places."""
        places = sinusoids(before, vectors.shape[1], self.written)
        return self.thin(name, (vectors + self.sides[side]) * math.sqrt(self.width) + places)

"""A network that reads a sequence to its end, and writes another one token by token: an LSTM with attention.

Legend: N sequences, L tokens, S tokens of the sequence that is read, W words, K tokens that are written, D width.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from lowland.errors import OptionError
from lowland.nn.layers import linear


class AttentiveDecoder(nn.Module):
    """Scores of the next token by an LSTM that attends to what another LSTM has read, in both directions.

    With the state h_t of the writer, the states r_s of the reader and the vectors e_s of the words,

        a_t = softmax_s(h_tᵀ A r_s),    scores = O tanh(C [h_t, Σ_s a_ts r_s, Σ_s a_ts e_s]),

    the attention of Luong, Pham & Manning, "Effective approaches to attention-based neural machine translation" (2015),
    "general", without input feeding; the sum of e_s gives the word that is attended to, whatever stands beside it.

    It is a decoder for `Autoregressive`: the first call begins with the mark, and then the S words that are read; words
    and tokens share the numbers 0 … max(W, K) − 1, and no token from K on is ever written. The last word is `blank`: it
    fills a shorter sequence up, and is not attended to.

    Args:
        words: W, the blank included.
        tokens: K.
        prompt: S.
        width: D, even.
        generator: draws the weights.

    Raises:
        OptionError: for sizes below 1, or an odd width.

    >>> network = AttentiveDecoder(words=5, tokens=3, prompt=2)
    >>> scores, memory = network(torch.tensor([[5, 0, 4]]))
    >>> scores.shape, [name for name in memory]
    (torch.Size([1, 3, 6]), ['keys', 'read', 'embedded', 'blank', 'hidden', 'cell'])
    """

    def __init__(
        self, words: int, tokens: int, prompt: int, width: int = 64, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        if min(words, tokens, prompt) < 1 or width < 2 or width % 2:
            raise OptionError(
                "An attentive decoder needs words, tokens and a prompt of at least 1, and an even width of at least 2, "
                f"not {words}, {tokens}, {prompt} and {width}."
            )
        generator = generator or torch.Generator().manual_seed(0)
        self.categories, self.tokens, self.prompt, self.blank = max(words, tokens), tokens, prompt, words - 1
        self.width = width
        self.masks: dict[str, Tensor] | None = None
        self.words = nn.Parameter(torch.randn(words, width, generator=generator) / math.sqrt(width))
        self.written = nn.Parameter(torch.randn(self.categories + 1, width, generator=generator) / math.sqrt(width))
        self.reader, self.backwards = (lstm(width, width // 2, generator) for _ in range(2))
        self.writer = lstm(width, width, generator)
        self.begin, self.key = linear(width, 2 * width, generator), linear(width, width, generator, bias=False)
        self.mixed = linear(3 * width, width, generator)
        self.out = linear(width, tokens + 1, generator)

    @contextlib.contextmanager
    def thinned(self, count: int, share: float, generator: torch.Generator) -> Iterator[None]:
        """Within, a share of the inputs of each layer is left out: noise for training, which the network never draws.

        It is drawn anew for each of N rows, and is the same at all places of a row (Gal & Ghahramani 2016).

        Args:
            count: N.
            share: from 0 to below 1.
            generator: draws what is left out.

        Raises:
            OptionError: for another share.
        """
        if not 0 <= share < 1:
            raise OptionError(f"The share that is left out must be from 0 to below 1, not {share}.")
        sizes = {"words": self.width, "written": self.width, "seen": 3 * self.width, "mixed": self.width}
        try:
            self.masks = {
                name: (torch.rand(count, 1, size, generator=generator) >= share).to(self.words) / (1 - share)
                for name, size in sizes.items()
            }
            yield
        finally:
            self.masks = None

    def forward(self, tokens: Tensor, memory: Any = None) -> tuple[Tensor, Any]:
        if memory is None:
            memory = self._read(tokens[:, 1 : 1 + self.prompt].clamp_max(self.blank))
            # The mark is what the writer begins from; it stands behind the words.
            tokens = torch.cat([tokens[:, :1], tokens[:, 1 + self.prompt :]], dim=1)
            scores, memory = self._write(tokens, memory)
            skipped = torch.zeros_like(scores[:, :1]).expand(-1, self.prompt, -1)
            return torch.cat([skipped, scores], dim=1), memory
        return self._write(tokens, memory)

    def _read(self, words: Tensor) -> dict[str, Tensor]:
        blank = words == self.blank
        embedded = self._thin("words", self.words[words])
        # Each row backwards from its own last word, so that it does not depend on the blanks behind it.
        count = (~blank).sum(dim=1, keepdim=True)
        place = torch.arange(words.shape[1], device=words.device)
        turned = torch.where(place < count, count - 1 - place, place)[:, :, None]
        back, _ = self.backwards(embedded.gather(1, turned.expand(-1, -1, self.width)))
        onward, _ = self.reader(embedded)
        read = torch.cat([onward, back.gather(1, turned.expand(-1, -1, back.shape[2]))], dim=2)
        shown = (~blank[:, :, None]).to(read.dtype)
        mean = (read * shown).sum(dim=1) / shown.sum(dim=1).clamp_min(1)
        hidden, cell = self.begin(mean).chunk(2, dim=1)
        # A row of blanks alone attends to them.
        unseen = blank & ~blank.all(dim=1, keepdim=True)
        parts = {"keys": self.key(read), "read": read, "embedded": embedded, "blank": unseen}
        return parts | {"hidden": hidden.tanh()[:, None], "cell": cell[:, None]}

    def _write(self, tokens: Tensor, memory: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        state = tuple(memory[name].transpose(0, 1).contiguous() for name in ("hidden", "cell"))
        states, (hidden, cell) = self.writer(self._thin("written", self.written[tokens]), state)
        fit = states @ memory["keys"].transpose(1, 2) / math.sqrt(states.shape[2])
        share = fit.masked_fill(memory["blank"][:, None], -torch.inf).softmax(dim=2)
        seen = torch.cat([states, share @ memory["read"], share @ memory["embedded"]], dim=2)
        scores = self.out(self._thin("mixed", self.mixed(self._thin("seen", seen)).tanh()))
        # The end is the last score, and what is no token never follows.
        room = scores.new_full((*scores.shape[:2], self.categories - self.tokens), -torch.inf)
        scores = torch.cat([scores[..., :-1], room, scores[..., -1:]], dim=2)
        return scores, memory | {"hidden": hidden.transpose(0, 1), "cell": cell.transpose(0, 1)}

    def _thin(self, name: str, given: Tensor) -> Tensor:
        return given if self.masks is None else given * self.masks[name]


def lstm(inputs: int, width: int, generator: torch.Generator) -> nn.LSTM:
    """An LSTM over (N, L, inputs), with weights from a generator."""
    layer = nn.LSTM(inputs, width, batch_first=True, device="meta").to_empty(device="cpu")
    bound = 1 / math.sqrt(width)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(-bound, bound, generator=generator)
    return layer

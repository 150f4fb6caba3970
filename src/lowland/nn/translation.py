"""Networks that read a sequence to its end, and write another one token by token: what they share, and an LSTM.

Legend: N sequences, L tokens, S tokens of the sequence that is read, W words, K tokens that are written, D width.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.errors import OptionError
from lowland.nn.layers import linear


class Translator(nn.Module):
    """A decoder for `Autoregressive` that reads its prompt apart: the words x first, and then the tokens y.

    The first call begins with the mark, and then the S words that are read; words and tokens share the numbers 0 …
    max(W, K) − 1, and no token from K on is ever written. The last word is `blank`: it fills a shorter sequence up
    behind, and is not attended to. Scores are those of y alone: what follows the mark, and each token after it.

    Args:
        words: W, the blank included.
        tokens: K.
        prompt: S.
        width: D.
        generator: draws the weights.
        tied: one table of vectors for words, tokens and scores, as Press & Wolf (2017) tie them; W = K then.

    Raises:
        OptionError: for sizes below 1, or tied words and tokens that differ in number.
    """

    def __init__(
        self, words: int, tokens: int, prompt: int, width: int, generator: torch.Generator, tied: bool = False
    ) -> None:
        super().__init__()
        if min(words, tokens, prompt, width) < 1:
            raise OptionError(
                f"{type(self).__name__} needs words, tokens, a prompt and a width of at least 1, not {words}, "
                f"{tokens}, {prompt} and {width}."
            )
        if tied and words != tokens:
            raise OptionError(f"Tied words and tokens must be as many, but there are {words} and {tokens}.")
        self.categories, self.tokens, self.prompt, self.blank = max(words, tokens), tokens, prompt, words - 1
        self.width = width
        self.masks: dict[str, Tensor] | None = None
        scale = math.sqrt(width)
        self.words = None if tied else nn.Parameter(torch.randn(words, width, generator=generator) / scale)
        self.written = nn.Parameter(torch.randn(self.categories + 1, width, generator=generator) / scale)
        self.bias = nn.Parameter(torch.zeros(tokens + 1)) if tied else None
        self.out: nn.Linear | None = None

    def thinned_sizes(self) -> dict[str, int]:
        """The inputs of which `thinned` leaves some out, with their width."""
        return {"words": self.width, "written": self.width, "mixed": self.width}

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
        try:
            self.masks = {
                name: (torch.rand(count, 1, size, generator=generator) >= share).to(self.written) / (1 - share)
                for name, size in self.thinned_sizes().items()
            }
            yield
        finally:
            self.masks = None

    def forward(self, tokens: Tensor, memory: Any = None) -> tuple[Tensor, Any]:
        if memory is None:
            memory = self.read(self._shown(tokens[:, 1 : 1 + self.prompt]))
            # The mark is what the writer begins from; it stands behind the words.
            tokens = torch.cat([tokens[:, :1], tokens[:, 1 + self.prompt :]], dim=1)
        states, memory, _ = self.write(tokens, memory)
        return self._scores(states), memory

    def attention(self, words: Tensor, tokens: Tensor) -> Tensor:
        """How much each of T tokens, and the end after them, looks at each word while it is written, (N, T + 1, S).

        Args:
            words: (N, S) int64, without blanks behind.
            tokens: (N, T) int64.
        """
        mark = tokens.new_full((len(tokens), 1), self.categories)
        share = self.write(torch.cat([mark, tokens], dim=1), self.read(words), looking=True)[2]
        assert share is not None
        return share

    def read(self, words: Tensor) -> dict[str, Any]:
        """The memory of words (N, S) int64."""
        raise NotImplementedError

    def write(
        self, tokens: Tensor, memory: dict[str, Any], looking: bool = False
    ) -> tuple[Tensor, dict[str, Any], Tensor | None]:
        """States (N, L, D) after tokens (N, L), the memory of all, and, if asked for, the attention (N, L, S)."""
        raise NotImplementedError

    def table(self) -> Tensor:
        """The vectors of words, (W, D) or more."""
        return self.written if self.words is None else self.words

    def unseen(self, words: Tensor) -> Tensor:
        """The words (N, S) that are not attended to: blanks, but those of a row of blanks alone are seen."""
        blank = words == self.blank
        return blank & ~blank.all(dim=1, keepdim=True)

    def thin(self, name: str, given: Tensor) -> Tensor:
        """The inputs of a layer, some of them left out within `thinned`."""
        return given if self.masks is None else given * self.masks[name]

    def _shown(self, words: Tensor) -> Tensor:
        """The words up to the last one of the longest row, since all behind are blanks."""
        words = words.clamp_max(self.blank)
        if torch.compiler.is_exporting() or not words.numel():
            return words
        used = (words != self.blank).any(dim=0).nonzero()
        return words[:, : int(used.max()) + 1 if len(used) else 1]

    def _scores(self, states: Tensor) -> Tensor:
        if self.out is None:
            return functional.linear(states, self.written, self.bias)
        scores = self.out(states)
        if self.categories == self.tokens:
            return scores
        # The end is the last score, and what is no token never follows.
        room = scores.new_full((*scores.shape[:2], self.categories - self.tokens), -torch.inf)
        return torch.cat([scores[..., :-1], room, scores[..., -1:]], dim=2)


class AttentiveDecoder(Translator):
    """Scores of the next token by an LSTM that attends to what another LSTM has read, in both directions.

    With the state h_t of the writer, the states r_s of the reader and the vectors e_s of the words,

        a_t = softmax_s(h_tᵀ A r_s),    scores = O tanh(C [h_t, Σ_s a_ts r_s, Σ_s a_ts e_s]),

    the attention of Luong, Pham & Manning, "Effective approaches to attention-based neural machine translation" (2015),
    "general", without input feeding; the sum of e_s gives the word that is attended to, whatever stands beside it.

    Args:
        words, tokens, prompt, generator, tied: see `Translator`.
        width: D, even.

    Raises:
        OptionError: for sizes below 1, or an odd width.

    >>> network = AttentiveDecoder(words=5, tokens=3, prompt=2)
    >>> scores, memory = network(torch.tensor([[5, 0, 4]]))
    >>> scores.shape, [name for name in memory]
    (torch.Size([1, 1, 6]), ['keys', 'read', 'embedded', 'blank', 'hidden', 'cell'])
    """

    def __init__(
        self, words: int, tokens: int, prompt: int, width: int = 64, generator: torch.Generator | None = None,
        tied: bool = False,
    ) -> None:  # fmt: skip
        if width % 2:
            raise OptionError(f"An attentive decoder needs an even width, for two directions, not {width}.")
        generator = generator or torch.Generator().manual_seed(0)
        super().__init__(words, tokens, prompt, width, generator, tied)
        self.reader, self.backwards = (lstm(width, width // 2, generator) for _ in range(2))
        self.writer = lstm(width, width, generator)
        self.begin, self.key = linear(width, 2 * width, generator), linear(width, width, generator, bias=False)
        self.mixed = linear(3 * width, width, generator)
        self.out = None if tied else linear(width, tokens + 1, generator)
        # Vectors that give scores as well are short, and would hardly move an LSTM.
        self.scale = math.sqrt(width) if tied else 1.0

    def thinned_sizes(self) -> dict[str, int]:
        return {"words": self.width, "written": self.width, "seen": 3 * self.width, "mixed": self.width}

    def read(self, words: Tensor) -> dict[str, Tensor]:
        blank = words == self.blank
        embedded = self.thin("words", self.table()[words] * self.scale)
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
        parts = {"keys": self.key(read), "read": read, "embedded": embedded, "blank": self.unseen(words)}
        return parts | {"hidden": hidden.tanh()[:, None], "cell": cell[:, None]}

    def write(
        self, tokens: Tensor, memory: dict[str, Tensor], looking: bool = False
    ) -> tuple[Tensor, dict[str, Tensor], Tensor | None]:
        state = tuple(memory[name].transpose(0, 1).contiguous() for name in ("hidden", "cell"))
        states, (hidden, cell) = self.writer(self.thin("written", self.written[tokens] * self.scale), state)
        fit = states @ memory["keys"].transpose(1, 2) / math.sqrt(states.shape[2])
        share = fit.masked_fill(memory["blank"][:, None], -torch.inf).softmax(dim=2)
        seen = torch.cat([states, share @ memory["read"], share @ memory["embedded"]], dim=2)
        mixed = self.thin("mixed", self.mixed(self.thin("seen", seen)).tanh())
        kept = {"hidden": hidden.transpose(0, 1), "cell": cell.transpose(0, 1)}
        return mixed, memory | kept, share if looking else None


def lstm(inputs: int, width: int, generator: torch.Generator) -> nn.LSTM:
    """An LSTM over (N, L, inputs), with weights from a generator."""
    layer = nn.LSTM(inputs, width, batch_first=True, device="meta").to_empty(device="cpu")
    bound = 1 / math.sqrt(width)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(-bound, bound, generator=generator)
    return layer

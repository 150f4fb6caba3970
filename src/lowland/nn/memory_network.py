"""End-to-end memory networks: several soft look-ups in a row (system M5).

Legend: R copies of a network, each with weights of its own, B questions, M sentences of a memory, W words of a
sentence, V words of the vocabulary, D features, K answers, H hops, N sentences.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from lowland.errors import OptionError

Encoding = Literal["words", "positions"]
Tying = Literal["adjacent", "layer-wise"]
_SPREAD = 0.1
"""Standard deviation of the first weights, as in the paper."""


class Bags(NamedTuple):
    """Sentences as counts of words, (N, V).

    The encoding of positions multiplies `turned` with the number of the feature, d/D, and adds it to `plain`.
    """

    plain: Tensor
    turned: Tensor


def bags(tokens: Tensor, words: int, encoding: Encoding) -> Bags:
    """Sentences (N, W) of numbers of words, −1 behind the last one, as weighted counts of words.

    The weight of word j of J for feature d of D is l = (1 − j/J) − (d/D)(1 − 2j/J), equation 4 in section 4.1 of the
    paper, a constant and a part in proportion to d; without positions it is 1.

    >>> bags(torch.tensor([[0, 1, -1]]), 3, "words").plain.tolist()
    [[1.0, 1.0, 0.0]]
    """
    there = tokens >= 0
    one_hot = (tokens[..., None] == torch.arange(words, device=tokens.device)).to(torch.get_default_dtype())
    if encoding == "words":
        plain = one_hot.sum(dim=-2)
        return Bags(plain, torch.zeros_like(plain))
    length = there.sum(dim=-1, keepdim=True).clamp_min(1)
    share = torch.arange(1, tokens.shape[-1] + 1, device=tokens.device) / length
    plain, turned = (1 - share)[..., None] * one_hot, (2 * share - 1)[..., None] * one_hot
    return Bags(plain.sum(dim=-2), turned.sum(dim=-2))


class MemoryNetwork(nn.Module):
    """A question looks H times into a memory of sentences, R copies → scores of the answers (R, B, K).

        u_1 = B q,  p_h = softmax(m_h u_h),  o_h = Σ_i p_hi c_hi,  u_{h+1} = u_h + o_h,  scores W (u_H + o_H),

    m_hi = A_h x_i + T^A_h(i) and c_hi = C_h x_i + T^C_h(i): x_i are the words of sentence i and T a vector for how long
    ago it was told. "adjacent": A_{h+1} = C_h and B = A_1; "layer-wise": one A and C for all hops, and u_{h+1} is
    L u_h + o_h. Where hops are adjacent W holds the rows of C_H for the words that are answers; without hops, and
    layer-wise, it is a matrix of its own. With `linear` set there is no softmax over sentences: training may start so.
    Source: Sukhbaatar, Szlam, Weston & Fergus, "End-to-end memory networks" (2015), equations 1 to 5 and section 2.2.

    Args:
        words: V.
        answers: the numbers of the K words that are answers.
        memory: M.
        features: D.
        hops: H; 0 answers from the question alone.
        encoding: "words" for a bag of words, or "positions".
        tying: "adjacent" or "layer-wise".
        copies: R.
        generator: draws the weights.

    Raises:
        OptionError: for a size below 1, fewer than 0 hops, or an answer that is no word.

    >>> network = MemoryNetwork(words=9, answers=(0, 2, 5, 8), memory=5, copies=2)
    >>> network(torch.zeros(3, 5, 6), torch.zeros(3, 6)).shape
    torch.Size([2, 3, 4])
    """

    def __init__(
        self,
        words: int,
        answers: Sequence[int],
        memory: int = 50,
        features: int = 20,
        hops: int = 3,
        encoding: Encoding = "positions",
        tying: Tying = "adjacent",
        copies: int = 1,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if min(words, len(answers), memory, features, copies) < 1 or hops < 0:
            raise OptionError("A memory network needs sizes of at least 1, and at least 0 hops.")
        if not all(0 <= answer < words for answer in answers):
            raise OptionError(f"The answers must be numbers of words, from 0 to {words - 1}.")
        generator = generator or torch.Generator().manual_seed(0)
        self.words, self.answers, self.memory, self.features = words, len(answers), memory, features
        self.hops, self.encoding, self.tying, self.copies = hops, encoding, tying, copies
        self.linear = False
        tables = hops + 1 if tying == "adjacent" else 3
        self.tables = _normal(generator, copies, words, tables * features)
        self.times = _normal(generator, copies, memory, tables * features)
        self.tied = tying == "adjacent" and hops > 0
        if not self.tied:
            self.answer = _normal(generator, copies, features, len(answers))
        if tying == "layer-wise":
            self.between = nn.Parameter(torch.eye(features).expand(copies, -1, -1).clone())
        share = torch.arange(1, features + 1) / features
        self.register_buffer("answer_words", torch.tensor(list(answers)), persistent=False)
        self.register_buffer("share", share.repeat(tables), persistent=False)

    encoding: Encoding
    share: Tensor
    answer_words: Tensor

    def copy(self, number: int) -> MemoryNetwork:
        """One of the copies, alone, with weights of its own."""
        one = copy.deepcopy(self)
        one.copies = 1
        for parameter in one.parameters():
            parameter.data = parameter.data[number : number + 1].clone()
        return one

    def embed(self, sentences: Bags) -> Tensor:
        """The features of sentences by all matrices, (R, N, ·)."""
        plain, turned = (part.to(self.tables.dtype) for part in sentences)
        return plain @ self.tables + self.share * (turned @ self.tables)

    def look(self, stories: Tensor, told: Tensor, question: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Scores of the answers (R, B, K), and what each hop attends to, (R, B, M) each.

        Args:
            stories: features of the sentences of each memory (R, B, M, ·), the last one told first.
            told: which sentences there are, (B, M) of booleans.
            question: features of the questions (R, B, ·).
        """
        width, adjacent = self.features, self.tying == "adjacent"
        remembered = stories + self.times[:, None]
        layers = remembered.unflatten(3, (-1, width)).unbind(3)
        state, attention = question[..., :width] if adjacent else question[..., 2 * width :], []
        for hop in range(self.hops):
            inward, outward = (layers[hop], layers[hop + 1]) if adjacent else (layers[0], layers[1])
            match = (inward @ state[..., None])[..., 0]
            match = match * told if self.linear else match.masked_fill(~told, -1e9).softmax(dim=2) * told
            attention.append(match)
            found = (match[..., None, :] @ outward)[..., 0, :]
            state = (state if adjacent else torch.bmm(state, self.between)) + found
        if not self.tied:
            return torch.bmm(state, self.answer), attention
        last = self.tables.index_select(1, self.answer_words)[..., -width:]
        return torch.bmm(state, last.transpose(1, 2)), attention

    def attend(self, story: Tensor, question: Tensor) -> tuple[Tensor, list[Tensor]]:
        """`look` for stories (B, M, W) and questions (B, W) of numbers of words, −1 for none."""
        rows, memory = story.shape[:2]
        told = bags(story.flatten(0, 1), self.words, self.encoding)
        sentences = self.embed(told).unflatten(1, (rows, memory))
        asked = self.embed(bags(question, self.words, self.encoding))
        return self.look(sentences, (story >= 0).any(dim=2), asked)

    def forward(self, story: Tensor, question: Tensor) -> Tensor:
        return self.attend(story, question)[0]


def _normal(generator: torch.Generator, *shape: int) -> nn.Parameter:
    return nn.Parameter(_SPREAD * torch.randn(*shape, generator=generator))

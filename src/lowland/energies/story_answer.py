"""The energy of an answer to a question about a story (system M5)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lowland.domains import OneHot, Product, Tokens
from lowland.energies.base import Energy, ReferenceCase
from lowland.energies.structure import Structure
from lowland.errors import OptionError
from lowland.nn.memory_network import MemoryNetwork
from lowland.registry import register


@register("energy")
class StoryAnswer(Energy):
    """E(x, y) = −y·f(x): x a story and a question, y a one-hot answer, f a network that looks into a memory.

    x is {"story": (B, M · W), the words of M sentences, the last one told first, "question": (B, W)}, numbers of words,
    −1 for none. As for `Classifier`, log Z(x) = log Σ_k exp f_k(x), and `MaximumLikelihood` is the cross-entropy.
    Source: Sukhbaatar, Szlam, Weston & Fergus, "End-to-end memory networks" (2015).

    Args:
        network: one copy of a `MemoryNetwork`.
        longest: W, the most words of a sentence.

    Raises:
        OptionError: for a network of several copies, which has several energies.

    >>> energy = StoryAnswer(MemoryNetwork(words=9, answers=(0, 2, 5, 8), memory=5), longest=6)
    >>> x = {"story": torch.zeros(2, 30), "question": torch.zeros(2, 6)}
    >>> energy(x=x, y=torch.eye(4)[:2]).shape
    torch.Size([2])
    """

    def __init__(self, network: MemoryNetwork, longest: int) -> None:
        if network.copies != 1:
            raise OptionError(f"An energy has one network, but this one has {network.copies} copies: take `copy(k)`.")
        story = Tokens(network.words, network.memory * longest, empty="any")
        question = Tokens(network.words, longest, empty="any")
        super().__init__(x=Product({"story": story, "question": question}), y=OneHot(network.answers))
        self.network, self.longest = network, longest

    def encode(self, x: dict[str, Tensor]) -> Tensor:
        """f(x), (B, K): everything the energy needs from x."""
        return self.network(x["story"].unflatten(1, (self.network.memory, self.longest)), x["question"])[0]

    def attention(self, x: dict[str, Tensor]) -> Tensor:
        """What each hop attends to, (B, H, M)."""
        story = x["story"].unflatten(1, (self.network.memory, self.longest))
        found = self.network.attend(story, x["question"])[1]
        return torch.stack([one[0] for one in found], dim=1)

    def energy(self, x: Tensor, y: Tensor, z: Any) -> Tensor:
        return -(x * y).sum(dim=1)

    def log_partition(self, x: Tensor) -> Tensor:
        return torch.logsumexp(x, dim=1)

    def structure(self, over: tuple[str, ...], x: Tensor | None, y: Any, z: Any) -> Structure:
        return Structure(table=lambda: -x) if over == ("y",) and x is not None else Structure()

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """Without hops the score of an answer is that of the words of the question: here each word has its answer."""
        network = MemoryNetwork(3, (0, 1, 2), memory=2, features=3, hops=0, encoding="words")
        with torch.no_grad():
            network.tables.copy_(torch.eye(3)[None])
            network.answer.copy_(torch.eye(3)[None])
        x = {"story": torch.tensor([[0.0, 1, 2, -1]] * 3), "question": torch.tensor([[0.0, -1], [1, -1], [2, 2]])}
        minimum = torch.tensor([-1.0, -1.0, -2.0])
        return ReferenceCase(cls(network, 2), {"x": x}, "y", minimum=minimum, minimiser=torch.eye(3))

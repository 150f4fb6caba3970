"""Which passage of some documents answers a question (system M4).

Legend: B questions, N passages, V features, L features of a question, E entries of the index, D numbers of a vector.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lowland.data.text_features import Entries
from lowland.domains import OneHot, Product, Reals, Tokens
from lowland.domains.tokens import EMPTY
from lowland.energies.base import Energy, ReferenceCase
from lowland.energies.structure import Structure
from lowland.errors import OptionError, ShapeError
from lowland.registry import register


@register("energy")
class PassageMatch(Energy):
    """E(x, z) = −Σ_n z_n [ Σ_{f ∈ x} w_fn / Σ_{f ∈ x} m_f + γ u · v_n ]: z says which of N passages answers question x.

    w_fn is the weight of feature f, a word or a part of one, in passage n, and m_f the most it can weigh in any: the
    first term is −1 where all that the question says stands in the passage, and 0 where nothing does. u and v_n are
    vectors of the question and of the passages. The minimum over z is the O of memory networks, arg max_n s_O(x, m_n)
    (Weston, Chopra & Bordes, "Memory networks", 2014, equation 2), with a score that is not trained; only passages that
    share a feature with the question are looked at, as in their hashing of words (section 3.3).

    x are the numbers of the question's features, (B, L), −1 for none; with vectors {"words": (B, L), "vector": (B, D)}.

    Args:
        entries: the index: `feature`, `text` and `weight` of each entry, and m in `most`.
        passages: N.
        length: L, the most features of a question.
        keys: v, (N, D); None leaves the second term out.
        share: γ ≥ 0.

    Raises:
        OptionError: for a negative γ, or no passage.
        ShapeError: for entries beyond the features or passages, or other numbers of keys.

    >>> number, weight = torch.tensor([0, 1]), torch.tensor([1.0, 2.0])
    >>> entries = Entries(number, number, weight, weight)
    >>> energy = PassageMatch(entries, passages=2, length=3)
    >>> energy(x=torch.tensor([[0.0, -1.0, -1.0]]), z=torch.tensor([[1.0, 0.0]]))
    tensor([-1.])
    """

    feature: Tensor
    text: Tensor
    weight: Tensor
    most: Tensor
    keys: Tensor | None

    def __init__(
        self, entries: Entries, passages: int, length: int, keys: Tensor | None = None, share: float = 0.0
    ) -> None:
        if passages < 1 or share < 0:
            raise OptionError(f"There must be a passage and share must be at least 0, not {passages} and {share}.")
        feature, text, weight, most = entries
        for name, numbers, count in (("features", feature, len(most)), ("passages", text, passages)):
            if len(numbers) and not 0 <= int(numbers.min()) <= int(numbers.max()) < count:
                raise ShapeError(f"The entries must be of {count} {name}, but their numbers are beyond.")
        if keys is not None and (keys.ndim != 2 or len(keys) != passages):
            raise ShapeError(f"keys must be ({passages}, D), one for each passage, but they are {tuple(keys.shape)}.")
        words = Tokens(len(most), length, empty="any")
        given = words if keys is None else Product({"words": words, "vector": Reals(keys.shape[1])})
        super().__init__(x=given, z=OneHot(passages))
        self.passages, self.share = passages, float(share)
        for name, tensor in (("feature", feature), ("text", text), ("weight", weight), ("most", most)):
            self.register_buffer(name, tensor.detach().clone())
        self.register_buffer("keys", None if keys is None else keys.detach().clone())

    def encode(self, x: Any) -> Tensor:
        """What each passage gives to a question, −E, (B, N)."""
        words = x if self.keys is None else x["words"]
        size = self.most.shape[0]
        place = torch.where(words < 0, size, words).long()
        counts = torch.zeros(words.shape[0], size + 1, dtype=words.dtype, device=words.device)
        counts = counts.scatter_add(1, place, torch.ones_like(words))[:, :size]
        feature, text, weight = self.feature, self.text, self.weight
        if not torch.compiler.is_exporting():  # an entry whose feature is in no question adds nothing
            asked = (counts > 0).any(dim=0)[feature]
            feature, text, weight = feature[asked], text[asked], weight[asked]
        found = torch.zeros(self.passages, words.shape[0], dtype=weight.dtype, device=weight.device)
        found = found.index_add(0, text, weight[:, None] * counts.T[feature].to(weight))
        total = (counts.to(weight) * self.most).sum(dim=1)
        scores = found.T / torch.where(total > 0, total, 1)[:, None]
        return scores if self.keys is None else scores + self.share * (x["vector"] @ self.keys.T)

    def energy(self, x: Tensor, y: Any, z: Tensor) -> Tensor:
        return -(x * z).sum(dim=1)

    def structure(self, over: tuple[str, ...], x: Tensor | None, y: Any, z: Any) -> Structure:
        return Structure(table=lambda: -x) if over == ("z",) and x is not None else Structure()

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """Feature 0 is in passage 0 alone and 1 in both; the vector of the last question is that of passage 1."""
        dtype = torch.get_default_dtype()
        weight, most = torch.tensor([2.0, 1.0, 0.5], dtype=dtype), torch.tensor([2.0, 1.0], dtype=dtype)
        entries = Entries(torch.tensor([0, 1, 1]), torch.tensor([0, 1, 0]), weight, most)
        energy = cls(entries, passages=2, length=2, keys=torch.eye(2, dtype=dtype), share=0.5)
        x = {
            "words": torch.tensor([[0, EMPTY], [1, EMPTY], [EMPTY, EMPTY], [0, 1]], dtype=dtype),
            "vector": torch.tensor([[0.0, 0.0], [0.0, 0.0], [0.0, 1.0], [0.0, 0.0]], dtype=dtype),
        }
        minimum = torch.tensor([-1.0, -1.0, -0.5, -2.5 / 3], dtype=dtype)
        minimiser = torch.eye(2, dtype=dtype)[[0, 1, 1, 0]]
        return ReferenceCase(energy, {"x": x}, "z", minimum, minimiser)

"""Word vectors: the energy of a word beside another one (system J4).

Shape letters: B pairs, V words, D numbers of a vector, P parts of a word.
"""

from __future__ import annotations

import zlib
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from lowland.domains import Tokens
from lowland.energies.base import Energy, ReferenceCase
from lowland.energies.structure import Structure
from lowland.errors import OptionError
from lowland.registry import register


@register("energy")
class WordPairs(Energy):
    """E(x, y) = −u_x · v_y: x a word, y a word that stands near it, u_x the vector of x and v_y what y is near to.

    `NoiseContrastive(matched=False)` trains it by negative sampling: this is the skip-gram model of Mikolov et al.,
    "Distributed representations of words and phrases and their compositionality" (2013), equation 4. Where it is best
    and vectors are long enough, −E(x, y) = log p(x, y) / (p(x) q(y)) − log ν, with the noise q and its ratio ν (Levy &
    Goldberg, "Neural word embedding as implicit matrix factorization", 2014); `mutual_information_vectors` factorises
    that table directly. `MaximumLikelihood` trains the same energy with the sum over all V words.

    With `buckets`, u_x is the mean over x itself and its parts, all runs of `shortest` to `longest` letters of <word>:
    words that are written alike share parts, and a word that was never seen has a vector. Parts have a vector by the
    checksum of their letters (Bojanowski et al., "Enriching word vectors with subword information", 2017, equation 3).

    Args:
        words: the V words, each once.
        features: D.
        buckets: how many vectors all parts share; 0 leaves parts out.
        shortest, longest: letters of a part.
        generator: draws u; v begins at 0, as theirs.

    Raises:
        OptionError: for fewer than two words, a word that is there twice, or impossible lengths of parts.

    >>> energy = WordPairs(("cat", "dog", "sits"), features=8)
    >>> energy(x=torch.tensor([[0.0], [1.0]]), y=torch.tensor([[2.0], [2.0]])).shape
    torch.Size([2])
    """

    parts: Tensor

    def __init__(
        self,
        words: tuple[str, ...],
        features: int = 100,
        buckets: int = 0,
        shortest: int = 3,
        longest: int = 6,
        generator: torch.Generator | None = None,
    ) -> None:
        if len(words) < 2 or len(set(words)) < len(words):
            raise OptionError(f"Word vectors need two words at least, each once, not {len(words)} with doubles.")
        if not 1 <= shortest <= longest or buckets < 0:
            raise OptionError(
                f"Parts have 1 letter at least and no fewer than {shortest} at most, and buckets are not negative: "
                f"not {longest} and {buckets}."
            )
        super().__init__(x=Tokens(len(words), 1), y=Tokens(len(words), 1))
        self.words, self.shortest, self.longest = tuple(words), shortest, longest
        self.number = {word: place for place, word in enumerate(self.words)}
        self.buckets = buckets
        generator = generator or torch.Generator().manual_seed(0)
        drawn = torch.rand(len(words) + buckets, features, generator=generator)
        self.vectors = nn.Parameter((drawn - 0.5) / features)
        self.near = nn.Parameter(torch.zeros(len(words), features))
        own = [torch.tensor([place, *self._parts(word)]) for place, word in enumerate(self.words)]
        padded = pad_sequence(own, batch_first=True, padding_value=-1)
        self.register_buffer("parts", padded, persistent=False)

    def _parts(self, word: str) -> list[int]:
        """Rows of the vectors of a word's parts."""
        if not self.buckets:
            return []
        whole = f"<{word}>"
        runs = (
            whole[start : start + length]
            for length in range(self.shortest, self.longest + 1)
            for start in range(len(whole) - length + 1)
        )
        return [len(self.words) + zlib.crc32(run.encode()) % self.buckets for run in runs if run != whole]

    def encode(self, x: Tensor) -> Tensor:
        """u_x, (B, D)."""
        rows = self.parts[x[:, 0].long()]
        if rows.shape[1] == 1:
            return nn.functional.embedding(rows[:, 0], self.vectors)
        there = rows >= 0
        flat, ends = rows[there], there.sum(dim=1).cumsum(0)
        begins = torch.cat([ends.new_zeros(1), ends[:-1]])
        return nn.functional.embedding_bag(flat, self.vectors, begins, mode="mean")

    def energy(self, x: Tensor, y: Tensor, z: Any) -> Tensor:
        return -(x * nn.functional.embedding(y[:, 0].long(), self.near)).sum(dim=1)

    def log_partition(self, x: Tensor) -> Tensor:
        return torch.logsumexp(x @ self.near.T, dim=1)

    def structure(self, over: tuple[str, ...], x: Tensor | None, y: Any, z: Any) -> Structure:
        return Structure(table=lambda: -x @ self.near.T) if over == ("y",) and x is not None else Structure()

    @torch.no_grad()
    def vector(self, word: str) -> Tensor | None:
        """U of a word, (D,); for one that is not among the words, the mean of its parts, or None without parts."""
        if word in self.number:
            return self.encode(self.vectors.new_tensor([[self.number[word]]]))[0]
        rows = self._parts(word)
        return self.vectors[rows].mean(dim=0) if rows else None

    @torch.no_grad()
    def table(self) -> Tensor:
        """U of all words, (V, D)."""
        every = torch.arange(len(self.words), device=self.vectors.device)[:, None]
        return torch.cat([self.encode(part) for part in every.split(4096)])

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """U = (1, 0) and (0, 1); v = (2, 0), (0, 3): each word is nearest to its own v."""
        energy = cls(("one", "other"), features=2)
        with torch.no_grad():
            energy.vectors.copy_(torch.eye(2))
            energy.near.copy_(torch.tensor([[2.0, 0.0], [0.0, 3.0]]))
        x = torch.tensor([[0.0], [1.0]])
        return ReferenceCase(energy, {"x": x}, "y", minimum=torch.tensor([-2.0, -3.0]), minimiser=x.clone())

"""Words that stand near each other: the vocabulary of a text, its pairs, and how often each pair occurs.

Shape letters: T words of a text, N pairs, V words of the vocabulary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from scipy import sparse
from torch import Tensor

from lowland.errors import DataError, OptionError


@dataclass(frozen=True)
class NumberedText:
    """A text as numbers of words.

    `words` by falling frequency, the most frequent is number 0; `counts` (V,) how often each occurs; `numbers` (T,) the
    text, without words that are too rare; `sentences` (T,) the sentence of each.
    """

    words: tuple[str, ...] = field(repr=False)
    counts: Tensor = field(repr=False)
    numbers: Tensor = field(repr=False)
    sentences: Tensor = field(repr=False)

    @classmethod
    def of(cls, sentences: Sequence[Sequence[str]], least: int = 5) -> NumberedText:
        """Number the words that occur at least `least` times; words of the same frequency stand in alphabetical order.

        Raises:
            DataError: if fewer than two words are that frequent.

        >>> NumberedText.of([["a", "b", "a"], ["b", "c", "a"]], least=2).numbers
        tensor([0, 1, 0, 1, 0])
        """
        counted = Counter(word for sentence in sentences for word in sentence)
        words = sorted((word for word, count in counted.items() if count >= least), key=lambda w: (-counted[w], w))
        if len(words) < 2:
            raise DataError(
                f"{len(words)} of {len(counted)} words occur {least} times or more, and word vectors need two at "
                "least: give more text, or lower the least count."
            )
        number = {word: place for place, word in enumerate(words)}
        known = [[number[word] for word in sentence if word in number] for sentence in sentences]
        lengths = torch.tensor([len(sentence) for sentence in known])
        return cls(
            tuple(words), torch.tensor([counted[word] for word in words]),
            torch.tensor([place for sentence in known for place in sentence]),
            torch.arange(len(known)).repeat_interleave(lengths),
        )  # fmt: skip

    def near(self, distance: int) -> tuple[Tensor, Tensor]:
        """Places of the text, (N,) and (N,), that are `distance` words apart in one sentence."""
        first = torch.arange(max(0, len(self.numbers) - distance))
        first = first[self.sentences[first] == self.sentences[first + distance]]
        return first, first + distance


def drawn_pairs(text: NumberedText, window: int, frequent: float, generator: torch.Generator) -> Tensor:
    """Pairs of a word and one near it, (N, 2), drawn as word2vec draws them in one pass over the text.

    Frequent words are left out at random first: of a word with share p of the text a part √(t / p) + t / p is kept, at
    most all (Mikolov et al. 2013, as in their code). Then each word takes a reach evenly from 1 to `window`, and is
    paired with all words of its sentence within it.

    Args:
        window: the largest distance.
        frequent: t; 0 keeps all.

    Raises:
        OptionError: for a window below 1 or a negative t.

    >>> text = NumberedText.of([["a", "b"]] * 3, least=1)
    >>> drawn_pairs(text, 1, 0.0, torch.Generator().manual_seed(0))[:2].tolist()
    [[0, 1], [0, 1]]
    """
    if window < 1 or frequent < 0:
        raise OptionError(f"Pairs need a window of at least 1 and a t that is not negative, not {window}, {frequent}.")
    if frequent:
        ratio = frequent * text.counts.sum() / text.counts
        kept = torch.rand(len(text.numbers), generator=generator) < (ratio.sqrt() + ratio)[text.numbers]
        text = NumberedText(text.words, text.counts, text.numbers[kept], text.sentences[kept])
    reach = torch.randint(1, window + 1, (len(text.numbers),), generator=generator)
    pairs = []
    for distance in range(1, window + 1):
        for one, other in (text.near(distance), text.near(distance)[::-1]):
            inside = reach[one] >= distance
            pairs.append(torch.stack([text.numbers[one[inside]], text.numbers[other[inside]]], dim=1))
    return torch.cat(pairs)


def pair_counts(text: NumberedText, window: int) -> sparse.csr_array:
    """How often words stand near each other: (V, V), symmetric, 1 for each pair within the window.

    >>> pair_counts(NumberedText.of([["a", "b", "a"]], least=1), 1).toarray()
    array([[0., 2.],
           [2., 0.]])
    """
    size = len(text.words)
    numbers = [text.numbers[torch.stack(text.near(distance))] for distance in range(1, window + 1)]
    both = torch.cat([part for one in numbers for part in (one, one.flip(0))], dim=1)
    flat, counts = (both[0] * size + both[1]).unique(return_counts=True)
    return sparse.csr_array((counts.double().numpy(), ((flat // size).numpy(), (flat % size).numpy())), (size, size))

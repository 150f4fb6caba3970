"""Byte-pair encoding: words as few pieces as pairs of frequent pieces allow; any text is read back as it was."""

from __future__ import annotations

import functools
import heapq
import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from lowland.errors import DataError, OptionError

BYTES = 256
_WORD = re.compile(r" ?[^\W\d_]+| ?\d| ?[^\w\s]+| ?_+|\s+(?=\S)|\s+")
_LONGEST = 100
_KEPT = 1 << 16


class BytePairs:
    r"""Tokens 0 … 255 are bytes, and each further one stands for two earlier ones in a row, the most frequent pair.

    Source: Sennrich, Haddow & Birch, "Neural machine translation of rare words with subword units" (2016), over bytes
    as Radford et al. (2019) do, so that no text has an unknown token. A merge never crosses the boundary of a word, a
    digit or a run of signs; a space belongs to the word behind it.

    Args:
        merges: the pairs, in the order in which they were learned.

    Raises:
        DataError: for a pair of tokens that are not made before it.

    >>> pairs = BytePairs.learn(["low lower lowest", "new newer newest"], tokens=262)
    >>> [pairs.decode([token]) for token in pairs.encode("lowest newt")]
    ['lo', 'we', 'st', ' ne', 'w', 't']
    >>> pairs.decode(pairs.encode("Größe: 3 €\n")) == "Größe: 3 €\n"
    True
    """

    def __init__(self, merges: Sequence[tuple[int, int]]) -> None:
        self.merges = tuple((int(one), int(other)) for one, other in merges)
        self.pieces = [bytes([byte]) for byte in range(BYTES)]
        for number, (one, other) in enumerate(self.merges, start=BYTES):
            if not (0 <= one < number and 0 <= other < number):
                raise DataError(f"Merge {number} joins {one} and {other}, but only tokens below {number} are known.")
            self.pieces.append(self.pieces[one] + self.pieces[other])
        self._rank = {pair: number for number, pair in enumerate(self.merges, start=BYTES)}
        self._word = functools.lru_cache(_KEPT)(self._split)

    def __len__(self) -> int:
        return len(self.pieces)

    @classmethod
    def learn(cls, texts: Iterable[str], tokens: int) -> BytePairs:
        """The pairs that are most frequent in texts; of equally frequent ones the smaller numbers.

        Args:
            texts: to learn from.
            tokens: at most so many, the 256 bytes included; fewer where no pair comes twice.

        Raises:
            OptionError: for fewer than 256 tokens.
        """
        if tokens < BYTES:
            raise OptionError(f"Byte pairs have at least {BYTES} tokens, one for each byte, not {tokens}.")
        counts = Counter(word for text in texts for word in words_of(text))
        words = [list(word.encode()) for word in counts]
        weights = list(counts.values())
        frequency: Counter[tuple[int, int]] = Counter()
        where: defaultdict[tuple[int, int], set[int]] = defaultdict(set)
        for row, word in enumerate(words):
            for pair in itertools.pairwise(word):
                frequency[pair] += weights[row]
                where[pair].add(row)
        # Entries of the heap may be out of date: a count that has fallen meanwhile is put back as it is now.
        heap = [(-count, pair) for pair, count in frequency.items()]
        heapq.heapify(heap)
        merges: list[tuple[int, int]] = []
        while heap and len(merges) < tokens - BYTES:
            count, best = heapq.heappop(heap)
            if -count != frequency[best]:
                if frequency[best] > 1:
                    heapq.heappush(heap, (-frequency[best], best))
                continue
            if -count < 2:
                break
            risen = set()
            for row in where.pop(best):
                before, after = words[row], _merged(words[row], best, BYTES + len(merges))
                for pair in itertools.pairwise(before):
                    frequency[pair] -= weights[row]
                for pair in itertools.pairwise(after):
                    frequency[pair] += weights[row]
                    where[pair].add(row)
                    risen.add(pair)
                words[row] = after
            merges.append(best)
            del frequency[best]
            for pair in risen:
                heapq.heappush(heap, (-frequency[pair], pair))
        return cls(merges)

    def encode(self, text: str) -> list[int]:
        """The tokens of a text."""
        return [token for word in words_of(text) for token in self._word(word)]

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of tokens; bytes that are no UTF-8, which only a model writes, become �.

        Raises:
            DataError: for a number that is no token.
        """
        numbers = list(tokens)
        if wrong := [number for number in numbers if not 0 <= number < len(self)]:
            raise DataError(f"{wrong[0]} is no token: they are numbers from 0 to {len(self) - 1}.")
        return b"".join(self.pieces[number] for number in numbers).decode("utf-8", errors="replace")

    def _split(self, word: str) -> tuple[int, ...]:
        tokens = list(word.encode())
        while len(tokens) > 1:
            first = min(itertools.pairwise(tokens), key=lambda pair: self._rank.get(pair, len(self)))
            if first not in self._rank:
                break
            tokens = _merged(tokens, first, self._rank[first])
        return tuple(tokens)


def words_of(text: str) -> list[str]:
    """A text cut into words with the space before them, single digits, and runs of signs; together they are the text.

    A longer word is cut into pieces of 100 characters, so that a line without spaces takes no long.

    >>> words_of("Press Ctrl+F12, then Größe.")
    ['Press', ' Ctrl', '+', 'F', '1', '2', ',', ' then', ' Größe', '.']
    """
    found = _WORD.findall(text)
    return [word[first : first + _LONGEST] for word in found for first in range(0, len(word), _LONGEST)]


def _merged(tokens: list[int], pair: tuple[int, int], new: int) -> list[int]:
    """The tokens with each pair replaced by the new one, from left to right."""
    found, place = [], 0
    while place < len(tokens):
        if place + 1 < len(tokens) and (tokens[place], tokens[place + 1]) == pair:
            found.append(new)
            place += 2
        else:
            found.append(tokens[place])
            place += 1
    return found

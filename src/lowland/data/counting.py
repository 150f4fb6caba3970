"""Languages that are learned by counting: streams of words whose last part follows from the first (system M6).

Legend: N words, T places of the longest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lowland.errors import OptionError

NOTHING = -1
"""Stands for no symbol, before the first and behind the last one."""


class Language(NamedTuple):
    """Words of every size.

    `symbols` writes them, `least` is the smallest size, and `draw(size, generator)` gives a word as numbers of symbols,
    with how many of its first ones do not follow from those before.
    """

    symbols: str
    least: int
    draw: Callable[[int, torch.Generator], tuple[list[int], int]]


def _blocks(count: int) -> Callable[[int, torch.Generator], tuple[list[int], int]]:
    def draw(size: int, generator: torch.Generator) -> tuple[list[int], int]:
        return [symbol for symbol in range(count) for _ in range(size)], size + 1

    return draw


def _sums(size: int, generator: torch.Generator) -> tuple[list[int], int]:
    first = int(torch.randint(1, size, (1,), generator=generator))
    return [0] * first + [1] * (size - first) + [2] * size, size + 1


LANGUAGES = {
    "anbn": Language("ab", 1, _blocks(2)),
    "anbncn": Language("abc", 1, _blocks(3)),
    "anbmcnm": Language("abc", 2, _sums),
}
"""aⁿbⁿ, aⁿbⁿcⁿ and aⁿbᵐcⁿ⁺ᵐ, whose sizes are n, n and n + m, from Joulin & Mikolov (2015)."""


def language(name: str) -> Language:
    """The language of a name.

    Raises:
        OptionError: for another name.

    >>> language("anbn").symbols
    'ab'
    """
    if name not in LANGUAGES:
        raise OptionError(f"There is no language {name!r}: it must be one of {', '.join(LANGUAGES)}.")
    return LANGUAGES[name]


def counting_stream(name: str, most: int, length: int, generator: torch.Generator) -> Tensor:
    """The first symbols, (length,), of words one after the other, each of a size drawn evenly up to `most`.

    Args:
        name: of the language.
        most: largest size.
        length: symbols wanted.
        generator: draws sizes, and what a word of a size leaves open.

    Raises:
        OptionError: for an unknown language, no symbols, or a size below its least.

    >>> counting_stream("anbn", 3, 8, torch.Generator().manual_seed(0)).tolist()
    [0, 0, 0, 1, 1, 1, 0, 1]
    """
    chosen = language(name)
    if most < chosen.least or length < 1:
        raise OptionError(
            f"A stream of {name} needs sizes of at least {chosen.least} and at least one symbol, not {most}, {length}."
        )
    found: list[int] = []
    while len(found) < length:
        size = int(torch.randint(chosen.least, most + 1, (1,), generator=generator))
        found += chosen.draw(size, generator)[0]
    return torch.tensor(found[:length])


class Trials(NamedTuple):
    """N tests.

    `symbols` (N, T) int64, −1 behind the last one; `judged` (N, T), the symbols that follow from those before in the
    word that is tested; `sizes` (N,) of these words.
    """

    symbols: Tensor
    judged: Tensor
    sizes: Tensor


def counting_trials(name: str, sizes: Sequence[int], most: int, generator: torch.Generator, before: int = 2) -> Trials:
    """One test for each size: some words of sizes that were trained, the word, and the first symbol of the next word.

    Args:
        name: of the language.
        sizes: of the words that are tested.
        most: largest size of the words before.
        generator: draws them.
        before: how many there are.

    >>> trials = counting_trials("anbn", [2], 3, torch.Generator().manual_seed(0), before=0)
    >>> trials.symbols.tolist(), trials.judged.int().tolist()
    ([[0, 0, 1, 1, 0]], [[0, 0, 0, 1, 1]])
    """
    chosen = language(name)
    rows, judged = [], []
    for size in sizes:
        if size < chosen.least:
            raise OptionError(f"Words of {name} have sizes of at least {chosen.least}, not {size}.")
        drawn = torch.randint(chosen.least, most + 1, (before,), generator=generator).tolist()
        warm = [symbol for one in drawn for symbol in chosen.draw(one, generator)[0]]
        word, free = chosen.draw(size, generator)
        rows.append(torch.tensor([*warm, *word, 0]))
        marks = torch.zeros(len(rows[-1]), dtype=torch.bool)
        marks[len(warm) + free :] = True
        judged.append(marks)
    symbols = pad_sequence(rows, batch_first=True, padding_value=NOTHING)
    return Trials(symbols, pad_sequence(judged, batch_first=True), torch.tensor(list(sizes)))


def behind(symbols: Tensor) -> Tensor:
    """What a network sees when it is to say each symbol: the one before, and −1 before the first.

    >>> behind(torch.tensor([[3, 1, 2]])).tolist()
    [[-1, 3, 1]]
    """
    return torch.cat([torch.full_like(symbols[..., :1], NOTHING), symbols[..., :-1]], dim=-1)

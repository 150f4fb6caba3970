"""Which words of a language a network continues rightly, beyond the sizes that it was trained on (system M6).

Legend: S copies of a network, N words, T places, K stacks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from lowland.data.counting import Trials, behind, counting_stream, counting_trials, language
from lowland.nn.stacks import BOTTOM, StackNetwork, SymbolNetwork
from lowland.training.symbol_streams import stream_entropy

_HELD, _HELD_PLACES = 8, 500


@contextmanager
def likeliest_actions(network: SymbolNetwork, capacity: int) -> Iterator[None]:
    """A stack network takes its likeliest action alone within, on stacks of another capacity, and is as before behind.

    >>> network = StackNetwork(symbols=2)
    >>> with likeliest_actions(network, 99):
    ...     network.discrete, network.capacity
    (True, 99)
    >>> network.discrete, network.capacity
    (False, 32)
    """
    if not isinstance(network, StackNetwork):
        yield
        return
    before = network.discrete, network.capacity
    try:
        network.discrete, network.capacity = True, capacity
        yield
    finally:
        network.discrete, network.capacity = before


@torch.no_grad()
def right_words(network: SymbolNetwork, trials: Trials) -> Tensor:
    """Whether each copy gets all symbols of each word that follow from those before, (S, N) of booleans.

    A symbol is got if it has the largest score. The first symbol of the next word belongs to them: where a word ends
    follows from how it began. Stacks have room for the whole test.
    """
    symbols = trials.symbols.expand(network.copies, -1, -1)
    with likeliest_actions(network, max(2, symbols.shape[2])):
        scores, _ = network(behind(symbols))
    return ((scores.argmax(dim=3) == symbols) | ~trials.judged).all(dim=2)


def counting_rows(
    network: SymbolNetwork, name: str, longest: int, most: int, generator: torch.Generator
) -> tuple[list[dict[str, Any]], Tensor]:
    """What each copy is worth: a row for each, and which sizes it gets right, (S, N), for all N sizes up to `longest`.

    A row has "right", the share of sizes in percent, "beyond", that of the sizes that were not trained, "all", 100 or
    0, and "validation", the entropy of held-out streams of trained sizes in nats per symbol, as the network is tested.

    Args:
        network: its copies are compared.
        name: of the language.
        longest: largest size that is tested.
        most: largest size that was trained.
        generator: draws the tests.
    """
    least = language(name).least
    held = torch.stack([counting_stream(name, most, _HELD_PLACES, generator) for _ in range(_HELD)])
    with likeliest_actions(network, _HELD_PLACES):
        entropy = stream_entropy(network, held)
    trials = counting_trials(name, range(least, longest + 1), most, generator)
    right = right_words(network, trials)
    new = trials.sizes > most
    rows = [
        {
            "right": 100 * float(one.float().mean()),
            "beyond": 100 * float(one[new].float().mean()) if bool(new.any()) else float("nan"),
            "all": 100.0 * bool(one.all()),
            "validation": float(value),
        }
        for one, value in zip(right, entropy, strict=True)
    ]
    return rows, right


def most_frequent_rows(name: str, longest: int, most: int, generator: torch.Generator) -> dict[str, float]:
    """The same row for who always says the symbol that is most frequent in trained sizes, with its entropy there."""
    chosen = language(name)
    counts = counting_stream(name, most, 100 * _HELD_PLACES, generator).bincount(minlength=len(chosen.symbols))
    share = counts / counts.sum()
    trials = counting_trials(name, range(chosen.least, longest + 1), most, generator)
    right = ((trials.symbols == int(counts.argmax())) | ~trials.judged).all(dim=1).float()
    return {
        "right": 100 * float(right.mean()),
        "beyond": 100 * float(right[trials.sizes > most].mean()),
        "all": 100 * float(right.min()),
        "validation": float(-(share * share.clamp_min(1e-9).log()).sum()),
    }


@torch.no_grad()
def stack_depths(network: StackNetwork, symbols: Tensor) -> Tensor:
    """How many entries each stack has when each symbol is to be said, (T, K), with the likeliest actions alone.

    Args:
        network: one copy.
        symbols: (T,).

    >>> network = StackNetwork(symbols=2, stacks=1)
    >>> _ = torch.nn.init.zeros_(network.act_weight)  # both actions are equally likely: the first is taken, to push
    >>> stack_depths(network, torch.tensor([0, 0, 1])).tolist()
    [[1], [2], [3]]
    """
    found = []
    with likeliest_actions(network, len(symbols) + network.depth):
        memory = None
        for symbol in behind(symbols[None, None]).unbind(2):
            memory = network(symbol[..., None], memory)[1]
            found.append((memory[0][0, 0] != BOTTOM).sum(dim=1))
    return torch.stack(found)

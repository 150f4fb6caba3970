"""Training of networks of symbols on endless streams of words, as the authors of stack-augmented networks do (M6).

Legend: S copies of a network, B streams of each, T places, P places of a window.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from lowland.data.counting import behind, counting_stream, language
from lowland.errors import OptionError
from lowland.nn.stacks import SymbolNetwork

_FIRST, _HELD, _HELD_PLACES, _LEAST = 3, 8, 250, 1 / 128
"""Largest size of the words of the first round, held-out streams and their places, and the rate, in parts of the first,
below which a copy has ended."""


class StreamTraining(NamedTuple):
    """How a network is trained. The defaults but for `rate`, `streams` and the rounds are those of the paper.

    `most` is the largest size of a word, reached from 3 on by one more in each round; a round has `windows` windows of
    `places` places of `streams` streams; gradients of each weight end at ±`clip`.
    """

    most: int = 19
    rounds: int = 60
    windows: int = 40
    places: int = 50
    streams: int = 8
    rate: float = 0.01
    clip: float = 15.0


def train_streams(
    network: SymbolNetwork, name: str, settings: StreamTraining, generator: torch.Generator
) -> dict[str, Any]:
    """Train all copies of a network in place, each on streams of its own, by gradient descent through windows.

    What a network carries goes from window to window, gradients do not. From the round on in which words have all
    sizes, a copy whose entropy on held-out streams has not fallen goes back to its best weights and halves its rate.
    Source: Joulin & Mikolov, "Inferring algorithmic patterns with stack-augmented recurrent nets" (2015), section 5.

    Args:
        network: its copies are trained and end with the weights of their best round.
        name: of a language in `lowland.data.counting`.
        settings: sizes and rates.
        generator: draws the streams.

    Returns:
        dict: "entropy" (rounds, S), that of the held-out streams after each round in nats per symbol, and "updates".

    Raises:
        OptionError: for a size that is not positive, or an unknown language.
    """
    if min(settings) <= 0:
        raise OptionError(f"Training on streams needs settings above 0, not {settings}.")
    least = language(name).least
    held = torch.stack([
        counting_stream(name, max(least, settings.most), _HELD_PLACES, generator) for _ in range(_HELD)
    ])  # fmt: skip
    parameters = list(network.parameters())
    best = [parameter.detach().clone() for parameter in parameters]
    lowest = torch.full((network.copies,), torch.inf)
    rate, curve, updates = torch.full((network.copies,), settings.rate), [], 0
    for turn in range(settings.rounds):
        most = max(least, min(settings.most, _FIRST + turn))
        _one_round(network, name, most, rate, settings, generator)
        updates += settings.windows
        entropy = stream_entropy(network, held)
        better = ((entropy < lowest) | (most < settings.most)) & entropy.isfinite()
        lowest = torch.where(better, entropy, lowest)
        with torch.no_grad():
            for parameter, kept in zip(parameters, best, strict=True):
                kept.copy_(torch.where(better[:, None, None], parameter, kept))
                parameter.copy_(kept)
        rate = torch.where(better, rate, rate / 2)
        curve.append(entropy)
        if bool((rate < _LEAST * settings.rate).all()):
            break
    return {"entropy": torch.stack(curve), "updates": updates}


def _one_round(
    network: SymbolNetwork,
    name: str,
    most: int,
    rate: Tensor,
    settings: StreamTraining,
    generator: torch.Generator,
) -> None:
    count, places = network.copies * settings.streams, settings.windows * settings.places
    drawn = torch.stack([counting_stream(name, most, places, generator) for _ in range(count)])
    streams = drawn.unflatten(0, (network.copies, settings.streams))
    windows = zip(behind(streams).split(settings.places, dim=2), streams.split(settings.places, dim=2), strict=True)
    parameters, memory = list(network.parameters()), None
    for seen, symbols in windows:
        scores, memory = network(seen, memory)
        memory = tuple(part.detach() for part in memory)
        loss = functional.cross_entropy(scores.flatten(0, 2), symbols.flatten(), reduction="sum") / settings.streams
        gradients = torch.autograd.grad(loss, parameters)  # each copy has its own: the loss is their sum
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter -= rate[:, None, None] * gradient.clamp(-settings.clip, settings.clip)


@torch.no_grad()
def stream_entropy(network: SymbolNetwork, streams: Tensor) -> Tensor:
    """The mean of −log p of the symbols of streams (B, T) for each copy, (S,), in nats.

    >>> from lowland.nn.stacks import LSTM
    >>> network = LSTM(symbols=2, copies=3)
    >>> _ = torch.nn.init.zeros_(network.decide_weight)
    >>> stream_entropy(network, torch.zeros(4, 5, dtype=torch.long))
    tensor([0.6931, 0.6931, 0.6931])
    """
    each = streams.expand(network.copies, -1, -1)
    scores, _ = network(behind(each))
    return -scores.log_softmax(dim=3).gather(3, each[..., None])[..., 0].mean(dim=(1, 2))

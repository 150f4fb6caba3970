"""Training on streams: the best weights are kept, rates halve, and a language is learned."""

from __future__ import annotations

import pytest
import torch

from lowland.data.counting import counting_stream
from lowland.errors import OptionError
from lowland.nn.stacks import LSTM, StackNetwork
from lowland.training.symbol_streams import StreamTraining, stream_entropy, train_streams

SHORT = StreamTraining(most=4, rounds=12, windows=6, places=20, streams=4, rate=0.03)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("kind", [StackNetwork, LSTM])
def test_entropy_falls_below_that_of_letters(kind: type[StackNetwork] | type[LSTM]) -> None:
    network = kind(2, hidden=12, copies=2, generator=seeded())
    found = train_streams(network, "anbn", SHORT, seeded(1))
    assert found["entropy"].shape[1] == 2
    held = torch.stack([counting_stream("anbn", 4, 200, seeded(2)) for _ in range(2)])
    assert bool((stream_entropy(network, held) < 0.66).all())  # letters alone, half a and half b: log 2 = 0.693


def test_copies_end_with_their_best_weights_and_rates_end_training() -> None:
    """At a rate that is too large every later round is worse, so that all go back and soon end."""
    network = StackNetwork(2, hidden=6, stacks=2, copies=2, generator=seeded())
    found = train_streams(network, "anbn", SHORT._replace(rounds=60, rate=20.0), seeded(1))
    assert len(found["entropy"]) < 60
    again = StackNetwork(2, hidden=6, stacks=2, copies=2, generator=seeded())
    short = train_streams(again, "anbn", SHORT._replace(rounds=len(found["entropy"]), rate=20.0), seeded(1))
    assert torch.equal(short["entropy"], found["entropy"])
    held = torch.stack([counting_stream("anbn", 4, 250, generator) for generator in [seeded(1)] for _ in range(8)])
    lowest = found["entropy"][1:].amin(dim=0)  # sizes are whole from the second round on
    torch.testing.assert_close(stream_entropy(network, held), lowest)


def test_a_copy_learns_as_it_would_alone() -> None:
    """Its gradient is that of its own loss, so that the first windows on the same streams change it alike."""
    pair = LSTM(2, hidden=4, copies=2, generator=seeded())
    alone = pair.copy(0)
    streams = counting_stream("anbn", 3, 40, seeded(3)).reshape(1, 2, 20)
    both, one = pair(streams.expand(2, -1, -1))[0], alone(streams)[0]
    of_both = torch.autograd.grad(both.log_softmax(3)[..., 0].sum(), list(pair.parameters()))
    of_one = torch.autograd.grad(one.log_softmax(3)[..., 0].sum(), list(alone.parameters()))
    for together, single in zip(of_both, of_one, strict=True):
        torch.testing.assert_close(together[:1], single)


def test_settings_that_cannot_be() -> None:
    with pytest.raises(OptionError, match="above 0"):
        train_streams(LSTM(2), "anbn", SHORT._replace(rate=0.0), seeded())
    with pytest.raises(OptionError, match="no language"):
        train_streams(LSTM(2), "abab", SHORT, seeded())

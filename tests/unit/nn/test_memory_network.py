"""Memory networks: the encoding of positions, and hops against the equations."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lowland.errors import OptionError
from lowland.nn.memory_network import Encoding, MemoryNetwork, Tying, bags

STORY = torch.tensor([[[0, 3, 2], [1, 2, -1], [-1, -1, -1]], [[4, -1, -1], [0, 1, 1], [2, 3, 4]]])
QUESTION = torch.tensor([[1, 0, -1], [3, 3, 2]])


def encoded(sentence: list[int], table: Tensor, encoding: Encoding) -> Tensor:
    """Σ_j l_j E[x_j], word by word and feature by feature."""
    words, (_, width) = [word for word in sentence if word >= 0], table.shape
    total = torch.zeros(width, dtype=table.dtype)
    for j, word in enumerate(words, start=1):
        for d in range(1, width + 1):
            share = j / len(words)
            weight = (1 - share) - d / width * (1 - 2 * share) if encoding == "positions" else 1.0
            total[d - 1] += weight * table[word, d - 1]
    return total


@pytest.mark.parametrize("tying", ["adjacent", "layer-wise"])
@pytest.mark.parametrize("encoding", ["words", "positions"])
@pytest.mark.parametrize("linear", [False, True])
def test_hops_are_those_of_the_equations(tying: Tying, encoding: Encoding, linear: bool) -> None:
    """Sentence by sentence; single precision holds the numbers of features, hence the tolerance."""
    network = MemoryNetwork(5, (1, 4), 3, features=4, hops=2, encoding=encoding, tying=tying, copies=2)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(generator=torch.Generator().manual_seed(1))
    network.linear = linear
    found, attention = network.attend(STORY, QUESTION)
    for copy in range(2):
        tables = network.tables[copy].detach().split(4, dim=1)
        times = network.times[copy].detach().split(4, dim=1)
        for row in range(2):
            state = encoded(QUESTION[row].tolist(), tables[0 if tying == "adjacent" else 2], encoding)
            for hop in range(2):
                into, out = (hop, hop + 1) if tying == "adjacent" else (0, 1)
                there = [i for i in range(3) if STORY[row, i, 0] >= 0]
                m = torch.stack(
                    [encoded(STORY[row, i].tolist(), tables[into], encoding) + times[into][i] for i in there]
                )
                c = torch.stack([encoded(STORY[row, i].tolist(), tables[out], encoding) + times[out][i] for i in there])
                p = m @ state if linear else (m @ state).softmax(dim=0)
                torch.testing.assert_close(attention[hop][copy, row][there], p, rtol=1e-4, atol=1e-4)
                state = (state if tying == "adjacent" else state @ network.between[copy].detach()) + p @ c
            last = tables[2][[1, 4]].T if tying == "adjacent" else network.answer[copy].detach()
            torch.testing.assert_close(found[copy, row].detach(), state @ last, rtol=1e-4, atol=1e-3)


def test_a_bag_of_words_has_no_order() -> None:
    turned = torch.tensor([[2, 1, 0]])
    assert torch.equal(bags(turned, 3, "words").plain, bags(turned.flip(1), 3, "words").plain)
    assert not torch.equal(bags(turned, 3, "positions").plain, bags(turned.flip(1), 3, "positions").plain)


def test_a_copy_alone_says_the_same() -> None:
    network = MemoryNetwork(5, (1, 4), 3, copies=2)
    for number in range(2):
        torch.testing.assert_close(network.copy(number)(STORY, QUESTION)[0], network(STORY, QUESTION)[number])


@pytest.mark.parametrize("options", [{"words": 0}, {"answers": ()}, {"answers": (5,)}, {"hops": -1}, {"memory": 0}])
def test_sizes_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        MemoryNetwork(**{"words": 5, "answers": (0, 1)} | options)  # pyright: ignore[reportArgumentType]  wrong on purpose

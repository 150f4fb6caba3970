"""Readers of words against a list of all words, and what a chain learns that letters alone cannot."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from lowland.data.handwritten_words import ALPHABET, Words, digit_words
from lowland.evaluation.reading import label_errors, read_lines
from lowland.shaping.base import Batch
from lowland.training.word_reading import LONGEST, Loss, neighbours, train_words, word_energy, word_shaping

K = len(ALPHABET)


def two_letters() -> Words:
    draw = torch.Generator().manual_seed(0)
    pixels = (torch.rand(2, 1, 16, 8, generator=draw) < 0.5).float()
    return Words(pixels, torch.tensor([3, 7]), torch.tensor([2]), torch.tensor([0]))


@pytest.mark.parametrize("loss", ["likelihood", "perceptron", "hinge"])
def test_losses_are_those_of_a_list_of_all_words(loss: Loss) -> None:
    words, energy = two_letters(), word_energy("ConvNet", chained=True).double()
    with torch.no_grad():
        assert energy.weight is not None
        energy.weight.copy_(torch.randn(len(energy.weight), generator=torch.Generator().manual_seed(1)))
        x = {name: part.double() for name, part in words.inputs(LONGEST).items()}
        cost = energy.encode(x)["cost"][0, :, 0]
        begin, pairs = energy.weight[K * K :], neighbours(energy)
        table = {
            (a, b): float(cost[0, a] + begin[a] + pairs[a, b] + cost[1, b])
            for a, b in itertools.product(range(K), repeat=2)
        }
        right = table[3, 7]
        wrong = min(value for word, value in table.items() if word != (3, 7))
        want = {
            "likelihood": right + math.log(sum(math.exp(-value) for value in table.values())),
            "perceptron": right - min(table.values()), "hinge": max(0.0, right - wrong + 1),
        }  # fmt: skip
        found = word_shaping(loss)(energy, Batch(energy.transcripts(words.answers), x)).losses["energy"]
    assert float(found) == pytest.approx(want[loss], rel=1e-9)
    assert float(found) > 0


def test_letters_alone_are_a_classifier_of_letters() -> None:
    words, energy = two_letters(), word_energy("linear", chained=False)
    x = words.inputs(LONGEST)
    loss = word_shaping("likelihood")(energy, Batch(energy.transcripts(words.answers), x)).losses["energy"]
    scores = -energy.encode(x)["cost"][0, :2, 0]
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(scores, words.letters, reduction="sum"))
    assert read_lines(energy, x).answers == [scores.argmax(dim=1).tolist()]


def test_a_chain_learns_what_follows_what() -> None:
    parts = digit_words(150, torch.Generator().manual_seed(0)).split(0, 0.1, torch.Generator().manual_seed(0))
    errors = {}
    for chained in (False, True):
        energy = word_energy("linear", chained)
        train_words(energy, parts["train"], "likelihood", steps=60, batch=16, rate=1e-2)
        answers = read_lines(energy, parts["test"].inputs(LONGEST)).answers
        errors[chained] = label_errors(answers, parts["test"].answers)["labels"]
        if chained:
            costs = neighbours(energy)[:10, :10]
            follow = torch.stack([costs.diagonal(), *(costs.roll(-step, 1).diagonal() for step in range(1, 10))])
            assert set(follow.mean(dim=1).argsort()[:2].tolist()) == {1, 2}  # digits that count upwards
    assert errors[True] <= errors[False]

"""The energy of masked text: the chain rule, what a word may see, and training on hidden words."""

from __future__ import annotations

import math

import pytest
import torch

from lowland.energies.masked_text import MaskedText
from lowland.errors import OptionError
from lowland.nn.cloze import ClozeTransformer
from lowland.shaping.contrastive.denoising import Masked
from lowland.training.fit import fit


@pytest.fixture
def energy() -> MaskedText:
    return MaskedText(ClozeTransformer(words=3, length=3, before=2, width=8, heads=2)).double().requires_grad_(False)


def every(energy: MaskedText) -> torch.Tensor:
    return energy.domain("y").elements(torch.float64)


def test_probabilities_of_all_lines_of_one_length_add_up_to_one(energy: MaskedText) -> None:
    """All words hidden, exp(−E) is p(y | x); with the first shown, p(rest | first, x)."""
    lines = every(energy)
    lines = lines[(lines >= 0).all(dim=1)]
    x = torch.tensor([[0.0, 1, -1, 2, 2, 2]]).double().expand(len(lines), -1)
    total = (-energy(x, lines, torch.ones_like(lines))).exp().sum()
    assert float(total) == pytest.approx(1)
    shown = torch.tensor([[0.0, 1, 1]]).double().expand(len(lines), -1)
    chances = (-energy(x, lines, shown)).exp()
    for first in range(3):
        assert float(chances[lines[:, 0] == first].sum()) == pytest.approx(1)


def test_one_hidden_word_is_predicted_from_all_others_in_one_pass(energy: MaskedText) -> None:
    y, x = torch.tensor([[2.0, 0, 1]]).double(), torch.full((1, 6), -1.0).double()
    whole = y.long()
    chances = energy.network(whole, energy.encode(x), whole >= 0).log_softmax(dim=2)
    for place in range(3):
        z = torch.nn.functional.one_hot(torch.tensor([place]), 3).double()
        assert float(energy(x, y, z)) == pytest.approx(-float(chances[0, place, whole[0, place]]))
    # The word there does not change what is said about its place, nor do words behind a place that are hidden.
    other = torch.tensor([[2, 0, 2]])
    found = energy.network(other, energy.encode(x), other >= 0).log_softmax(dim=2)
    torch.testing.assert_close(found[0, 2], chances[0, 2])
    hidden = torch.zeros(1, 3, dtype=torch.bool)
    one, two = (energy.network(line, energy.encode(x), hidden) for line in (whole, other))
    torch.testing.assert_close(one, two)


def test_the_lines_before_count_and_what_is_not_there_does_not(energy: MaskedText) -> None:
    y, z = torch.tensor([[1.0, -1, -1]]).double(), torch.ones(1, 3).double()
    none = torch.full((1, 6), -1.0).double()
    some = torch.tensor([[-1.0, -1, -1, 0, -1, -1]]).double()
    assert float(energy(none, y, z)) != float(energy(some, y, z))
    assert float(energy(none, -torch.ones_like(y), z)) == 0


def test_hidden_errors_are_scaled_to_the_whole_line(energy: MaskedText) -> None:
    y, mask = torch.tensor([[1.0, 2, -1]]).double(), torch.tensor([[0.0, 1, 1]]).double()
    x = torch.full((1, 6), -1.0).double()
    assert float(energy.hidden_error(y, mask)) == pytest.approx(2 * float(energy(x, y, 1 - mask)))


def test_training_finds_what_follows_what() -> None:
    """Words alternate, and the first is that of the line before: then a line costs next to nothing."""
    energy = MaskedText(ClozeTransformer(words=2, length=4, before=1, width=16, heads=2))
    y = torch.tensor([[0.0, 1, 0, 1], [1.0, 0, 1, 0]]).repeat(32, 1)
    x = torch.cat([y[:, :1], -torch.ones(64, 3)], dim=1)
    fit(energy, (x, y), Masked((0.0, 0.9)), max_steps=60, lr=1e-2, validation=0.0, progress=False)
    right, wrong = (energy(x[:2], lines, torch.ones(2, 4)).detach() for lines in (y[:2], y[[1, 0]]))
    assert float(right.max()) < math.log(2) < float(wrong.min())


@pytest.mark.parametrize("wrong", [{"words": 0}, {"before": 0}, {"width": 6, "heads": 4}])
def test_sizes_that_cannot_be(wrong: dict[str, int]) -> None:
    with pytest.raises(OptionError, match="ClozeTransformer"):
        ClozeTransformer(**{"words": 3, "length": 3, **wrong})

"""Scores of phrases against sums by hand."""

from __future__ import annotations

import math

import pytest
import torch

from lowland.errors import ShapeError
from lowland.nn.encoders.convnet import ConvNet
from lowland.nn.phrases import PhraseCosts, PhraseScores, SlotCosts

WORDS = torch.tensor([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0], [2.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


@pytest.mark.parametrize("places", [True, False])
def test_scores_are_sums_of_words_at_places(places: bool):
    scores = PhraseScores(ConvNet((3, 16, 16), (4, 8)), WORDS, places).eval()
    image = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found, maps = scores(image), scores.network.maps(image)
        for row in range(2):
            cells = [maps[row, :, i, j] for i in range(4) for j in range(4)]
            cells = cells if places else [torch.stack(cells).mean(dim=0)]
            for phrase in range(4):
                each = [
                    sum(
                        float(WORDS[phrase, word])
                        * float(scores.vectors.weight[word] @ cell + scores.vectors.bias[word])
                        for word in range(3)
                    )
                    for cell in cells
                ]
                wanted = math.log(sum(map(math.exp, each)) / len(each))
                assert float(found[row, phrase]) == pytest.approx(wanted, abs=1e-5)


def test_some_phrases_share_the_weights():
    scores = PhraseScores(ConvNet((3, 16, 16), (4, 8)), WORDS).eval()
    image = torch.rand(2, 3, 16, 16)
    some = scores.of(torch.tensor([True, False, True, False])).eval()
    with torch.no_grad():
        torch.testing.assert_close(some(image), scores(image)[:, [0, 2]])
    assert set(map(id, some.parameters())) == set(map(id, scores.parameters()))
    costs = PhraseCosts(scores, cells=3)(image)
    torch.testing.assert_close(costs[:, 1, :4], -scores(image))
    assert costs[:, :, 4].eq(0).all()
    with pytest.raises(ShapeError, match="words of phrases"):
        PhraseScores(ConvNet((3, 16, 16), (4, 8)), torch.zeros(3))


def test_slots_are_read_from_all_maps():
    costs = SlotCosts(ConvNet((3, 16, 16), (4, 8), pooled=False), slots=2, labels=3).eval()
    image = torch.rand(1, 3, 16, 16)
    flat = costs.network.maps(image).flatten(1)
    torch.testing.assert_close(costs(image).flatten(1), -(flat @ costs.read.weight.T + costs.read.bias))

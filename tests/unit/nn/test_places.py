"""The networks beside those of programs."""

from __future__ import annotations

import torch
from torch.nn import functional

from lowland.nn.places import DirectAnswer, PlaceScores


def test_a_place_is_seen_from_its_own_pixels_alone() -> None:
    network = PlaceScores(4, (2, 3), generator=torch.Generator().manual_seed(0))
    images = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    other = images.clone()
    other[:, :, :8, :8] = 0
    one, two = (network(functional.pixel_unshuffle(each, 8)) for each in (images, other))
    assert one.shape == (1, 7, 4, 4)
    assert not torch.allclose(one[..., 0, 0], two[..., 0, 0])
    torch.testing.assert_close(one[..., 1:, :], two[..., 1:, :])


def test_the_score_of_a_kind_is_the_sum_of_those_of_its_values() -> None:
    scores = PlaceScores(2, (2, 3))(torch.rand(1, 192, 2, 2, generator=torch.Generator().manual_seed(0)))
    kinds = scores[0, 1:].unflatten(0, (2, 3))
    torch.testing.assert_close(kinds[1] - kinds[0], (kinds[1] - kinds[0])[:1].expand(3, -1, -1))
    assert bool((scores[:, 0] == 0).all())


def test_a_direct_answer_depends_on_words_and_things_but_not_on_their_order() -> None:
    network = DirectAnswer(5, 3, (2, 3), answers=4, width=8)
    given = torch.tensor([[0.0, 2, 4, 1, 2, 0, 1, -1, -1]])
    turned = given[:, [0, 1, 2, 5, 6, 3, 4, 7, 8]]
    torch.testing.assert_close(network(given), network(turned))
    for place, value in ((0, 1.0), (3, 0.0), (7, 0.0)):
        changed = given.clone()
        changed[0, place] = value
        changed[0, 8] = 0.0 if place == 7 else -1.0
        assert not torch.allclose(network(changed), network(given))

"""Measures of representations of films, on films whose answer is known."""

from __future__ import annotations

import pytest
import torch

from lowland.errors import ShapeError
from lowland.evaluation.films import nearest_films, nearest_in_group, ridge_score, slowness


def test_slowness_is_one_where_frames_are_independent() -> None:
    """The ratio of two means over 20,000 independent squares: its deviation is below 2 %, a third of the bound."""
    codes = torch.randn(4000, 6, 1, generator=torch.Generator().manual_seed(0))
    assert slowness(codes) == pytest.approx(1.0, abs=0.06)
    assert slowness(codes[:, :1].expand(-1, 6, -1)) == 0.0


def test_slowness_needs_two_frames() -> None:
    with pytest.raises(ShapeError, match="two frames"):
        slowness(torch.zeros(3, 1, 2))


def test_a_sample_is_not_its_own_neighbour() -> None:
    assert nearest_in_group(torch.eye(4), torch.arange(4)) == 0.0


def test_the_nearest_films_are_others_and_each_is_there_once() -> None:
    """By hand: all frames of all films are compared with the first frame of each query."""
    codes = torch.randn(7, 3, 4, generator=torch.Generator().manual_seed(0))
    film, frame = nearest_films(codes, queries=2, k=6)
    unit = torch.nn.functional.normalize(codes, dim=2)
    for query in range(2):
        score = (unit @ unit[query, 0]).tolist()
        others = sorted((number for number in range(7) if number != query), key=lambda n: -max(score[n]))
        assert film[query].tolist() == others
        assert [score[f][t] for f, t in zip(film[query].tolist(), frame[query].tolist(), strict=True)] == [
            max(score[number]) for number in others
        ]


def test_ridge_regression_reads_linear_numbers_and_nothing_else() -> None:
    codes = torch.randn(400, 3, generator=torch.Generator().manual_seed(0))
    train, test = codes[:200], codes[200:]
    assert ridge_score((train, train @ torch.ones(3, 1) + 7), (test, test @ torch.ones(3, 1) + 7)) > 0.999
    assert ridge_score((train, train[:, :1].square()), (test, test[:, :1].square())) < 0.1

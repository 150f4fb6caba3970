"""Orientations of gratings are those they were drawn with, and the permutation test is exact."""

from __future__ import annotations

import pytest
import torch

from lowland.errors import ShapeError
from lowland.evaluation.orientation import agreement_by_distance, map_test, neighbour_agreement, orientation


def _gabors(angles: torch.Tensor, side: int = 12) -> torch.Tensor:
    x = torch.arange(side).double() - (side - 1) / 2
    along = angles.cos()[:, None, None] * x + angles.sin()[:, None, None] * x[:, None]
    envelope = torch.exp(-(x.square() + x[:, None].square()) / 12)
    return (torch.sin(1.4 * along + 0.3) * envelope).flatten(1)


def test_gabors_have_the_orientation_they_were_drawn_with() -> None:
    """A circular envelope leaves the power symmetric about its axis; sampling on 12 pixels costs under a degree."""
    angles = torch.linspace(-1.5, 1.5, 13).double()
    found = orientation(_gabors(angles), (12, 12))
    assert bool(((2 * (found.angle - angles)).cos() > 0.9994).all())
    assert bool((found.selectivity > 0.7).all())


def test_a_blob_has_no_orientation() -> None:
    x = torch.arange(12).double() - 5.5
    blob = torch.exp(-(x.square() + x[:, None].square()) / 8).reshape(1, -1)
    assert orientation(blob, (12, 12)).selectivity.item() < 1e-6
    assert orientation(torch.zeros(1, 144), (12, 12)).selectivity.item() == 0


def test_agreement_by_hand() -> None:
    """Neighbours beside each other at a right angle, those above each other parallel: −1 and 1."""
    angle = torch.tensor([0.0, torch.pi / 2]).repeat(2)
    assert neighbour_agreement(angle, (2, 2)).item() == pytest.approx(0, abs=1e-6)
    with pytest.raises(ShapeError):
        neighbour_agreement(angle, (2, 3))
    with pytest.raises(ShapeError):
        orientation(torch.zeros(2, 10), (3, 3))


def test_agreement_by_distance_on_columns() -> None:
    """Columns turn by 45°. Of the eight units at a distance of 1 the two above and below agree, cos 0 = 1, and the six
    in the next columns do not, cos 90° = 0. Where all are the same, the mean is 1 at every distance.
    """
    angle = (torch.arange(4) * torch.pi / 4).repeat(4)
    assert agreement_by_distance(angle, (4, 4))[0] == pytest.approx(2 / 8, abs=1e-6)
    assert agreement_by_distance(torch.full((24,), 0.3), (4, 6)) == pytest.approx([1, 1])
    with pytest.raises(ShapeError):
        agreement_by_distance(angle, (4, 5))


def test_p_is_uniform_where_there_is_no_map() -> None:
    """Over 200 random maps, the share with p ≤ 0.1 is 0.1 with a deviation of 0.021: within four of them."""
    generator = torch.Generator().manual_seed(0)
    found = [map_test(torch.rand(16, generator=generator) * torch.pi, (4, 4), 199, seed).p for seed in range(200)]
    assert sum(p <= 0.1 for p in found) / 200 == pytest.approx(0.1, abs=0.085)
    assert min(found) >= 1 / 200

"""Superpixels keep to borders, and means over them are those of each piece."""

from __future__ import annotations

import sys

import pytest
import torch

from lowland.data.superpixels import piece_means, superpixels
from lowland.errors import OptionError, ShapeError


def test_pieces_do_not_cross_the_border_of_two_colours() -> None:
    images = torch.zeros(2, 3, 24, 32)
    images[:, 0, :, 13:] = 1.0
    pieces = superpixels(images, pieces=12)
    assert pieces.shape == (2, 24, 32)
    left, right = (set(part.unique().tolist()) for part in (pieces[:, :, :13], pieces[:, :, 13:]))
    assert not left & right
    assert len(left | right) > 4


def test_means_are_those_of_each_piece(generator: torch.Generator) -> None:
    values = torch.randn(2, 4, 5, 6, generator=generator, dtype=torch.float64)
    pieces = torch.randint(3, (2, 5, 6), generator=generator)
    found = piece_means(values, pieces)
    for image in range(2):
        for piece in range(3):
            inside = pieces[image] == piece
            wanted = values[image][:, inside].mean(dim=1, keepdim=True).expand(-1, int(inside.sum()))
            torch.testing.assert_close(found[image][:, inside], wanted)


def test_what_cannot_be_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ShapeError, match="Pieces must be"):
        piece_means(torch.zeros(1, 2, 3, 4), torch.zeros(1, 4, 3).long())
    with pytest.raises(ShapeError, match="images \\(B, 3, H, W\\)"):
        superpixels(torch.zeros(1, 1, 8, 8))
    monkeypatch.setitem(sys.modules, "skimage.segmentation", None)
    with pytest.raises(OptionError, match="lowland\\[images\\]"):
        superpixels(torch.zeros(1, 3, 8, 8))

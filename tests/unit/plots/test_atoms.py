"""Pictures of atoms: what is drawn is what was given."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lowland.errors import ShapeError
from lowland.evaluation.gabor import GaborFit, locality
from lowland.plots.atoms import sums_of_atoms, wave_vectors


def test_the_largest_parts_of_a_sum_come_first() -> None:
    """Atoms are single pixels: 0.2 of the first and 0.6 of the third give the parts in the other order."""
    y, codes = torch.tensor([[0.2, 0.0, 0.6, 0.1]]), torch.tensor([[0.2, 0.0, 0.6, 0.0]])
    sheet = sums_of_atoms(torch.eye(4), codes, y, parts=2).axes[0].get_images()[0].get_array()
    assert sheet is not None
    tiles = [np.asarray(sheet[:2, 3 * place : 3 * place + 2]).flatten() for place in range(4)]
    expected = ([0.2, 0, 0.6, 0.1], [0.2, 0, 0.6, 0], [0, 0, 0.6, 0], [0.2, 0, 0, 0])
    for tile, values in zip(tiles, expected, strict=True):
        assert np.allclose(tile, np.array(values) / 0.6)


def test_only_good_fits_are_drawn_as_waves() -> None:
    number, place = torch.tensor([0.9, 0.2, 0.7]), torch.zeros(3, 2)
    angle, frequency = torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0.4, 0.5, 0.25])
    fits = GaborFit(number, frequency, angle, number, number, place, torch.zeros(3, 4))
    drawn = np.asarray(wave_vectors(fits, 0.5).axes[0].collections[0].get_offsets())
    assert np.allclose(drawn, [[0.1, 0.4], [0.3, 0.25]])


def test_atoms_too_small_to_be_local() -> None:
    with pytest.raises(ShapeError, match="less than one"):
        locality(torch.ones(3, 9))

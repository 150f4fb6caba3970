"""Energies that are made from data, or from another energy."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lowland.energies import Gaussian, SparseCoding
from lowland.errors import ShapeError
from lowland.training import load_energy, save_energy


def test_the_gaussian_of_data_has_their_mean_and_covariance() -> None:
    y = torch.randn(500, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) @ torch.rand(3, 3).double()
    gaussian = Gaussian.of(y, noise=0.5)
    torch.testing.assert_close(gaussian.mean.detach(), y.mean(dim=0))
    covariance = torch.linalg.inv(gaussian.precision.detach()) - 0.25 * torch.eye(3).double()
    torch.testing.assert_close(covariance, torch.cov(y.T, correction=0))
    with pytest.raises(ShapeError, match="noise"):
        Gaussian.of(torch.zeros(10, 3))


def test_another_sparsity_keeps_the_dictionary_and_is_saved(tmp_path: Path) -> None:
    energy = SparseCoding(6, 4, 0.1, positive=True).double()
    again = load_energy(save_energy(energy.with_sparsity(0.7), tmp_path))
    assert isinstance(again, SparseCoding)
    assert torch.equal(again.dictionary, energy.dictionary)
    assert (again.sparsity, again.positive, energy.sparsity) == (0.7, True, 0.1)

"""Whitening: uncorrelated coordinates of variance 1, along the axes of the samples."""

from __future__ import annotations

import pytest
import torch

from lowland.data.whitening import whitening
from lowland.errors import OptionError


def test_whitened_samples_have_the_identity_as_second_moment() -> None:
    generator = torch.Generator().manual_seed(0)
    y = torch.randn(200, 5, generator=generator) @ torch.randn(5, 5, generator=generator)
    found = whitening(y, 3)
    white = y @ found.matrix
    torch.testing.assert_close(white.T @ white / len(y), torch.eye(3), rtol=0, atol=1e-4)
    torch.testing.assert_close(found.axes.T @ found.axes, torch.eye(3), rtol=0, atol=1e-5)
    left = torch.linalg.svdvals(y - y @ found.axes @ found.axes.T)
    torch.testing.assert_close(left[:2], torch.linalg.svdvals(y)[3:], rtol=1e-4, atol=1e-4)
    with pytest.raises(OptionError, match="from 1 to 5"):
        whitening(y, 6)

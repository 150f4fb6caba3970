"""k-space as an energy: what cannot be."""

from __future__ import annotations

import pytest
import torch

import lowland as ll
from lowland.data.brain import phantoms
from lowland.data.fourier import fourier
from lowland.energies.kspace import KSpace
from lowland.errors import DomainError, OptionError, ShapeError, UnsupportedError
from lowland.solvers.split_bregman import SplitBregman


@pytest.mark.parametrize("options", [(0, 4), (4, 4, -1.0), (4, 4, float("nan")), (4, 4, float("inf"))])
def test_sizes_and_weights_that_cannot_be(options: tuple[float, ...]) -> None:
    with pytest.raises(OptionError, match="variation"):
        KSpace(*options)


def test_a_negative_mask_is_refused() -> None:
    x = torch.ones(1, 3, 4, 4)
    x[0, 2, 1, 1] = -1
    with pytest.raises(DomainError, match="negative numbers"):
        ll.infer(KSpace(4, 4, 0.1), x=x, over="y")


def test_a_scan_of_another_size_is_refused() -> None:
    with pytest.raises(ShapeError):
        ll.infer(KSpace(4, 4, 0.1), x=torch.ones(1, 3, 4, 5), over="y")


def test_splitting_needs_a_norm_of_a_linear_map() -> None:
    energy = KSpace(4, 4, 0.1)
    for other in (KSpace(4, 4), energy + energy):
        with pytest.raises(UnsupportedError, match="SplitBregman"):
            ll.infer(other, x=torch.ones(1, 3, 4, 4), over="y", solver=SplitBregman())
    for options in ({"rho": 0.0}, {"relaxation": 2.0}):
        with pytest.raises(OptionError, match="relaxation"):
            SplitBregman(**options)


@pytest.mark.parametrize("sides", [(16, 20), (17, 21)])
def test_a_mean_that_was_not_measured_is_zero(sides: tuple[int, int]) -> None:
    """E does not depend on it, so its minimum is that of an image whose mean was measured as 0."""
    height, width = sides
    images = phantoms(8, height, width).test
    k, mask = fourier(torch.cat([images, images], dim=1)), torch.ones(len(images), 1, height, width)
    k[:, :, height // 2, width // 2] = 0
    known = ll.infer(KSpace(height, width, 0.02), x=torch.cat([k, mask], dim=1), over="y")
    mask[:, :, height // 2, width // 2] = 0
    found = ll.infer(KSpace(height, width, 0.02), x=torch.cat([k, mask], dim=1), over="y")
    assert bool(found.converged.all())
    torch.testing.assert_close(found.energy, known.energy, rtol=1e-3, atol=1e-4)
    assert float(found.value.mean(dim=(2, 3)).abs().max()) < 1e-6

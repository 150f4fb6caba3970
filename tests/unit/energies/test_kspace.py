"""k-space as an energy: what cannot be."""

from __future__ import annotations

import pytest
import torch

import lowland as ll
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

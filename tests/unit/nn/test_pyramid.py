"""The feature pyramid: its scales, what each has seen, and its weights."""

from __future__ import annotations

import pytest
import torch

from lowland.errors import OptionError
from lowland.nn.pyramid import CellHead, FeaturePyramid


def test_fine_maps_have_seen_what_coarse_ones_see() -> None:
    """A pixel far outside the reach of the finest block changes the finest maps, by way of the coarser ones."""
    pyramid = FeaturePyramid(1, (4, 8, 8, 8), 6).eval()
    with torch.no_grad():
        image = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
        other = image.clone()
        other[0, 0, 60, 60] += 5.0
        changed = (pyramid(image)[0] != pyramid(other)[0])[0].any(dim=0)
    # The finest block alone, 3 + 2·(3 − 1)·2 + … pixels wide, reaches 12 pixels: three cells.
    assert changed[15, 15]
    assert changed[:12, :12].any()


def test_weights_come_from_the_generator() -> None:
    state = torch.get_rng_state()
    first, second = (FeaturePyramid(3, generator=torch.Generator().manual_seed(4)) for _ in range(2))
    for one, other in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_head_begins_with_its_biases() -> None:
    head = CellHead(6, 2, (-2.0, 0.5)).eval()
    told = head([torch.zeros(3, 6, 4, 4), torch.zeros(3, 6, 2, 2)])
    assert told.shape == (3, 2, 20)
    torch.testing.assert_close(told[:, 0], torch.full((3, 20), -2.0))
    torch.testing.assert_close(told[:, 1], torch.full((3, 20), 0.5))


def test_a_pyramid_without_a_scale() -> None:
    with pytest.raises(OptionError, match="one scale at least"):
        FeaturePyramid(3, (8,))

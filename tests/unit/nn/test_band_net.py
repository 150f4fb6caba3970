"""The ConvNet of long-range vision: published sizes, and one window alone as in a band."""

from __future__ import annotations

import torch

from lowland.nn.band_net import BandNet


def test_sizes_are_the_published_ones_with_zeros_and_others_without() -> None:
    bands = torch.zeros(1, 3, 36, 484)
    assert [tuple(maps.shape[1:]) for maps in BandNet(padded=True).stages(bands)] == [
        (20, 30, 484), (20, 30, 125), (100, 25, 121),
    ]  # fmt: skip
    assert [tuple(maps.shape[1:]) for maps in BandNet().stages(bands)] == [
        (20, 30, 479), (20, 30, 119), (100, 25, 115),
    ]  # fmt: skip


def test_weights_are_counted_by_hand() -> None:
    weights = sum(one.numel() for one in BandNet().parameters())
    assert weights == 20 * (3 * 7 * 6 + 1) + 100 * (20 * 6 * 5 + 1) == 62_640


def test_a_feature_of_a_band_is_that_of_its_window() -> None:
    generator = torch.Generator().manual_seed(0)
    net, band = BandNet(generator=generator), torch.randn(1, 3, 14, 61, generator=generator)
    features = net(band)
    assert features.shape == (1, 100, 3, 10)
    window = net(band[:, :, 2:14, 4 * 7 : 4 * 7 + 25])
    assert torch.allclose(features[0, :, 2, 7], window[0, :, 0, 0], atol=1e-6)

"""Features of windows, learned beforehand: standardised, and better than drawn ones where labels can be learned."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from torch import Tensor

from lowland.training.band_features import learn_features, learn_head


def striped(count: int) -> tuple[Tensor, Tensor]:
    """Windows with stripes along rows or along columns."""
    draw = torch.Generator().manual_seed(0)
    labels = torch.randint(2, (count,), generator=draw)
    row, column = torch.meshgrid(torch.arange(12.0), torch.arange(25.0), indexing="ij")
    phase = 6.3 * torch.rand(count, 1, 1, generator=draw)
    wave = torch.sin(1.5 * torch.where(labels[:, None, None] == 0, row, column) + phase)
    return (wave[:, None].expand(-1, 3, -1, -1) + 0.5 * torch.randn(count, 3, 12, 25, generator=draw)).flatten(
        1
    ), labels


@pytest.mark.parametrize("kind", ["random", "autoencoder", "labels"])
def test_features_are_standardised_and_tell_stripes_apart(kind: Literal["random", "autoencoder", "labels"]) -> None:
    windows, labels = striped(400)
    features = learn_features(kind, windows[:300], labels[:300], steps=20, batch=64)
    found = features.of(windows)
    assert torch.allclose(found[:300].mean(dim=0), torch.zeros(100), atol=1e-3)
    assert torch.allclose(found[:300].std(dim=0), torch.ones(100), atol=1e-2)
    head = learn_head(found[:300], labels[:300], steps=60)
    right = (head.network(found[300:]).argmax(dim=1) == labels[300:]).double().mean()
    assert right > 0.9


def test_the_auto_encoder_does_not_look_at_labels() -> None:
    windows, labels = striped(60)
    one, other = (learn_features("autoencoder", windows, answers, 3, 20) for answers in (labels, 1 - labels))
    assert torch.equal(one.of(windows), other.of(windows))

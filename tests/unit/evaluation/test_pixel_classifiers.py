"""Classifiers of pixels on points where each is known to succeed or to fail."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lowland.data.images import Images
from lowland.evaluation.pixel_classifiers import pixel_classifiers


def pictures(pixels: Tensor, labels: Tensor) -> Images:
    third = len(pixels) // 3
    parts = {
        name: (pixels[k * third : (k + 1) * third], labels[k * third : (k + 1) * third])
        for k, name in enumerate(("train", "validation", "test"))
    }
    tensors = {name: part[0] for name, part in parts.items()} | {
        f"{name}_labels": part[1] for name, part in parts.items()
    }
    return Images("made", "here", ("in", "out"), **tensors)


def test_a_disc_in_a_ring_is_for_neighbours_and_kernels_alone() -> None:
    draw = torch.Generator().manual_seed(0)
    angle = 2 * torch.pi * torch.rand(600, generator=draw)
    labels = (torch.rand(600, generator=draw) < 0.4).long()
    radius = 0.05 + 0.35 * labels + 0.02 * torch.randn(600, generator=draw)
    plane = 0.5 + radius[:, None] * torch.stack([angle.cos(), angle.sin()], dim=1)
    found = pixel_classifiers(pictures(plane.reshape(-1, 1, 1, 2).clamp(0, 1), labels))
    assert found["most frequent"]["error"] == pytest.approx(100 * float(labels[400:].double().mean()))
    assert found["linear"]["error"] > 25
    for name in ("neighbours", "components + neighbours", "components + SVM"):
        assert found[name]["error"] < 1
        assert found[name]["validation"] < 1


def test_a_setting_is_chosen_on_validation_images() -> None:
    """With labels of the training images wrong at every fifth place, one neighbour is worse than eighteen."""
    draw = torch.Generator().manual_seed(0)
    labels = torch.arange(600) % 2
    pixels = (0.3 + 0.4 * labels[:, None] + 0.05 * torch.randn(600, 4, generator=draw)).clamp(0, 1)
    seen = labels.clone()
    seen[:200:5] = 1 - seen[:200:5]
    found = pixel_classifiers(pictures(pixels.reshape(-1, 1, 2, 2), seen))["neighbours"]
    assert found["chosen"] != "neighbours: 1"
    assert found["error"] < 5

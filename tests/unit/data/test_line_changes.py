"""Changes of lines: each draws what it would draw alone, and a line keeps room for its text."""

from __future__ import annotations

import pytest
import torch

from lowland.data.views.lines import LineChanges
from lowland.errors import OptionError
from lowland.tensors import PerSampleRNG


def lines() -> dict[str, torch.Tensor]:
    image = torch.zeros(8, 1, 32, 120)
    image[..., 8:24, 70:74] = 1.0
    return {"image": image, "cells": torch.full((8,), 19.0)}


def test_lines_are_changed_each_by_its_own_numbers() -> None:
    x = lines()
    all_of_them = LineChanges()(x, PerSampleRNG(3, torch.arange(8)))
    alone = LineChanges()({name: part[5:6] for name, part in x.items()}, PerSampleRNG(3, torch.tensor([5])))
    assert torch.allclose(all_of_them["image"][5], alone["image"][0], atol=1e-5)
    assert not torch.equal(all_of_them["image"][0], all_of_them["image"][1])
    assert all_of_them["image"].shape == x["image"].shape


def test_a_stretched_line_gets_more_frames_and_a_shrunken_one_keeps_its_own() -> None:
    found = LineChanges(stretch=0.2, slant=0, shift=0, noise=0)(lines(), PerSampleRNG(0, torch.arange(8)))
    assert bool((found["cells"] >= 19).all())
    assert bool((found["cells"] > 19).any())
    columns = torch.arange(120.0)
    middle = (found["image"].sum(dim=(1, 2)) * columns).sum(dim=1) / found["image"].sum(dim=(1, 2, 3))
    assert bool((middle.max() > 75) & (middle.min() < 68))
    assert bool((4 * found["cells"] > middle).all())


def test_strengths_that_cannot_be() -> None:
    with pytest.raises(OptionError, match="noise"):
        LineChanges(noise=-1.0)

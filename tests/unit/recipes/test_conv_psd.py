"""The recipe `conv-psd`: windows that never overlap, filters that are seen where they are, and a page that measures."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lowland.energies import ConvolutionalSparseCoding
from lowland.errors import OptionError
from lowland.recipes import conv_psd as recipe
from lowland.recipes.base import execute, load, start


def test_contrast_does_not_matter() -> None:
    """Light and contrast of a picture are taken out: a 0.3 y + 0.2 looks like y, to single precision."""
    y = torch.rand(2, 3, 24, 30, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(recipe.normalised(0.3 * y + 0.2), recipe.normalised(y), rtol=0, atol=1e-4)


def test_a_unit_of_the_second_layer_is_seen_through_the_first() -> None:
    """A single positive code of channel 1, and one of the negative half of channel 0."""
    coding = ConvolutionalSparseCoding((1, 16, 16), n_filters=2, size=3)
    filters = torch.zeros(2, 4, 2, 2)
    filters[0, 1, 0, 0] = 1
    filters[1, 2, 1, 1] = 1
    first, second = recipe.projected(coding, filters)[:, 0]
    shapes = coding.filters.detach()[:, 0]
    torch.testing.assert_close(first[:3, :3], shapes[1], rtol=0, atol=1e-6)
    torch.testing.assert_close(second[2:5, 2:5], -shapes[0], rtol=0, atol=1e-6)


def test_filters_start_from_the_images() -> None:
    """Each is a piece of one of the images, scaled to unit norm; circular places are not among them."""
    energy = ConvolutionalSparseCoding((1, 8, 8), n_filters=3, size=4, prediction=0.1)
    y = torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    shaping = recipe.MinimumEnergy()
    with torch.no_grad():
        energy.initialise(None, y, shaping.noise(y))
    pieces = y.unfold(2, 4, 1).unfold(3, 4, 1).reshape(-1, 16)
    pieces = pieces / pieces.norm(dim=1, keepdim=True)
    nearest = (energy.filters.detach().flatten(1) @ pieces.T).amax(dim=1)
    torch.testing.assert_close(nearest, torch.ones(3))
    assert energy.encoder is not None
    assert torch.equal(energy.encoder.analysis, energy.filters)


def test_smoke(tmp_path: Path) -> None:
    run = execute(config := load("conv-psd").preset("smoke"), start(config, tmp_path, "smoke"))
    measured = {(row["claim"], row["method"]): row["measured"] for row in run.results}
    assert all(value is not None for value in measured.values())
    assert (run.folder / "report.html").is_file()
    assert {row["id"] for row in run.results} == {"S9", "S10", "S11"}


def test_bad_options() -> None:
    with pytest.raises(OptionError, match="photograph"):
        recipe.ConvPSDRecipe(data="photograph")
    with pytest.raises(OptionError, match="filters must rise"):
        recipe.ConvPSDRecipe(filters=(4, 2))

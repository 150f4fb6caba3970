"""The recipe `conv-psd`: filters that are seen where they are, and layers that learn."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from lowland.energies import ConvolutionalSparseCoding
from lowland.errors import OptionError
from lowland.evaluation.convolutional_layers import pooled_codes, pooled_features
from lowland.recipes.base import load
from lowland.reports.run import Run
from lowland.shaping.regularised.minimum_energy import MinimumEnergy


def test_a_unit_of_the_second_layer_is_seen_through_the_first() -> None:
    """A single positive code of channel 1, and one of the negative half of channel 0."""
    coding = ConvolutionalSparseCoding((1, 16, 16), n_filters=2, size=3)
    filters = torch.zeros(2, 4, 2, 2)
    filters[0, 1, 0, 0] = 1
    filters[1, 2, 1, 1] = 1
    first, second = pooled_features(coding, filters)[:, 0]
    shapes = coding.filters.detach()[:, 0]
    torch.testing.assert_close(first[:3, :3], shapes[1], rtol=0, atol=1e-6)
    torch.testing.assert_close(second[2:5, 2:5], -shapes[0], rtol=0, atol=1e-6)


def test_both_signs_of_codes_are_pooled() -> None:
    """With filters of one pixel, 1 and no sparsity to speak of, codes are the image itself."""
    coding = ConvolutionalSparseCoding((1, 4, 4), n_filters=1, size=1, sparsity=1e-6)
    coding.filters.data.fill_(1.0)
    y = torch.tensor([[1.0, -2.0, 0.0, 0.5], [3.0, 0.0, 0.0, -4.0]]).repeat(2, 1)[None, None]
    expected = torch.tensor([[[3.0, 0.5], [3.0, 0.5]], [[2.0, 4.0], [2.0, 4.0]]])
    torch.testing.assert_close(pooled_codes(coding, y)[0], expected, rtol=0, atol=1e-4)


def test_without_its_encoder_an_energy_is_the_same_but_for_the_prediction() -> None:
    energy = ConvolutionalSparseCoding((2, 8, 8), n_filters=3, size=3, sparsity=0.2, prediction=0.7, masked=True)
    bare = energy.without_encoder()
    x, y, z = torch.rand(4, 6, 8, 8, generator=torch.Generator().manual_seed(0)).split([1, 2, 3], dim=1)
    far = 0.5 * 0.7 * (z - energy.code(y, x)).square().flatten(1).sum(dim=1)
    torch.testing.assert_close(energy(x=x, y=y, z=z), bare(x=x, y=y, z=z) + far)
    assert bare.encoder is None
    assert bare.filters.data_ptr() != energy.filters.data_ptr()


def test_filters_start_from_the_images() -> None:
    """Each is a piece of one of the images, scaled to unit norm; circular places are not among them."""
    energy = ConvolutionalSparseCoding((1, 8, 8), n_filters=3, size=4, prediction=0.1)
    y = torch.randn(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    shaping = MinimumEnergy()
    with torch.no_grad():
        energy.initialise(None, y, shaping.noise(y))
    pieces = y.unfold(2, 4, 1).unfold(3, 4, 1).reshape(-1, 16)
    pieces = pieces / pieces.norm(dim=1, keepdim=True)
    nearest = (energy.filters.detach().flatten(1) @ pieces.T).amax(dim=1)
    torch.testing.assert_close(nearest, torch.ones(3))
    assert energy.encoder is not None
    assert torch.equal(energy.encoder.analysis, energy.filters)


def test_every_layer_is_compared_with_one_that_learned_nothing(smoke: Callable[[str], Run]) -> None:
    run = smoke("conv-psd")
    assert {row["id"] for row in run.results} == {"S9", "S10", "S11"}
    assert all(row["measured"] is not None for row in run.results)
    mean = run.measured.mean
    assert mean("2 learned filters", "energy") < mean("2 random filters (baseline)", "energy")  # pyright: ignore[reportOptionalOperand]
    assert mean("second layer", "second") < mean("random second layer (baseline)", "second")  # pyright: ignore[reportOptionalOperand]
    assert mean("exact", "reconstruction") < mean("zero code", "reconstruction") == 1  # pyright: ignore[reportOptionalOperand]


@pytest.mark.parametrize(("options", "match"), [
    ({"data": "photograph"}, "photographs"),
    ({"filters": (4, 2)}, "filters must rise"),
    ({"prediction": 0.0}, "prediction"),
])  # fmt: skip
def test_bad_options(options: dict[str, object], match: str) -> None:
    with pytest.raises(OptionError, match=match):
        load("conv-psd").from_options(options)

"""Distortions move ink by what they say, and no further."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lowland.data.views import Distortions
from lowland.errors import OptionError
from lowland.tensors import PerSampleRNG

NONE = {"turn": 0.0, "shear": 0.0, "scale": 0.0, "squeeze": 0.0, "shift": 0.0, "elastic": 0.0}


def blob(side: int = 28, top: int = 10, left: int = 16, size: int = 4, count: int = 64) -> Tensor:
    image = torch.zeros(count, 1, side, side)
    image[:, :, top : top + size, left : left + size] = 1
    return image


def moments(image: Tensor) -> tuple[Tensor, Tensor]:
    """Middle of the ink, (B, 2), down and across from the middle of the image, and how far it spreads, (B, 2)."""
    side = image.shape[-1]
    line = torch.arange(side) - (side - 1) / 2
    place = torch.stack(torch.meshgrid(line, line, indexing="ij"))
    share = image / image.sum(dim=(2, 3), keepdim=True)
    middle = (share * place).sum(dim=(2, 3))
    return middle, ((place - middle[:, :, None, None]).square() * share).sum(dim=(2, 3)).sqrt()


def changed(image: Tensor, seed: int = 0, **options: float) -> Tensor:
    return Distortions(**NONE | options)(image, PerSampleRNG(seed, torch.arange(len(image))))


def test_nothing_changes_without_changes() -> None:
    torch.testing.assert_close(changed(blob()), blob(), rtol=0, atol=1e-5)


def test_shifts_are_within_their_bound_and_reach_it() -> None:
    moved = moments(changed(blob(), shift=3.0))[0] - moments(blob())[0]
    assert 2.5 < moved.abs().max() <= 3 + 1e-3
    assert moved.min() < -2
    assert moved.max() > 2


def test_turns_keep_the_distance_from_the_middle() -> None:
    before, after = (moments(image)[0] for image in (blob(), changed(blob(), turn=60.0)))
    torch.testing.assert_close(after.norm(dim=1), before.norm(dim=1), rtol=0, atol=0.1)
    angle = torch.atan2(after[:, 0], after[:, 1]) - torch.atan2(before[:, 0], before[:, 1])
    assert 0.9 < angle.abs().max() <= torch.pi / 3 + 0.02


def test_shear_moves_rows_across_and_none_down() -> None:
    high = blob(top=2, left=12)
    middle = moments(changed(high, shear=0.3))[0] - moments(high)[0]
    assert middle[:, 0].abs().max() < 0.05
    # Ten rows from the middle.
    assert 2.4 < middle[:, 1].abs().max() <= 3.05


@pytest.mark.parametrize(("name", "sign"), [("scale", 1), ("squeeze", -1)])
def test_scaling_and_squeezing_change_both_sides(name: str, sign: int) -> None:
    centred = blob(top=8, left=8, size=12)
    spread = (moments(changed(centred, **{name: 0.3}))[1] / moments(centred)[1]).log()
    torch.testing.assert_close(spread[:, 0], sign * spread[:, 1], rtol=0, atol=0.03)
    assert 0.25 < spread.abs().max() < 0.33


def test_elastic_displacements_are_smooth_and_of_the_size_of_the_formula() -> None:
    """Noise of variance 1/3, blurred by a Gaussian of σ pixels, has the deviation 1 / (2 σ √(3 π)) off the borders."""
    field = Distortions(elastic=34.0)._elastic(PerSampleRNG(0, torch.arange(200)), 56, 56, 1.0)
    inner = field[:, 16:-16, 16:-16]
    expected = 34 / (2 * 4 * (3 * torch.pi) ** 0.5)
    # 200 fields with some nine independent places each: 3 % of deviation.
    assert abs(float(inner.std()) / expected - 1) < 0.1
    assert float((inner[:, 1:] - inner[:, :-1]).std()) < expected / 4


def test_other_sizes_are_changed_in_proportion() -> None:
    small = moments(changed(blob(14, 5, 8, 2), shift=3.0))[0] - moments(blob(14, 5, 8, 2))[0]
    large = moments(changed(blob(), shift=3.0))[0] - moments(blob())[0]
    torch.testing.assert_close(2 * small, large, rtol=0, atol=0.05)


def test_bad_options_get_one_sentence() -> None:
    for options in ({"turn": -1.0}, {"smooth": 0.0}, {"shift": float("inf")}):
        with pytest.raises(OptionError, match=next(iter(options))):
            Distortions(**options)

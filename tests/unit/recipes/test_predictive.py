"""Siamese verification, films, masked and damaged images: rows beside their baselines, and options that cannot be."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from lowland.data.moving_digits import moving_digits
from lowland.errors import LowlandError, OptionError, ShapeError
from lowland.evaluation.verification import all_pairs, verification
from lowland.plots.mosaic import mosaic
from lowland.recipes.base import execute, load, start

BASELINES = {"raw pixels (baseline)", "random encoder (baseline)"}


def test_ten_people_in_four_folds_leave_two_for_each_test(tmp_path: Path) -> None:
    config = dataclasses.replace(load("siamese").preset("smoke"), folds=4, steps=1)
    run = execute(config, start(config, tmp_path, "smoke"))
    assert all(row["seeds"] == 4 and row["measured"] is not None for row in run.results)


@pytest.mark.parametrize("name", ["siamese", "temporal"])
def test_results_have_baselines_and_survive_a_resume(name: str, tmp_path: Path) -> None:
    config = load(name).preset("smoke")
    run = execute(config, start(config, tmp_path, "smoke"))
    assert {row["method"] for row in run.results} >= BASELINES
    assert all(row["measured"] is not None for row in run.results)
    sorted((run.folder / "stages").rglob("*.safetensors"))[-1].unlink()
    again = execute(config, start(config, tmp_path, "smoke", resume=run.folder))
    assert again.results == run.results


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("siamese", {"data": "face"}),
        ("siamese", {"folds": 1}),
        ("siamese", {"margins": (0.0,)}),
        ("temporal", {"data": "cifar10"}),
        ("temporal", {"frames": 1}),
        ("temporal", {"rate": 0.0}),
        ("jepa", {"data": "faces"}),
        ("jepa", {"images": 10}),
        ("pretext", {"steps": 0}),
        ("pretext", {"rate": -1.0}),
    ],
)
def test_options_that_cannot_be(name: str, options: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        load(name).from_options(options)


def test_the_equal_error_rate_is_where_false_alarms_and_misses_meet() -> None:
    """Two Gaussians of deviation 1 whose means are 2 apart meet at Φ(−1) = 0.1587, half way between them.

    Of 20,000 pairs of each kind the share that is found has a deviation of 0.0026; the bound is four times that.
    """
    generator = torch.Generator().manual_seed(0)
    together = torch.arange(40_000) < 20_000
    distance = torch.randn(40_000, generator=generator) + torch.where(together, 0.0, 2.0)
    assert verification(distance, together).equal_error == pytest.approx(0.1587, abs=0.0104)


def test_verification_of_the_best_and_of_the_worst() -> None:
    together = torch.tensor([True, True, False, False])
    assert verification(torch.tensor([0.0, 1.0, 2.0, 3.0]), together).equal_error == 0.0
    assert verification(torch.tensor([3.0, 2.0, 1.0, 0.0]), together).equal_error == 1.0


@pytest.mark.parametrize(
    ("distance", "together"),
    [
        (torch.zeros(3), torch.tensor([True, False])),
        (torch.tensor([0.0, torch.nan]), torch.tensor([True, False])),
        (torch.zeros(2), torch.tensor([True, True])),
    ],
)
def test_pairs_that_cannot_be_compared(distance: torch.Tensor, together: torch.Tensor) -> None:
    with pytest.raises(LowlandError):
        verification(distance, together)


def test_all_pairs_by_cosine_do_not_see_length() -> None:
    codes, labels = torch.rand(5, 3) + 0.1, torch.tensor([0, 0, 1, 1, 2])
    far, together = all_pairs(codes, labels, cosine=True)
    torch.testing.assert_close(far, all_pairs(3 * codes, labels, cosine=True)[0], rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(far[0], 1 - torch.cosine_similarity(codes[0], codes[1], dim=0), rtol=1e-4, atol=1e-6)
    assert together.tolist() == [True] + [False] * 6 + [True] + [False] * 2


def test_a_digit_is_where_its_place_says() -> None:
    """The middle of a square of ones, to a hundredth of a pixel."""
    films = moving_digits(torch.ones(6, 1, 8, 8), side=20, frames=5)
    frames = films.frames[:, :, 0]
    pixel = torch.arange(20) + 0.5
    mass = frames.sum(dim=(2, 3))
    for axis, along in enumerate((frames.sum(dim=3), frames.sum(dim=2))):
        middle = (along * pixel).sum(dim=2) / mass
        torch.testing.assert_close(middle, 4 + 12 * films.place[:, :, axis], rtol=0, atol=0.01)
    assert bool(((films.place >= 0) & (films.place <= 1)).all())


def test_films_and_mosaics_that_cannot_be() -> None:
    with pytest.raises(ShapeError, match="square images"):
        moving_digits(torch.ones(1, 1, 8, 8), side=8)
    with pytest.raises(OptionError, match="two frames"):
        moving_digits(torch.ones(1, 1, 4, 4), frames=1)
    with pytest.raises(ShapeError, match="all alike"):
        mosaic({"a": torch.zeros(2, 1, 4, 4), "b": torch.zeros(2, 1, 5, 5)})

"""Handwriting: which images are used, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from lowland.data.handwriting import DigitPool, handwriting
from lowland.data.images import Images
from lowland.data.optical_digits import digits
from lowland.errors import DomainError, OptionError, ShapeError


def bars(generator: torch.Generator) -> Images:
    """Digit k as a bar of k + 1 columns: black for training, light for validation, grey for tests; in mixed order."""
    parts = []
    for grey in (1.0, 0.3, 0.5):
        labels = torch.arange(10).repeat(2)[torch.randperm(20, generator=generator)]
        parts += [grey * (torch.arange(14) <= labels[:, None]).float()[:, None, None].repeat(1, 1, 14, 1), labels]
    return Images("bars", "this test", tuple("0123456789"), *parts)


def test_each_character_is_an_image_of_its_digit(generator: torch.Generator) -> None:
    """The ink between two boundaries grows with the digit, by its area: heights vary by a tenth."""
    pool = DigitPool.of(bars(generator), "train")
    [image], [between] = handwriting(pool, ["3141592653589793"], generator, gap=6, noise=0)
    ink = torch.cat([torch.zeros(1), image.sum(dim=0).cumsum(0)])
    at = torch.cat([torch.zeros(1), between, torch.tensor([image.shape[1]])]).round().long()
    widths = 1 + torch.tensor([int(digit) for digit in "3141592653589793"])
    assert float(torch.corrcoef(torch.stack([ink[at].diff(), widths.float()]))[0, 1]) > 0.95


@pytest.mark.parametrize(("split", "grey"), [("train", 1.0), ("validation", 0.3), ("test", 0.5)])
def test_a_split_has_its_own_images(generator: torch.Generator, split: str, grey: float) -> None:
    images, _ = handwriting(DigitPool.of(bars(generator), split), ["10", "248"] * 20, generator, noise=0)
    # The middle rows but for the rules, which are rows of one grey from end to end.
    ink = torch.tensor([float(image[:, 4:-4][image[:, 0] == 0].max()) for image in images])
    assert 0.69 * grey < float(ink.min()) < float(ink.max()) <= grey + 1e-6
    assert float(ink.max()) > 0.9 * grey


def test_pools_of_real_digits_share_no_image() -> None:
    train, validation, test = (
        {image.numpy().tobytes() for image in DigitPool.of(digits(), split).pixels}
        for split in ("train", "validation", "test")
    )
    assert train.isdisjoint(validation | test)
    assert validation.isdisjoint(test)


def test_what_cannot_be_written(generator: torch.Generator) -> None:
    source = digits()
    pool = DigitPool.of(source, "test")
    for texts in (["12", ""], ["1a"], ["−1"]):
        with pytest.raises(OptionError, match="A line is a text of"):
            handwriting(pool, texts, generator)
    assert handwriting(pool, [], generator) == ([], [])
    with pytest.raises(OptionError, match="gap must be a number"):
        handwriting(pool, ["1"], generator, gap=float("nan"))
    with pytest.raises(OptionError, match="the digits 0 to 9"):
        DigitPool.of(replace(source, classes=tuple("abcdefghij")), "test")
    few = source.test_labels != 7
    with pytest.raises(OptionError, match="hold no 7"):
        DigitPool.of(replace(source, test=source.test[few], test_labels=source.test_labels[few]), "test")
    with pytest.raises(DomainError, match="is blank"):
        DigitPool.of(replace(source, test=source.test * (torch.arange(300) != 4)[:, None, None, None]), "test")
    colours = {split: getattr(source, split).expand(-1, 3, -1, -1) for split in ("train", "validation", "test")}
    with pytest.raises(ShapeError, match="one channel"):
        DigitPool.of(replace(source, **colours), "test")

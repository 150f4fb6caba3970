"""Films of moving digits: where the digit is, and what is refused."""

from __future__ import annotations

import pytest
import torch

from lowland.data.moving_digits import moving_digits
from lowland.errors import OptionError, ShapeError


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


def test_frames_keep_the_order_of_their_films() -> None:
    films = moving_digits(torch.rand(3, 1, 4, 4), side=8, frames=4, labels=torch.tensor([5, 1, 7]))
    frames, labels = films.labelled
    assert torch.equal(frames[4], films.frames[1, 0])
    assert labels[3:9].tolist() == [5, 1, 1, 1, 1, 7]
    before, after = films.neighbours
    assert torch.equal(before[3], films.frames[1, 0])
    assert torch.equal(after[3], films.frames[1, 1])
    with pytest.raises(OptionError, match="no labels"):
        _ = films._replace(labels=None).labelled


def test_films_that_cannot_be_made() -> None:
    with pytest.raises(ShapeError, match="square images"):
        moving_digits(torch.ones(1, 1, 8, 8), side=8)
    with pytest.raises(OptionError, match="two frames"):
        moving_digits(torch.ones(1, 1, 4, 4), frames=1)

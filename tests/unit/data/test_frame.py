"""An image of a goal is like the images of the log, or one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lowland.data.frame import read_frame
from lowland.errors import DataError


def test_a_picture_and_an_array_are_the_same(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "goal.png")
    np.save(tmp_path / "bytes.npy", pixels)
    np.save(tmp_path / "real.npy", (pixels / 255).astype(np.float32))
    picture = read_frame(tmp_path / "goal.png", (6, 5, 3))
    assert picture.shape == (3, 6, 5)
    torch.testing.assert_close(picture[:, 2, 1], torch.from_numpy(pixels[2, 1] / 255).float())
    for name in ("bytes.npy", "real.npy"):
        torch.testing.assert_close(read_frame(tmp_path / name, (6, 5, 3)), picture)


def test_what_is_no_frame(tmp_path: Path) -> None:
    for name, array in {
        "nan": np.full((2, 2, 1), np.nan),
        "large": np.full((2, 2, 1), 9.0),
        "low": -np.ones((2, 2, 1)),
    }.items():
        np.save(tmp_path / f"{name}.npy", array)
        with pytest.raises(DataError, match="not between 0 and 1"):
            read_frame(tmp_path / f"{name}.npy", (2, 2, 1))
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(DataError, match="is not a picture"):
        read_frame(tmp_path / "text.png", (2, 2, 1))
    with pytest.raises(DataError, match="missing"):
        read_frame(tmp_path / "missing.png", (2, 2, 1))

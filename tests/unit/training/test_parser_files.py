"""The card beside a network that labels pixels: its code prepares a picture as the pictures of training were."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from lowland.data.mask_folder import read_mask_folder
from lowland.training.parser_files import write_parser

HIGH, WIDE = 32, 48


class Tiny(nn.Conv2d):
    """Scores of two classes from the colours of a pixel."""

    def __init__(self) -> None:
        super().__init__(3, 2, 1)
        self.shape = (3, HIGH, WIDE)


def write(folder: Path, levels: tuple[float, float] | None) -> str:
    """Write a network into the folder; returns the code of its card."""
    write_parser(folder, Tiny(), ("a", "b"), ("0", "1"), {}, levels)
    found = re.search(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    assert found
    return found[1]


def test_the_card_prepares_pictures_as_training_did(
    tmp_path: Path, generator: torch.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "pictures"
    (folder / "masks").mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112] = 6
    levels = torch.randint(4000, (2 * WIDE, 2 * HIGH), generator=generator).numpy().astype(np.uint16)
    Image.fromarray(levels).save(folder / "deep.png", exif=exif)
    colours = torch.randint(256, (2 * HIGH, 2 * WIDE, 4), generator=generator).numpy().astype(np.uint8)
    Image.fromarray(colours).save(folder / "clear.png")
    Image.fromarray(colours[:, :, :3]).save(folder / "plain.png")
    for name in ("deep", "clear", "plain"):
        Image.fromarray(colours[:, :, 0] // 128).save(folder / "masks" / f"{name}.png")
    found = read_mask_folder(folder, size=HIGH)
    code = write(tmp_path / "card", found.levels)
    monkeypatch.chdir(tmp_path / "card")
    for name, image in zip(found.files, found.scenes.images.numpy(), strict=True):
        Path("a.jpg").write_bytes((folder / name).read_bytes())
        made: dict[str, np.ndarray] = {}
        exec(code, made)
        assert np.array_equal(made["image"][0], image.astype(np.float32) / 255), name
        assert made["labels"].shape == (HIGH, WIDE)


def test_a_card_without_levels_takes_eight_bits_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = write(tmp_path, None)
    Image.fromarray(np.zeros((HIGH, WIDE), np.uint16)).save(tmp_path / "a.jpg", "PNG")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="which levels are black and white"):
        exec(code, {})

"""Whole pictures: six in scikit-image's wheel on which restoration is measured, and any file of the user's."""

from __future__ import annotations

import io
from pathlib import Path

import torch
from torch import Tensor

from lowland.data.lookup import read
from lowland.data.source import Source
from lowland.errors import DataError

_SOURCE = Source(
    name="pictures",
    package="scikit-image",
    version="0.24 to 0.26",
    sha256={
        "camera.png": "b0793d2adda0fa6ae899c03989482bff9a42d3d5690fc7e3648f2795d730c23a",
        "coins.png": "f8d773fc9cfa6f4d8e5942dc34d0a0788fcaed2a4fefbbed0aef5398d7ef4cba",
        "brick.png": "7966caf324f6ba843118d98f7a07746d22f6a343430add0233eca5f6eaaa8fcf",
        "grass.png": "b6b6022426b38936c43a4ac09635cd78af074e90f42ffa8227ac8b7452d39f89",
        "gravel.png": "c48615b451bf1e606fbd72c0aa9f8cc0f068ab7111ef7d93bb9b0f2586440c12",
        "moon.png": "78739619d11f7eb9c165bb5d2efd4772cee557812ec847532dbb1d92ef71f577",
    },
    root="data",
    module="skimage",
)


def pictures(data_dir: str | Path | None = None) -> dict[str, Tensor]:
    """Camera, coins, brick, grass, gravel and moon by name, float32 (1, H, W) in [0, 1].

    Args:
        data_dir: folder with their files, instead of scikit-image's own.

    Raises:
        DataError: if scikit-image is not installed, or a file is not the one that was published.
    """
    found = read(_SOURCE, list(_SOURCE.sha256), data_dir).content
    return {Path(name).stem: decode(payload, name, "L") for name, payload in found.items()}


def picture(path: str | Path, grey: bool = False) -> Tensor:
    """A picture of the user's, float32 (C, H, W) in [0, 1]: one channel if it is grey, or shall be, else three.

    Raises:
        DataError: if there is no such file, or it is no picture.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"There is no picture at {path}.")
    return decode(path.read_bytes(), path.name, "L" if grey else None)


def decode(payload: bytes, name: str, mode: str | None = None) -> Tensor:
    """The pixels of a picture file, float32 (C, H, W) in [0, 1].

    Args:
        payload: the bytes of the file.
        name: of the file, for errors.
        mode: "L" for one channel, "RGB" for three, None for as many of the two as the file has colours.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(payload)) as image:
            mode = mode or ("L" if image.mode in ("1", "L", "LA", "I", "I;16", "F") else "RGB")
            pixels = image.convert(mode)
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(f"The picture {name} is truncated or damaged ({error}).") from error
    bytes_ = torch.frombuffer(bytearray(pixels.tobytes()), dtype=torch.uint8)
    return bytes_.reshape(pixels.height, pixels.width, -1).permute(2, 0, 1).float() / 255

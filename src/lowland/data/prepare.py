"""Preprocessing for an encoder: files or arrays are brought to its input shape exactly as by `lowland embed`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lowland.data.pixels import as_bytes, opened, reason, square
from lowland.data.series_files import read_one, series_in, windows
from lowland.errors import DataError, DomainError, LowlandError


class Prepare:
    """Files and arrays → float32 (N, *shape): images in [0, 1], series unchanged.

    An image is rotated by its EXIF orientation, transparent pixels become white, it is scaled with Pillow's bicubic
    filter (`ImageOps.fit` with `Image.Resampling.BICUBIC`, which antialiases) to a shorter side of `shape[-1]` pixels,
    cropped to the central square, and divided by 255. Series are cut into consecutive windows.

    Args:
        kind: "images" or "series".
        shape: of a sample, (C, H, W) or (C, T).
        levels: values of black and white for images of more than eight bits, as in the encoder's training data.

    >>> prepare = Prepare("images", (1, 16, 16))
    >>> prepare(np.full((40, 32, 3), 51, np.uint8)).shape
    torch.Size([1, 1, 16, 16])
    """

    def __init__(self, kind: str, shape: tuple[int, ...], levels: tuple[float, float] | None = None) -> None:
        self.kind, self.shape, self.levels = kind, shape, levels

    def __call__(self, source: Any, levels: Sequence[float] | None = None) -> Tensor:
        """Samples from a file, an array, or a list of them.

        Args:
            source: the path of an image or of a series (.npy, .csv); an image array (H, W) or (H, W, C) of bytes, of
                integers with `levels`, or of real numbers in [0, 1]; a series array (T,), (T, C) or (N, T, C); or a
                list of paths and arrays.
            levels: values of black and white, instead of the encoder's own.

        Raises:
            DataError: for a file that cannot be read.
            DomainError: for an array that is neither image nor series, or with unknown levels.
        """
        if isinstance(source, list | tuple):
            return torch.cat([self(one, levels) for one in source])
        scale = self.levels if levels is None else (float(levels[0]), float(levels[1]))
        path = Path(source) if isinstance(source, str | Path) else None
        try:
            if self.kind != "images":
                return self._windows(series_in(np.asarray(source)) if path is None else read_one(path)[0])
            if path is None:
                return self._square(picture_of(np.asarray(source), scale), scale)
            with opened(path) as image:
                return self._square(image, scale)
        except LowlandError:
            raise
        except Exception as error:
            if path is not None:
                raise DataError(f"{path} {reason(error)}.") from error
            raise DomainError(f"The array cannot be prepared: {error}.") from error

    @property
    def text(self) -> str:
        """A description of the preprocessing, for model cards."""
        if self.kind != "images":
            return f"cut into windows of {self.shape[-1]} steps, one after another; series as they are in the files"
        deep = ""
        if self.levels is not None:
            black, white = self.levels
            deep = f"pictures of more than 8 bits: level {black:g} is black, {white:g} white, rounded to bytes; "
        side, colours = self.shape[-1], "grey (L)" if self.shape[0] == 1 else "RGB"
        return (
            f"{deep}turned as the camera says; transparent pixels white; {colours}; Pillow's ImageOps.fit to "
            f"{side} × {side} with Image.Resampling.BICUBIC (antialiased), the middle; bytes / 255"
        )

    def check(self, sample: Tensor) -> None:
        """Raise a DomainError for images outside [0, 1], such as bytes from 0 to 255 converted to floats."""
        if self.kind == "images" and not bool(((sample >= 0) & (sample <= 1)).all()):
            raise DomainError(
                f"The encoder takes images in [0, 1], but these go from {float(sample.min()):g} to "
                f"{float(sample.max()):g}: divide bytes by 255, or let encoder.prepare(path or array) make them."
            )

    def _square(self, image: Any, levels: tuple[float, float] | None) -> Tensor:
        return square(image, self.shape[-1], self.shape[0], levels)[None].float() / 255

    def _windows(self, found: list[np.ndarray]) -> Tensor:
        for one in found:
            if one.shape[1] != self.shape[0]:
                raise ValueError(f"it has {one.shape[1]} channels, but the encoder takes {self.shape[0]}")
            if len(one) < self.shape[1]:
                raise ValueError(f"it has {len(one)} time steps, fewer than a window of {self.shape[1]}")
        return torch.cat([windows(one, self.shape[1]) for one in found])


def picture_of(array: np.ndarray, levels: tuple[float, float] | None) -> Any:
    """A Pillow image from an array (H, W) or (H, W, C).

    Raises:
        ValueError: for an array of another shape or dtype, or real numbers outside [0, 1] without levels.
    """
    from PIL import Image

    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)) or not array.size:
        raise ValueError(f"a picture is (H, W) or (H, W, C) with 1, 3 or 4 channels, but the shape is {array.shape}")
    if array.dtype.kind not in "biuf":
        raise ValueError(f"a picture is of numbers, not of {array.dtype}")
    if array.dtype.kind == "b":
        array = array.astype(np.uint8) * np.uint8(255)
    elif array.dtype != np.uint8:
        if levels is None and array.dtype.kind == "f":
            levels = (0.0, 1.0)
            if not ((array >= 0) & (array <= 1)).all():
                raise ValueError("its real numbers do not lie in [0, 1]: say which levels are black and white")
        array = as_bytes(array, levels)
    return Image.fromarray(array[..., 0] if array.ndim == 3 and array.shape[2] == 1 else array)

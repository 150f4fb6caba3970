"""Picture files of any size and mode as squares of one size."""

from __future__ import annotations

import statistics
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lowland.errors import OptionError

IMAGES = frozenset(
    (".avif", ".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
)
"""Suffixes that are taken for pictures."""
_LARGEST = 48
_SMALLEST = 16
_GREY = ("1", "L", "LA", "La", "I", "F")
Header = tuple[bool, int, int]
"""Whether a picture is grey, its shorter and its longer side."""
Read = tuple[Tensor, list[tuple[str, int]], list[tuple[str, str]], list[str]]


def read_images(root: Path, files: list[Path], size: int, channels: int) -> Read:
    """The pictures as uint8 (N, C, H, W), where each came from, what could not be read and why, and notes.

    Headers are read first, because the size and the number of colours are those of the whole folder.

    Raises:
        OptionError: for a size below 16 pixels, or one at which the images do not fit into memory.
    """
    from PIL import Image

    if 0 < size < _SMALLEST:
        raise OptionError(f"Images need a size of at least {_SMALLEST} pixels, not {size}.")
    good: dict[str, Header] = {}
    skipped: list[tuple[str, str]] = []
    for path in files:
        with _reasons(path.relative_to(root).as_posix(), skipped) as name, Image.open(path) as image:
            good[name] = (image.mode.split(";")[0] in _GREY, min(image.size), max(image.size))
    if not good:
        return torch.empty((0, 1, 1, 1), dtype=torch.uint8), [], skipped, []
    channels = channels or (1 if all(grey for grey, _, _ in good.values()) else 3)
    side = statistics.median([short for _, short, _ in good.values()])
    size = size or max(_SMALLEST, min(_LARGEST, round(side)))
    try:
        values, places = torch.empty((len(good), channels, size, size), dtype=torch.uint8), []
    except RuntimeError:
        raise OptionError(f"{len(good):,} images of {size:,} pixels do not fit into memory: lower --size.") from None
    for file in good:
        with _reasons(file, skipped) as name:
            values[len(places)] = _square(root / name, size, channels)
            places.append((name, 0))
    return values[: len(places)], places, skipped, _notes([good[name] for name, _ in places], size, channels)


@contextmanager
def _reasons(name: str, skipped: list[tuple[str, str]]) -> Iterator[str]:
    """What goes wrong with a file inside of the block is put down as the reason to leave it out.

    So are warnings of Pillow, such as that on a picture of absurd size.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield name
    except Exception as error:  # noqa: BLE001  a damaged picture fails in many ways
        skipped.append((name, _reason(error)))


def _notes(good: list[Header], size: int, channels: int) -> list[str]:
    notes = []
    grey, small = sum(is_grey for is_grey, _, _ in good), sum(short < size for _, short, _ in good)
    if channels == 3 and grey:
        notes.append(f"{grey:,} of {len(good):,} images are grey among colour: they were converted to colour.")
    if channels == 1 and grey < len(good):
        notes.append(f"{len(good) - grey:,} of {len(good):,} images have colours: they were converted to grey.")
    if any((short, long) != (size, size) for _, short, long in good):
        notes.append(f"Images were scaled to a shorter side of {size} pixels and cut to a square in the middle.")
    if small:
        notes.append(f"{small:,} of {len(good):,} images are smaller than {size} pixels: they were enlarged.")
    return notes


def _square(path: Path, size: int, channels: int) -> Tensor:
    from PIL import Image, ImageOps

    with Image.open(path) as opened:
        # A JPEG is decoded at the scale that is needed, which is most of the time of a large photograph.
        opened.draft(None, (2 * size, 2 * size))
        image: Any = ImageOps.exif_transpose(opened)
        if image.mode in ("I", "F") or image.mode.startswith("I;"):
            image = Image.fromarray(_bytes(np.asarray(image)))
        if image.mode in ("P", "PA", "LA", "La", "RGBA", "RGBa") or "transparency" in image.info:
            image = image.convert("RGBA")
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
        image = image.convert("L" if channels == 1 else "RGB")
        image = ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
    pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return pixels.reshape(size, size, channels).permute(2, 0, 1)


def _bytes(levels: np.ndarray) -> np.ndarray:
    """Grey levels of more than eight bits, or real numbers in [0, 1], as bytes."""
    if not np.isfinite(levels).all():
        raise ValueError("it has pixels that are not finite")
    top = float(levels.max(initial=0))
    white = 1.0 if levels.dtype.kind == "f" and top <= 1 else 255.0 if top <= 255 else max(65535.0, top)
    return np.round(np.clip(levels / white, 0, 1) * 255).astype(np.uint8)


def _reason(error: Exception) -> str:
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "is not a picture, or is damaged"
    if isinstance(error, OSError) and error.strerror:
        return f"could not be opened ({error.strerror})"
    return f"could not be read ({' '.join(str(error).split()) or type(error).__name__})".replace(".)", ")")

"""Decodes one image file: the reader of every command that takes user images.

Eight-bit images are read unchanged. More bits, or real numbers, need a scale: which level is black and which is white.
All images of a set share one scale, given by the user or chosen by `levels_of`; it is never chosen per image.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lowland.errors import DataError, OptionError
from lowland.files import regular
from lowland.quiet import warnings_from

FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""Formats to try, by Pillow's names; its other formats start external programs or are not images."""
MOST = 2**25
"""Pixels of the largest image to decode, 8K; a JPEG is decoded at the scale needed."""
_OUTLIERS = 0.001
_FEW = 32
_PIECE_OF_LEVELS = 2**22


@contextmanager
def opened(source: Path | bytes) -> Iterator[Any]:
    """A Pillow image with only the header read.

    Inside the block Pillow's warnings, such as those about damaged metadata, are errors, in this thread only.

    Raises:
        DataError: if it is not a regular file.
        DecompressionBombError: for an image of more than `Image.MAX_IMAGE_PIXELS` pixels.
        Exception: nearly any, also inside the block, for a damaged image: see `reason`.
    """
    from PIL import Image

    with (
        warnings_from(r"PIL\b", "error"),
        Image.open(BytesIO(source) if isinstance(source, bytes) else regular(source), formats=FORMATS) as image,
    ):
        if image.width * image.height > (Image.MAX_IMAGE_PIXELS or math.inf):  # Pillow itself allows twice as many
            raise Image.DecompressionBombError
        yield image


def reason(error: Exception, name: str = "") -> str:
    """Why an image or another file cannot be used, as text to follow its name.

    >>> reason(ValueError("it has pixels that are not finite."))
    'could not be read (it has pixels that are not finite)'
    """
    from PIL import Image, UnidentifiedImageError

    text = " ".join(str(error).split())
    if isinstance(error, UnidentifiedImageError):
        return "is not a picture, or is damaged"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"has more than {Image.MAX_IMAGE_PIXELS:,} pixels: scale it down"
    if isinstance(error, DataError) and name and text.startswith(name):
        return text.removeprefix(name).strip().rstrip(".")
    if isinstance(error, OSError) and error.strerror:
        return f"could not be opened ({error.strerror})"
    if type(error) is OSError:  # as Pillow has it
        return f"is truncated or damaged ({text.rstrip('.')})".replace(".)", ")")
    return f"could not be read ({text.rstrip('.') or type(error).__name__})".replace(".)", ")")


def is_grey(image: Any) -> bool:
    """Whether an image has one channel, apart from transparency."""
    return image.mode.split(";")[0] in ("1", "L", "LA", "La", "I", "F")


def depth(image: Any) -> str:
    """The kind of levels of an image: "" for bytes, "whole" for more bits, "real" for real numbers."""
    return "real" if image.mode == "F" else "whole" if image.mode == "I" or image.mode.startswith("I;") else ""


def span(image: Any) -> tuple[float, float]:
    """The range of levels without the outermost thousandth at each end, which may be dead or hot pixels.

    Raises:
        ValueError: for an image that is too large or has non-finite pixels.
    """
    _check_size(image)
    levels = np.asarray(image).reshape(-1)
    if not np.isfinite(levels).all():
        raise ValueError("it has pixels that are not finite")
    last = len(levels) - 1
    ends = sorted({math.ceil(last * _OUTLIERS), math.floor(last * (1 - _OUTLIERS))})
    ordered = np.partition(levels, ends)
    return float(ordered[ends[0]]), float(ordered[ends[-1]])


def levels_of(spans: Sequence[tuple[float, float]], kind: str) -> tuple[float, float]:
    """Values of black and white for a set of images: 0, and the largest level of a usual scale.

    Integers have 8 bits, or as many more as needed. Real numbers lie in [0, 1] or on such an integer scale; if they
    would fill less than an eighth of it, white is the smallest power of two above them. With negative levels, black is
    minus the smallest power of two that covers them.

    Args:
        spans: of each image, from `span`.
        kind: "whole" or "real".

    >>> levels_of([(3.0, 300.0), (0.0, 4012.0)], "whole"), levels_of([(0.1, 0.9)], "real")
    ((0.0, 4095.0), (0.0, 1.0))
    """
    low, high = min(part[0] for part in spans), max(part[1] for part in spans)
    white = 1.0 if kind == "real" and high <= 1 else 2.0 ** max(8, int(max(high, 0)).bit_length()) - 1
    if kind == "real" and 0 < high < white / 8:
        white = 2.0 ** math.ceil(math.log2(high))
    return (-(2.0 ** math.ceil(math.log2(-low))) if low < 0 else 0.0), white


def one_scale(spans: Mapping[str, Sequence[tuple[float, float]]]) -> tuple[float, float] | None:
    """Values of black and white from the spans of all images, by kind of levels; None if all have bytes.

    Raises:
        DataError: if some have integer and others real levels.
    """
    found = {kind: part for kind, part in spans.items() if kind and part}
    if len(found) > 1:
        raise DataError(
            f"{len(found['whole']):,} pictures have more than 8 bits and {len(found['real']):,} have real numbers: "
            "no one scale fits both. Keep them apart, or give the levels of black and white."
        )
    return next((levels_of(part, kind) for kind, part in found.items()), None)


def check_levels(levels: Sequence[float]) -> tuple[float, float] | None:
    """Values of black and white as given by a user, or None for ().

    Raises:
        OptionError: unless these are two finite numbers, the first below the second.
    """
    if not len(levels):
        return None
    if len(levels) != 2 or not -math.inf < levels[0] < levels[1] < math.inf:
        raise OptionError(
            f"levels must be two numbers, that of black below that of white, such as 0 4095, not {tuple(levels)}."
        )
    return (float(levels[0]), float(levels[1]))


def unit(levels: np.ndarray, scale: tuple[float, float]) -> np.ndarray:
    """Levels as float32, 0 for black and below, 1 for white and above."""
    found = np.empty(levels.shape, np.float32)
    step = max(1, _PIECE_OF_LEVELS // max(1, levels[:1].size))
    for start in range(0, len(levels), step):  # in chunks, to save memory
        part = levels[start : start + step].astype(np.float64)
        found[start : start + step] = np.clip((part - scale[0]) / (scale[1] - scale[0]), 0, 1)
    return found


def upright(image: Any, levels: tuple[float, float] | None) -> Any:
    """The image as bytes, grey or in colour, rotated by its EXIF orientation, with transparent pixels white.

    Args:
        image: a Pillow image. levels: values of black and white for more than eight bits.

    Raises:
        ValueError: for an image that is too large or too dark to be read, or with unknown levels.
    """
    from PIL import Image, ImageOps

    _check_size(image)
    cut = ";16" in str(image.tile[0].args) if getattr(image, "tile", None) and not depth(image) else False
    ImageOps.exif_transpose(image, in_place=True)  # a copy would double the memory
    if depth(image):
        image = Image.fromarray(as_bytes(np.asarray(image), levels))
    elif cut and max(_tops(image)) < _FEW:
        raise ValueError("it has 16 bits for each colour, of which only the upper 8 are read, and they hold little")
    if image.mode in ("P", "PA", "LA", "La", "RGBA", "RGBa") or "transparency" in image.info:
        image = image if image.mode == "RGBA" else image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image


def as_bytes(levels: np.ndarray, scale: tuple[float, float] | None) -> np.ndarray:
    """Levels as bytes, by their scale.

    Raises:
        ValueError: without a scale, or for levels that are not finite.
    """
    if scale is None:
        raise ValueError("it has more than 8 bits or real numbers: say which levels are black and white")
    if not np.isfinite(levels).all():
        raise ValueError("it has pixels that are not finite")
    return np.round(unit(levels, scale) * 255).astype(np.uint8)


def square(image: Any, size: int, channels: int, levels: tuple[float, float] | None = None) -> Tensor:
    """A Pillow image as uint8 (channels, size, size): `upright`, scaled by its shorter side, cropped to the centre.

    The filter is Pillow's bicubic one (`Image.Resampling.BICUBIC`), which antialiases.
    """
    from PIL import Image, ImageOps

    # A JPEG is decoded at the scale needed: decoding dominates the time for a large photograph.
    if hasattr(image, "draft"):
        image.draft(None, (2 * size, 2 * size))
    image = upright(image, levels).convert("L" if channels == 1 else "RGB")
    image = ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
    pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return pixels.reshape(size, size, channels).permute(2, 0, 1)


def _check_size(image: Any) -> None:
    if image.width * image.height > MOST:
        raise ValueError(f"it has {image.width * image.height:,} pixels, more than {MOST:,}: scale it down")


def _tops(image: Any) -> list[int]:
    """The largest byte of each channel."""
    ends = image.getextrema()
    return [int(top) for _, top in (ends if isinstance(ends[0], tuple) else (ends,))][:3]

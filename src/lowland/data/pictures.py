"""Whole images: six from scikit-image's wheel, used to evaluate restoration, and user files."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lowland.data.lookup import read
from lowland.data.picture_files import scale_note
from lowland.data.pixels import depth, is_grey, levels_of, one_scale, opened, reason, span, unit, upright
from lowland.data.source import Source
from lowland.errors import DataError, LowlandError, OptionError

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
        DataError: if scikit-image is not installed, or a file is not the published one.
    """
    found = read(_SOURCE, list(_SOURCE.sha256), data_dir).content
    return {Path(name).stem: decode(payload, name, "L") for name, payload in found.items()}


def pictures_named(names: Sequence[str]) -> dict[str, Tensor]:
    """Some of `pictures`.

    Raises:
        OptionError: for a name that none of them has, or no name.

    >>> {name: tuple(pixels.shape) for name, pixels in pictures_named(["camera"]).items()}
    {'camera': (1, 512, 512)}
    """
    known = pictures()
    unknown = sorted(set(names) - set(known))
    if unknown or not names:
        raise OptionError(f"There is no picture called {', '.join(unknown) or 'nothing'}: {', '.join(known)}.")
    return {name: known[name] for name in names}


def sides(image: Tensor) -> str:
    """Height and width of a picture (C, H, W), as text.

    >>> sides(torch.zeros(3, 5, 7))
    '5 × 7'
    """
    return f"{image.shape[1]} × {image.shape[2]}"


def middle(image: Tensor, side: int) -> Tensor:
    """The middle of a picture (C, H, W), at most so many pixels a side.

    >>> middle(torch.zeros(1, 9, 4), 5).shape
    torch.Size([1, 5, 4])
    """
    top, left = ((length - min(length, side)) // 2 for length in image.shape[1:])
    return image[:, top : top + side, left : left + side]


def picture(path: str | Path, grey: bool = False, levels: tuple[float, float] | None = None) -> Tensor:
    """A user's image, float32 (C, H, W) in [0, 1]: one channel if it is grey or `grey` is set, else three.

    It is rotated by its EXIF orientation, and transparent pixels become white. More than eight bits, or real numbers,
    are kept.

    Args:
        levels: values of black and white for such an image; by default chosen by `levels_of`.

    Raises:
        DataError: if there is no such file, it is not an image, or it has more than 33 million pixels.
    """
    path = Path(path)
    if not os.path.lexists(path):
        raise DataError(f"There is no picture at {path}.")
    return decode(path, path.name, "L" if grey else None, levels)


def decode(
    source: bytes | Path, name: str, mode: str | None = None, levels: tuple[float, float] | None = None
) -> Tensor:
    """The pixels of an image file, float32 (C, H, W) in [0, 1].

    Args:
        source: the file, or its bytes.
        name: of the file, for errors.
        mode: "L" for one channel, "RGB" for three, None to choose by the file.
        levels: values of black and white for more than eight bits; others have 0 and 255.
    """
    from PIL import ImageOps

    try:
        with opened(source) as image:
            wanted = mode or ("L" if is_grey(image) else "RGB")
            if kind := depth(image):
                scale = levels or levels_of([span(image)], kind)
                ImageOps.exif_transpose(image, in_place=True)
                grey_HW = unit(np.asarray(image), scale)
                return torch.from_numpy(grey_HW).expand(1 if wanted == "L" else 3, -1, -1).contiguous()
            bytes_ = np.asarray(upright(image, None).convert(wanted))
    except LowlandError:
        raise
    except Exception as error:
        raise DataError(f"The picture {name} {reason(error)}.") from error
    values_CHW = torch.empty(1 if bytes_.ndim == 2 else bytes_.shape[2], *bytes_.shape[:2])
    values_CHW.numpy()[...] = bytes_.reshape(*bytes_.shape[:2], -1).transpose(2, 0, 1)
    return values_CHW.div_(255)


def scale(
    sources: Mapping[str, bytes | Path], levels: tuple[float, float] | None = None
) -> tuple[tuple[float, float] | None, str]:
    """Values of black and white for the images with more than eight bits, and a sentence on them.

    Args:
        levels: as given; None to choose from the images.

    Returns:
        None and no sentence if all have eight bits.

    Raises:
        DataError: for an image that cannot be read, or if some have integer and others real levels.
        OptionError: for levels if all have eight bits.
    """
    spans: dict[str, list[tuple[float, float]]] = {}
    for name, source in sources.items():
        try:
            with opened(source) as image:
                if kind := depth(image):
                    spans.setdefault(kind, []).append((0.0, 0.0) if levels else span(image))
        except LowlandError:
            raise
        except Exception as error:
            raise DataError(f"The picture {name} {reason(error)}.") from error
    if not spans:
        if levels:
            raise OptionError(f"{', '.join(sources)}: the levels of 8 bits are 0 and 255: leave out levels.")
        return None, ""
    chosen = levels or one_scale(spans)
    assert chosen is not None
    many = sum(map(len, spans.values()))
    who = f"{next(iter(sources))} has" if len(sources) == 1 else f"{many:,} of {len(sources):,} pictures have"
    return chosen, f"{who} {scale_note(next(iter(spans)), chosen, levels is None)}"

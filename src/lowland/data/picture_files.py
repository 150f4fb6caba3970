"""Image files of any size and mode as squares of one size."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from lowland.data.pixels import depth, is_grey, one_scale, opened, reason, span, square
from lowland.errors import OptionError

IMAGES = frozenset(
    (".avif", ".bmp", ".gif", ".jp2", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
)
"""Suffixes of image files."""
_LARGEST = 48
_SMALLEST = 16
_SAID_EVERY = 100


class Header(NamedTuple):
    """What is known about an image before decoding: grey or not, its sides, and its levels if not bytes."""

    grey: bool
    short: int
    long: int
    kind: str
    span: tuple[float, float]


class Read(NamedTuple):
    """Samples, where each came from (file and first time step), what was left out and why, notes, and levels."""

    values: Tensor
    places: list[tuple[str, int]]
    skipped: list[tuple[str, str]]
    notes: list[str]
    levels: tuple[float, float] | None = None


def read_images(
    files: dict[str, Path],
    size: int,
    channels: int,
    levels: tuple[float, float] | None = None,
    watch: Callable[[str], None] = lambda text: None,
) -> Read:
    """The images as uint8 (N, C, H, W).

    Headers are read first, because size, number of channels and scale of levels are common to the whole folder. Only
    the result grows with the number of images.

    Args:
        files: by display name.
        size, channels: of the result, or 0 to choose.
        levels: values of black and white for images of more than eight bits, or None.
        watch: called with a line of progress.

    Raises:
        OptionError: for a size below 16 pixels, or one at which the images do not fit into memory.
        DataError: if no common scale can be found.
    """
    if 0 < size < _SMALLEST:
        raise OptionError(f"Images need a size of at least {_SMALLEST} pixels, not {size}.")
    good: dict[str, Header] = {}
    skipped: list[tuple[str, str]] = []
    for number, (name, path) in enumerate(files.items()):
        if number % _SAID_EVERY == 0:
            watch(f"headers of pictures: {number:,} of {len(files):,}")
        with _reasons(name, path, skipped), opened(path) as image:
            ends = span(image) if (kind := depth(image)) and levels is None else (0.0, 0.0)
            good[name] = Header(is_grey(image), min(image.size), max(image.size), kind, ends)
    if not good:
        return Read(torch.empty((0, 1, 1, 1), dtype=torch.uint8), [], skipped, [])
    given, kinds = levels, {one.kind for one in good.values() if one.kind}
    held = {kind: [one.span for one in good.values() if one.kind == kind] for kind in kinds}
    levels = None if not kinds else given or one_scale(held)
    channels = channels or (1 if all(one.grey for one in good.values()) else 3)
    size = size or max(_SMALLEST, min(_LARGEST, round(statistics.median([one.short for one in good.values()]))))
    try:
        values, places = torch.empty((len(good), channels, size, size), dtype=torch.uint8), []
    except RuntimeError:
        raise OptionError(f"{len(good):,} images of {size:,} pixels do not fit into memory: lower --size.") from None
    for number, name in enumerate(good):
        if number % _SAID_EVERY == 0:
            watch(f"pictures: {number:,} of {len(good):,}")
        with _reasons(name, files[name], skipped), opened(files[name]) as image:
            values[len(places)] = square(image, size, channels, levels)
            places.append((name, 0))
    used = [good[name] for name, _ in places]
    return Read(values[: len(places)], places, skipped, _notes(used, size, channels, levels, given is None), levels)


@contextmanager
def _reasons(name: str, path: Path, skipped: list[tuple[str, str]]) -> Iterator[None]:
    """Record an error inside the block as the reason to leave the file out."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  a damaged picture fails in many ways
        skipped.append((name, reason(error, str(path))))


def _notes(good: list[Header], size: int, channels: int, levels: tuple[float, float] | None, chosen: bool) -> list[str]:
    notes = []
    grey, small = sum(one.grey for one in good), sum(one.short < size for one in good)
    if levels is not None and (deep := [one for one in good if one.kind]):
        notes.append(f"{len(deep):,} of {len(good):,} images have {scale_note(deep[0].kind, levels, chosen)}")
    if channels == 3 and grey:
        notes.append(f"{grey:,} of {len(good):,} images are grey among colour: they were converted to colour.")
    if channels == 1 and grey < len(good):
        notes.append(f"{len(good) - grey:,} of {len(good):,} images have colours: they were converted to grey.")
    if any((one.short, one.long) != (size, size) for one in good):
        notes.append(f"Images were scaled to a shorter side of {size} pixels and cut to a square in the middle.")
    if small:
        notes.append(f"{small:,} of {len(good):,} images are smaller than {size} pixels: they were enlarged.")
    return notes


def scale_note(kind: str, levels: tuple[float, float], chosen: bool) -> str:
    """How levels that are not bytes were interpreted, as the end of a sentence; `chosen` if the user gave none.

    >>> scale_note("whole", (0.0, 4095.0), True)
    'more than 8 bits: level 0 was taken for black and 4,095 for white, by what they hold; --levels gives others.'
    """
    what = "more than 8 bits" if kind == "whole" else "real numbers"
    black, white = (f"{level:,.6g}" if abs(level) < 1e6 else f"{level:g}" for level in levels)
    how = ", by what they hold; --levels gives others" if chosen else ""
    return f"{what}: level {black} was taken for black and {white} for white{how}."

"""Small NORB, from files that you have: stereo photographs of toys in five categories (system V7).

Format of a file: a magic number that says the type, the number of axes, at least three sizes, then the numbers in row
order, all little-endian (LeCun, Huang & Bottou 2004; "The small NORB dataset").
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from lowland.bounded import read_bytes, unzip
from lowland.data.images import Images
from lowland.errors import DataError

CLASSES = ("animals", "humans", "airplanes", "trucks", "cars")
_TYPES = {0x1E3D4C51: "<f4", 0x1E3D4C53: "<f8", 0x1E3D4C54: "<i4", 0x1E3D4C55: "<u1", 0x1E3D4C56: "<i2"}
_PARTS = {
    "train": "smallnorb-5x46789x9x18x6x2x96x96-training-{}.mat",
    "test": "smallnorb-5x01235x9x18x6x2x96x96-testing-{}.mat",
}
_SHRINK, _HELD = 3, 9
_CHUNK = 512


def read_matrix(payload: bytes, name: str, axes: int) -> Tensor:
    """The tensor in a file of the binary matrix format, gzipped or not.

    Args:
        payload: the whole file.
        name: of the file, for errors.
        axes: how many it should have.

    Raises:
        DataError: for another format or number of axes, or a file that is truncated or too long.

    >>> head = (0x1E3D4C55).to_bytes(4, "little") + b"".join(n.to_bytes(4, "little") for n in (1, 2, 1, 1))
    >>> read_matrix(head + bytes([7, 8]), "tiny", axes=1)
    tensor([7, 8], dtype=torch.uint8)
    """
    payload = unzip(payload, name)
    numbers = np.frombuffer(payload[: len(payload) // 4 * 4], "<u4", count=min(len(payload) // 4, 2 + max(3, axes)))
    if len(numbers) < 2 + max(3, axes) or int(numbers[0]) not in _TYPES:
        raise DataError(f"{name} is no file of the binary matrix format: it begins with {payload[:4].hex(' ')}.")
    if numbers[1] != axes:
        raise DataError(f"{name} should have {axes} axes, but its header announces {numbers[1]}.")
    dtype, sizes = np.dtype(_TYPES[int(numbers[0])]), [int(size) for size in numbers[2 : 2 + axes]]
    start = 4 * len(numbers)
    announced, held = math.prod(sizes) * dtype.itemsize, len(payload) - start
    if held != announced:
        raise DataError(
            f"{name} is {'truncated' if held < announced else 'too long'}: its header announces "
            f"{' × '.join(map(str, sizes))} numbers ({announced} bytes), but {held} bytes follow. Get it again."
        )
    found = np.frombuffer(payload, dtype, offset=start).reshape(sizes)
    return torch.from_numpy(found.astype(dtype.newbyteorder("=")))


def small_norb(folder: str | Path) -> Images:
    """Small NORB as pairs of 32 × 32 pixels, each the mean of 3 × 3; toy 9 of each category is for validation.

    There are 19,440 pairs to learn from, 4,860 for validation and 24,300, of other toys, for tests.

    Args:
        folder: with the six files, `…-training-dat.mat`, `-cat.mat`, `-info.mat` and those of testing, gzipped or not.

    Raises:
        DataError: for missing or damaged files, or files that do not fit each other.
    """
    found: dict[str, Tensor] = {}
    for part, pattern in _PARTS.items():
        pairs, labels, info = (_read(Path(folder), pattern.format(what), axes) for what, axes in _AXES.items())
        if pairs.shape[1] != 2 or not len(pairs) == len(labels) == len(info) or info.shape[1] != 4:
            raise DataError(
                f"{pattern.format('…')} in {folder} do not fit: pairs {tuple(pairs.shape)}, categories "
                f"{tuple(labels.shape)}, toys and views {tuple(info.shape)}."
            )
        if not 0 <= labels.min() <= labels.max() < len(CLASSES):
            raise DataError(f"{pattern.format('cat')} has categories other than 0 to {len(CLASSES) - 1}.")
        small = torch.cat([functional.avg_pool2d(some.float() / 255, _SHRINK) for some in pairs.split(_CHUNK)])
        held = (info[:, 0] == _HELD) & (part == "train")
        found |= {part: small[~held], f"{part}_labels": labels[~held].long()}
        if part == "train":
            found |= {"validation": small[held], "validation_labels": labels[held].long()}
    return Images(name="small NORB", source=f"files in {folder}", classes=CLASSES, stand_in_for=None, **found)


_AXES = {"dat": 4, "cat": 1, "info": 2}


def _read(folder: Path, name: str, axes: int) -> Tensor:
    path = next((one for one in (folder / name, folder / f"{name}.gz") if one.is_file()), None)
    if path is None:
        raise DataError(f"{folder} lacks {name}: name the folder with the six files of small NORB.")
    return read_matrix(read_bytes(path), name, axes)

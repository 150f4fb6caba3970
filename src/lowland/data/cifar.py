"""CIFAR-10: the public binary archive, or an .npz of JPEG files. The pickled version of the archive is not read."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lowland.bounded import read_arrays
from lowland.data.catalogue import dataset
from lowland.data.images import Images, assemble
from lowland.data.lookup import read
from lowland.data.source import Source
from lowland.errors import DataError

_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_TRAIN = [f"data_batch_{part}.bin" for part in range(1, 6)]
_RECORD = 1 + 3 * 32 * 32
_SOURCE = Source(
    name="cifar10",
    package="CIFAR-10 binary version (Krizhevsky)",
    version="2009",
    sha256={"cifar-10-binary.tar.gz": "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"},
    client="curl",
    archive="cifar-10-binary.tar.gz",
    size=170_052_171,
    root="cifar-10-batches-bin",
    address="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
)
_JPEG = "cifar10_jpeg.npz"
_JPEG_SOURCE = Source(
    name="cifar10",
    package="CIFAR-10 as JPEG files",
    version="quality 75",
    sha256={_JPEG: "30b02b1a795a823d5dba37e2d01d2d2b1d6dbe5352f168bfc688ab7993c6fcd5"},
)


@dataset(
    what="Colour photographs in ten classes (Krizhevsky 2009).",
    size="50,000 + 10,000 of 3 × 32 × 32",
    licence="see the publisher",
    source=_SOURCE,
)
def cifar10(data_dir: str | Path | None = None) -> Images:
    """CIFAR-10: 45,000 train, 5,000 validation, 10,000 test. About 740 MB in memory.

    Args:
        data_dir: folder with `cifar-10-binary.tar.gz`, with its files `data_batch_1.bin` …, or with `cifar10_jpeg.npz`:
            JPEG copies, slightly blurrier than the original, so results on them are comparable only with others on
            them. Without it, see `lookup`.

    Raises:
        DataError: for missing, damaged or truncated files.
    """
    if data_dir is not None and (Path(data_dir) / _JPEG).is_file():
        found = read(_JPEG_SOURCE, [_JPEG], data_dir)
        train, test = _jpeg_pair(found.content[_JPEG])
        where, stand_in = f"{_JPEG}, {found.where}", "CIFAR-10"
    else:
        found = read(_SOURCE, [*_TRAIN, "test_batch.bin"], data_dir)
        parts = [_records(found.content[name], name) for name in _TRAIN]
        train = torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])
        test = _records(found.content["test_batch.bin"], "test_batch.bin")
        where, stand_in = found.where, None
    return assemble(_SOURCE.name, where, _CLASSES, train, test, validation=0.1, stand_in_for=stand_in)


def _records(payload: bytes, name: str) -> tuple[Tensor, Tensor]:
    """Records of one label byte and 3 × 1024 pixels → uint8 (N, 3, 32, 32), (N,)."""
    if not payload or len(payload) % _RECORD:
        raise DataError(
            f"{name} of cifar10 is truncated or is another file: {len(payload)} bytes are not a whole number of "
            f"records of {_RECORD}. {_SOURCE.remedy}"
        )
    table = torch.frombuffer(bytearray(payload), dtype=torch.uint8).reshape(-1, _RECORD)
    if int(table[:, 0].max()) >= len(_CLASSES):
        raise DataError(f"{name} of cifar10 has a label above 9, so it is damaged or another file.")
    return table[:, 1:].reshape(-1, 3, 32, 32), table[:, 0].long()


def _jpeg_pair(payload: bytes) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    arrays = read_arrays(payload, _JPEG)
    names = [f"{part}_{what}" for part in ("train", "test") for what in ("bytes", "offsets", "labels")]
    for name in names:
        if name not in arrays or arrays[name].dtype.kind not in "iu" or arrays[name].ndim != 1:
            raise DataError(f"{_JPEG} is damaged or another file: {name} must be whole numbers in one row.")
    train, test = ([arrays[name] for name in half] for half in (names[:3], names[3:]))
    return _decode(train, "train"), _decode(test, "test")


def _decode(arrays: list[np.ndarray], part: str) -> tuple[Tensor, Tensor]:
    """Concatenated JPEG files, with file i being files[offsets[i]:offsets[i + 1]] → uint8 (N, 3, 32, 32), (N,)."""
    from PIL import Image, UnidentifiedImageError

    files, offsets, labels = arrays
    if len(offsets) != len(labels) + 1 or np.any(np.diff(offsets) <= 0) or offsets[0] < 0 or offsets[-1] != len(files):
        raise DataError(f"{_JPEG}: the {part} offsets do not fit the {len(labels)} labels and {len(files)} bytes.")
    pixels_NHWC = np.empty((len(labels), 32, 32, 3), dtype=np.uint8)
    packed = files.tobytes()
    for index in range(len(labels)):
        try:
            # Only JPEG files, whose header states the size: nothing else is unpacked.
            with Image.open(io.BytesIO(packed[offsets[index] : offsets[index + 1]]), formats=["JPEG"]) as image:
                if image.size != (32, 32):
                    raise ValueError(f"it is {image.width} × {image.height}")
                pixels_NHWC[index] = np.asarray(image.convert("RGB"))
        except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError) as error:
            raise DataError(f"{_JPEG}: {part} image {index} could not be decoded ({error}).") from error
    return torch.from_numpy(pixels_NHWC).permute(0, 3, 1, 2), torch.from_numpy(labels.astype(np.int64))

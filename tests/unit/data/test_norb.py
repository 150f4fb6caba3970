"""Small NORB on a few records in its own format, and on damaged ones."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from lowland.data.norb import read_matrix, small_norb
from lowland.errors import DataError

TRAIN, TEST = "smallnorb-5x46789x9x18x6x2x96x96-training", "smallnorb-5x01235x9x18x6x2x96x96-testing"
KINDS = {"u1": 0x1E3D4C55, "i4": 0x1E3D4C54, "f4": 0x1E3D4C51, "f8": 0x1E3D4C53, "i2": 0x1E3D4C56}
RANDOM = np.random.default_rng(0)


def matrix(values: np.ndarray) -> bytes:
    sizes = [*values.shape, *[1] * (3 - values.ndim)]
    head = [KINDS[values.dtype.str[1:]], values.ndim, *sizes]
    return b"".join(number.to_bytes(4, "little") for number in head) + values.tobytes()


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("shape", [(5,), (3, 2), (2, 3, 4, 1)])
def test_matrices_come_out_as_they_went_in(kind: str, shape: tuple[int, ...]) -> None:
    values = RANDOM.integers(0, 100, shape).astype(kind)
    for payload in (matrix(values), gzip.compress(matrix(values))):
        found = read_matrix(payload, "file", len(shape)).numpy()
        assert found.dtype == values.dtype
        assert np.array_equal(found, values)


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (b"", "is no file of the binary matrix format"),
        (b"\0\1\2\3" * 9, "is no file of the binary matrix format: it begins with 00 01 02 03"),
        (matrix(np.zeros((2, 2), np.uint8)), "should have 1 axes, but its header announces 2"),
        (matrix(np.zeros(5, np.int32))[:-1], r"is truncated: its header announces 5 numbers \(20 bytes\), but 19"),
        (matrix(np.zeros(5, np.int32)) + b"\0", "is too long"),
        (matrix(np.zeros(5, np.int32))[:15], "is no file of the binary matrix format"),
    ],
    ids=range(6),
)
def test_damaged_matrices_are_named(payload: bytes, words: str) -> None:
    with pytest.raises(DataError, match=f"file .*{words}"):
        read_matrix(payload, "file", 1)


def write(folder: Path, count: int = 6, **changes: np.ndarray) -> dict[str, np.ndarray]:
    parts = {}
    for name in (TRAIN, TEST):
        info = np.zeros((count, 4), np.int32)
        info[:, 0] = [4, 6, 7, 8, 9, 9][:count]
        parts |= {
            f"{name}-dat": RANDOM.integers(0, 256, (count, 2, 96, 96), dtype=np.uint8),
            f"{name}-cat": (np.arange(count) % 5).astype(np.int32), f"{name}-info": info,
        }  # fmt: skip
    for name, values in (parts | changes).items():
        (folder / f"{name}.mat").write_bytes(matrix(values))
    return parts


def test_small_norb(tmp_path: Path) -> None:
    parts = write(tmp_path)
    images = small_norb(tmp_path)
    assert images.shape == (2, 32, 32)
    assert (len(images.train), len(images.validation), len(images.test)) == (4, 2, 6)  # toy 9 is for validation
    raw = parts[f"{TEST}-dat"].astype(np.float64) / 255
    want = raw.reshape(6, 2, 32, 3, 32, 3).mean(axis=(3, 5))
    torch.testing.assert_close(images.test.double(), torch.from_numpy(want), rtol=0, atol=1e-6)
    assert images.validation_labels.tolist() == [4, 0]
    assert images.stand_in_for is None


def test_files_that_do_not_fit_are_named(tmp_path: Path) -> None:
    for changes, words in (
        ({f"{TEST}-cat": np.zeros(5, np.int32)}, "do not fit"),
        ({f"{TEST}-dat": np.zeros((6, 3, 96, 96), np.uint8)}, "do not fit"),
        ({f"{TRAIN}-info": np.zeros((6, 3), np.int32)}, "do not fit"),
        ({f"{TRAIN}-cat": np.full(6, 5, np.int32)}, "categories other than 0 to 4"),
    ):
        write(tmp_path, **changes)
        with pytest.raises(DataError, match=words):
            small_norb(tmp_path)
    (tmp_path / f"{TEST}-dat.mat").unlink()
    write(tmp_path)
    (tmp_path / f"{TEST}-dat.mat").unlink()
    with pytest.raises(DataError, match=r"lacks .*testing-dat\.mat: name the folder with the six files"):
        small_norb(tmp_path)

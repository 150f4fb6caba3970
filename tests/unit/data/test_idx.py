from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest

from lowland.data.idx import read_idx
from lowland.errors import DataError


def idx(array: np.ndarray, code: int = 0x08, magic: bytes = b"\0\0") -> bytes:
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return magic + bytes([code, array.ndim]) + sizes + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.mark.parametrize(
    ("code", "dtype"), [(0x08, "u1"), (0x09, "i1"), (0x0B, "i2"), (0x0C, "i4"), (0x0D, "f4"), (0x0E, "f8")]
)
@pytest.mark.parametrize("zipped", [False, True])
def test_every_type_comes_back(code, dtype, zipped):
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    payload = idx(array, code)
    tensor = read_idx(gzip.compress(payload) if zipped else payload, "file", dims=3)
    assert np.array_equal(tensor.numpy(), array)
    assert tensor.numpy().dtype == array.dtype


IMAGES = idx(np.zeros((2, 3, 3), dtype="u1"))


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (b"", "not an IDX file: it begins with nothing"),
        (b"<html>not found</html>", "not an IDX file"),
        (idx(np.zeros((2, 3, 3), dtype="u1"), code=0x0A), "not an IDX file"),
        (idx(np.zeros((2, 3, 3), dtype="u1"), magic=b"\0\1"), "not an IDX file"),
        (idx(np.zeros(4, dtype="u1")), "should have 3 dimensions, but its header announces 1"),
        (IMAGES[:-1], "truncated"),
        (IMAGES[:9], "truncated"),
        (IMAGES + b"\0", "too long"),
        (gzip.compress(IMAGES, mtime=0)[:-9], "truncated or damaged gzip"),
        (gzip.compress(IMAGES, mtime=0)[:-6] + b"\7" * 6, "truncated or damaged gzip"),
    ],
)
def test_bad_files_are_named(payload, words):
    with pytest.raises(DataError, match=words) as caught:
        read_idx(payload, "t10k-images-idx3-ubyte", dims=3)
    assert "t10k-images-idx3-ubyte" in str(caught.value)

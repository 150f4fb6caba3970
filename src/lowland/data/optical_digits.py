"""The 8 × 8 digits in scikit-learn's wheel: the data set that is always available."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from lowland.bounded import unzip
from lowland.data.catalogue import dataset
from lowland.data.images import Images, assemble
from lowland.data.lookup import read
from lowland.data.source import Source
from lowland.errors import DataError

_SOURCE = Source(
    name="digits",
    package="scikit-learn",
    version="1.6 to 1.9",
    sha256={"digits.csv.gz": "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22"},
    root="datasets/data",
    module="sklearn",
)


@dataset(
    what="Handwritten digits by 13 people (Alpaydin, Kaynak 1998), inked pixels counted in 4 × 4 blocks.",
    size="1,797 of 8 × 8",
    licence="CC BY 4.0",
    source=_SOURCE,
)
def digits(data_dir: str | Path | None = None) -> Images:
    """The 1,797 digits of scikit-learn: 1,200 train, 297 validation, 300 test, by a fixed stratified draw.

    Args:
        data_dir: folder with `digits.csv.gz`. Without it, the installed scikit-learn's.

    Raises:
        DataError: for missing or damaged files.

    >>> images = digits()
    >>> images.train.shape, float(images.train.max())
    (torch.Size([1200, 1, 8, 8]), 1.0)
    """
    found = read(_SOURCE, ["digits.csv.gz"], data_dir)
    payload = found.content["digits.csv.gz"]
    try:
        text = unzip(payload, "digits.csv.gz").decode("ascii")
        table = np.array([line.split(",") for line in text.splitlines()], dtype=np.float64)
    except ValueError as error:
        raise DataError(f"digits.csv.gz is truncated or damaged ({error}). {_SOURCE.remedy}") from error
    if not len(table) or table.shape[1:] != (65,) or not 0 <= table.min() <= table.max() <= 16:
        raise DataError(f"digits.csv.gz should hold 64 pixels of 0 … 16 and a label in each row. {_SOURCE.remedy}")
    pixels_NCHW = torch.from_numpy(table[:, :64]).reshape(-1, 1, 8, 8)
    return assemble(
        _SOURCE.name,
        found.where,
        tuple("0123456789"),
        train=(pixels_NCHW, torch.from_numpy(table[:, 64]).long()),
        test=300 / 1797,
        validation=297 / 1497,
        levels=16.0,
    )

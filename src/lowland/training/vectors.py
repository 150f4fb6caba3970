"""Embeds the files of a folder with an encoder and writes the vectors as a table."""

from __future__ import annotations

import hashlib
import importlib
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lowland.checksums import write_json
from lowland.data.folder import Folder, check_used, read_folder
from lowland.errors import OptionError
from lowland.files import write_atomically
from lowland.training.encoder_files import load_encoder

SUFFIXES = (".npy", ".parquet")
_AT_ONCE = 128


def embed_folder(
    encoder: str | Path,
    folder: str | Path,
    out: str | Path = "vectors.npy",
    levels: Sequence[float] = (),
    watch: Callable[[str], None] = lambda text: None,
) -> tuple[list[Path], Folder]:
    """Write the representations of all samples of a folder; returns the paths written and the folder read.

    Args:
        encoder: `encoder.safetensors` written by `lowland pretrain`, or its folder.
        folder: images or series; they are resized to what the encoder takes.
        out: a `.npy` file, float32 (N, size), beside which a `.json` file names the sample of each row and the SHA-256
            of the vectors; or a `.parquet` file with the columns file, start (of a window, in time steps) and vector,
            whose pages have checksums.
        levels: values of black and white for images of more than eight bits; by default those of the training data.
        watch: called from time to time with a line of progress.

    Raises:
        OptionError: for levels that no image needs, another file ending, or `.parquet` without pyarrow.
        CheckpointError: for an encoder that cannot be read, or a file that cannot be written.
        DataError: for a folder without anything that the encoder takes.
    """
    out = Path(out)
    check_table(out)
    network, card = load_encoder(encoder)
    shape = tuple(card["shape"])
    scale = levels or card.get("levels") or ()
    data = read_folder(folder, shape[-1], shape[0], card["kind"], leave=[out], levels=scale, watch=watch)
    check_used(data, levels)
    found = []
    with torch.no_grad():
        for rows in torch.arange(len(data)).split(_AT_ONCE):
            watch(f"vectors: {len(found) * _AT_ONCE:,} of {len(data):,}")
            found.append(network(data.take(rows)))
    vectors = torch.cat(found).numpy()
    if out.suffix == ".parquet":
        write_atomically(out, _parquet(vectors, data.files, data.starts))
        return [out], data
    names = {"files": data.files, "starts": data.starts, "skipped": dict(data.skipped), "encoder": str(encoder)}
    buffer = io.BytesIO()
    np.save(buffer, vectors, allow_pickle=False)
    names["sha256"] = hashlib.sha256(buffer.getvalue()).hexdigest()
    write_atomically(out, buffer.getvalue())
    write_json(out.with_suffix(".json"), names)
    return [out, out.with_suffix(".json")], data


def check_table(out: Path) -> None:
    """Raise an OptionError unless a table can be written under this name."""
    if out.suffix not in SUFFIXES:
        raise OptionError(f"{out} must end in {' or '.join(SUFFIXES)}.")
    if out.suffix == ".parquet":
        _pyarrow()


def _pyarrow() -> Any:
    try:
        importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise OptionError(
            "Parquet needs the package pyarrow: pip install lowland[parquet], or write vectors.npy instead."
        ) from None
    return importlib.import_module("pyarrow")


def _parquet(vectors: np.ndarray, files: Sequence[str], starts: Sequence[int]) -> bytes:
    pyarrow = _pyarrow()
    column = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(vectors.reshape(-1)), vectors.shape[1])
    table = pyarrow.table({"file": list(files), "start": list(starts), "vector": column})
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(table, sink, write_page_checksum=True)
    return sink.getvalue().to_pybytes()

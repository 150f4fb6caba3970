"""Vectors of the files in a folder by an encoder, as a table."""

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
    """Write the representations of all samples of a folder; returns what was written, and what was read.

    Args:
        encoder: `encoder.safetensors` of `lowland pretrain`, or the folder it lies in.
        folder: images or series, brought to the size that the encoder takes.
        out: a `.npy` file, float32 (N, size), beside which a `.json` file names the sample of each row and the SHA-256
            of the vectors; or a `.parquet` file with the columns file, start (of a window, in time steps) and vector,
            whose pages have checksums.
        levels: black and white of pictures of more than eight bits; by default those that the encoder learned from.
        watch: told from time to time how far it is.

    Raises:
        OptionError: for levels that no picture needs, a file of another kind, or `.parquet` without pyarrow.
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
    """Raise an OptionError unless a table of this name can be written here."""
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

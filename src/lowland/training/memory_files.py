"""A memory of passages as files: a list of the passages, and the vectors of words."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from lowland.checksums import read_json, read_tensors, write_json, write_tensors
from lowland.data.documents import Documents, Passage, Sentence
from lowland.errors import CheckpointError
from lowland.training.passage_memory import MatchSettings, PassageMemory

PASSAGES, VECTORS = "passages.json", "vectors.safetensors"


def write_memory(folder: Path, memory: PassageMemory) -> Path:
    """Write `passages.json` and `vectors.safetensors`; returns the folder.

    Raises:
        CheckpointError: if they cannot be written.
    """
    passages = [
        [one.document, one.heading, one.section, [list(sentence) for sentence in one.sentences]]
        for one in memory.documents.passages
    ]
    kept = {
        "names": list(memory.documents.names), "passages": passages, "headings": memory.headings,
        "settings": dataclasses.asdict(memory.settings), "threshold": memory.threshold,
    }  # fmt: skip
    tensors = {} if memory.table is None else {"table": memory.table.contiguous()}
    write_tensors(folder / VECTORS, tensors, {"kind": "passage memory"})
    write_json(folder / PASSAGES, kept)
    return folder


def load_memory(path: Path) -> PassageMemory:
    """The memory in a folder that `write_memory` filled, or in a folder of a run of `lowland chat`.

    Raises:
        CheckpointError: if there is none, or it is damaged.
    """
    folder = next((one for one in (path, path / "memory") if (one / PASSAGES).is_file()), None)
    if folder is None:
        raise CheckpointError(f"There is no memory of passages at {path}: name the folder of a run of `lowland chat`.")
    kept = read_json(folder / PASSAGES, keys=("names", "passages", "headings", "settings", "threshold"))
    tensors, _ = read_tensors(folder / VECTORS)
    try:
        passages = tuple(
            Passage(int(document), str(heading), int(section), tuple(Sentence(str(a), int(b)) for a, b in sentences))
            for document, heading, section, sentences in kept["passages"]
        )
        documents = Documents(tuple(kept["names"]), passages)
        if not all(0 <= one.document < len(documents.names) and one.sentences for one in passages):
            raise ValueError("a passage is of no document")
        settings = MatchSettings(**kept["settings"])
        return PassageMemory(
            documents, settings, bool(kept["headings"]), tensors.get("table"), float(kept["threshold"])
        )  # fmt: skip
    except (ValueError, TypeError, KeyError, IndexError) as error:
        if isinstance(error, CheckpointError):
            raise
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{folder} is damaged ({reason}): run `lowland chat` again.") from error

"""`lowland embed ENCODER FOLDER`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from lowland.cli.command import Command
from lowland.terminal import say


@dataclass(frozen=True)
class Embed(Command):
    """Turn the files of a folder into vectors, by an encoder of `lowland pretrain`."""

    encoder: Annotated[Positional[Path], arg(metavar="ENCODER")]
    """File encoder.safetensors that `lowland pretrain` wrote."""
    folder: Annotated[Positional[str], arg(metavar="FOLDER")]
    """Folder of images, or of .npy or .csv series."""
    out: Path = Path("vectors.npy")
    """File to write: .npy or .parquet."""
    levels: Annotated[
        tuple[float, float] | None,
        arg(metavar="BLACK WHITE", help_behavior_hint="(default: those that the encoder learned from)"),
    ] = None
    """Black and white level of pictures of more than 8 bits."""

    def run(self) -> int:
        from lowland.reports.progress import Progress
        from lowland.training.vectors import embed_folder

        bar = Progress()
        bar.open("embed")
        try:
            written, data = embed_folder(self.encoder, self.folder, self.out, self.levels or (), bar.start)
        finally:
            bar.close()
        for note in (*data.notes, *(f"{file} {why}: it was left out." for file, why in data.skipped)):
            say(f"lowland: {note}", aside=True)
        say(*written)
        return 0

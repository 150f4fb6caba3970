"""A folder of user files as samples: images of any size and mode, or series in `.npy` and `.csv` files.

Files that cannot be read are left out and listed with the reason; every conversion is recorded in a note.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor

from lowland.data.picture_files import read_images
from lowland.data.pixels import check_levels
from lowland.data.series_files import read_series
from lowland.data.survey import shown, survey
from lowland.errors import DataError, OptionError
from lowland.files import write_atomically

_log = logging.getLogger(__name__)


class Noted(Protocol):
    """What was read of a user's files, with notes, and the files that were left out, each with the reason."""

    @property
    def notes(self) -> Sequence[str]: ...

    @property
    def skipped(self) -> Sequence[tuple[str, str]]: ...


@dataclass(frozen=True)
class Folder:
    r"""The samples in a folder.

    Args:
        kind: "images" or "series".
        values: images as uint8 (N, C, H, W), or series as float32 (N, C, T).
        files: the file of each sample, relative to the folder, with "/" as the separator; undecodable bytes and control
            characters appear as escapes such as \udce9.
        starts: the first time step of each sample in its file; 0 for images.
        skipped: files that could not be used, each with the reason.
        notes: sentences on what was converted, resized or ignored.
        levels: values of black and white for images of more than eight bits; None if all have eight.

    >>> import torch
    >>> folder = Folder("images", torch.full((2, 1, 4, 4), 51, dtype=torch.uint8), ("a.png", "b.png"), (0, 0))
    >>> folder.take(torch.tensor([1])).amax().item(), folder.shape, len(folder)
    (0.20000000298023224, (1, 4, 4), 2)
    >>> folder.facts["shape"], folder.facts["files"]
    ('1 × 4 × 4', 2)
    """

    kind: str
    values: Tensor = field(repr=False)
    files: tuple[str, ...] = field(repr=False)
    starts: tuple[int, ...] = field(repr=False)
    skipped: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    levels: tuple[float, float] | None = None

    def __len__(self) -> int:
        return len(self.values)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample: (C, H, W) or (C, T)."""
        return tuple(self.values.shape[1:])

    @property
    def facts(self) -> dict[str, Any]:
        """For a report: "kind", "shape" as text, numbers of "samples", "files" and "skipped" files, and "notes"."""
        return {
            "kind": self.kind, "shape": " × ".join(map(str, self.shape)), "samples": len(self),
            "files": len(set(self.files)), "skipped": len(self.skipped), "notes": self.notes,
        }  # fmt: skip

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all samples and of where they came from."""
        content = hashlib.sha256(repr((self.files, self.starts, self.shape)).encode())
        content.update(self.values.numpy().data)
        return content.hexdigest()

    def take(self, rows: Tensor | slice = slice(None)) -> Tensor:
        """Samples as float32: images in [0, 1], series unchanged."""
        part = self.values[rows]
        return part.float() / 255 if self.kind == "images" else part


def read_folder(
    folder: str | Path,
    size: int = 0,
    channels: int = 0,
    kind: str = "",
    leave: Sequence[str | Path] = (),
    levels: Sequence[float] = (),
    watch: Callable[[str], None] = lambda text: None,
) -> Folder:
    """Read all images in a folder and its sub-folders, or all series if there are no images.

    An image is rotated according to its EXIF orientation, scaled so that its shorter side has `size` pixels, and
    cropped to the central square. If any image has colours, grey ones are converted to colour. A series file has one
    row per time step and one column per channel, (T, C) or (T,); three axes are many series, (N, T, C). Series are cut
    into consecutive windows of `size` steps. Runs of Lowland in the folder are ignored, and links to folders are not
    followed.

    Memory: images need C · size² bytes each, plus one decoded image at a time; series at most twice their size in
    float32.

    Args:
        size: side of an image, or steps of a window; by default the median shorter side, at most 48, or the shortest
            series of at least 16 steps, at most 256.
        channels: number of channels, if a trained encoder requires it; 0 to choose from the files.
        kind: "images" or "series"; by default what the folder has.
        leave: files to ignore, such as labels.
        levels: values of black and white for images of more than eight bits or of real numbers; () to choose one scale
            for the folder, see `lowland.data.pixels.levels_of`.
        watch: called from time to time with a line of progress.

    Raises:
        DataError: if there is no such folder, nothing in it can be read, or no common scale can be found.
        OptionError: for a negative size, or levels that cannot be used.

    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as place:
    ...     for name in "ab":
    ...         np.save(Path(place) / f"{name}.npy", np.ones((40, 2)))
    ...     found = read_folder(place, size=20)
    >>> found.shape, found.files, found.starts
    ((2, 20), ('a.npy', 'a.npy', 'b.npy', 'b.npy'), (0, 20, 0, 20))
    """
    if size < 0:
        raise OptionError(f"size must be a positive number of pixels or time steps, or 0 to choose it, not {size}.")
    scale = check_levels(levels)
    found = survey(folder, kind, leave)
    if scale is not None and found.kind == "series":
        raise OptionError("levels are of pictures, but these are series: leave out levels.")
    files = {shown(found.root, path): path for path in found.chosen}
    if found.kind == "images":
        read = read_images(files, size, channels, scale, watch)
    else:
        read = read_series(files, size, channels, watch)
    skipped, notes = [*found.skipped, *read.skipped], list(read.notes)
    if not len(read.values):
        raise DataError(
            f"No {found.kind} in {found.root} can be used, of {len(files)} in all: {' '.join(read.skipped[0])}."
        )
    if found.others:
        named = ", ".join(shown(found.root, path) for path in found.others[:3])
        more = " …" if len(found.others) > 3 else ""
        notes.append(f"{_many(len(found.others), 'other file was', 'other files were')} left alone: {named}{more}.")
    names, starts = zip(*read.places, strict=True)
    return Folder(found.kind, read.values, tuple(names), tuple(starts), tuple(skipped), tuple(notes), read.levels)


def report_skipped(data: Noted, path: Path) -> None:
    """Log what was converted or left out; files that could not be used are listed at `path`, each with the reason."""
    for note in data.notes:
        _log.warning("%s", note)
    if data.skipped:
        write_atomically(path, "".join(f"{file}\t{why}\n" for file, why in data.skipped).encode())
        many = "1 file" if len(data.skipped) == 1 else f"{len(data.skipped):,} files"
        _log.warning("%s could not be used: %s says why.", many, path)


def check_used(data: Folder, levels: Sequence[float]) -> None:
    """Raise an OptionError if a user gave levels that nothing in the folder needed."""
    if levels and data.levels is None:
        raise OptionError("The pictures have 8 bits, whose levels are 0 and 255: leave out --levels.")


def _many(count: int, one: str, more: str) -> str:
    return f"{count} {one if count == 1 else more}"

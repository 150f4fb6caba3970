"""A folder of the user's files as samples: images of any size and mode, or series in `.npy` and `.csv` files.

What cannot be read is listed with its reason and left out, and whatever is changed on the way is said in a note.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from lowland.data.picture_files import IMAGES, read_images
from lowland.data.series_files import SERIES, read_series
from lowland.errors import DataError, OptionError


@dataclass(frozen=True)
class Folder:
    """The samples in a folder.

    Args:
        kind: "images" or "series".
        values: of images uint8 (N, C, H, W), of series float32 (N, C, T).
        files: where each sample came from, relative to the folder, with "/" between the parts.
        starts: the first time step of each sample in its file; 0 for images.
        skipped: files that could not be used, each with the reason.
        notes: sentences on what was converted, resized or left alone.

    >>> import torch
    >>> folder = Folder("images", torch.full((2, 1, 4, 4), 51, dtype=torch.uint8), ("a.png", "b.png"), (0, 0))
    >>> folder.take(torch.tensor([1])).amax().item(), folder.shape, len(folder)
    (0.20000000298023224, (1, 4, 4), 2)
    """

    kind: str
    values: Tensor = field(repr=False)
    files: tuple[str, ...] = field(repr=False)
    starts: tuple[int, ...] = field(repr=False)
    skipped: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample: (C, H, W) or (C, T)."""
        return tuple(self.values.shape[1:])

    def take(self, rows: Tensor | slice = slice(None)) -> Tensor:
        """Some samples as float32: images in [0, 1], series as they are."""
        part = self.values[rows]
        return part.float() / 255 if self.kind == "images" else part


def read_folder(
    folder: str | Path, size: int = 0, channels: int = 0, kind: str = "", leave: Sequence[str | Path] = ()
) -> Folder:
    """Read all images of a folder and its sub-folders, or where there is none all series.

    An image is turned as its camera says, scaled so that its shorter side has `size` pixels, and cut to a square in the
    middle. Where at least one image has colours, grey ones become colour too. A file of a series has a row for each
    time step and a column for each channel, (T, C) or (T,); three axes are many series, (N, T, C). Series are cut into
    windows of `size` steps, one after another. Runs of Lowland in the folder are left out.

    Args:
        size: side of an image, or steps of a window; by default the median shorter side, at most 48, or the shortest
            series of at least 16 steps, at most 256.
        channels: of a sample, as an encoder that is trained already needs them; 0 to choose by the files.
        kind: "images" or "series"; by default what the folder has.
        leave: files that belong to something else, such as labels.

    Raises:
        DataError: if there is no such folder, or nothing in it can be read.
        OptionError: for a negative size.

    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as place:
    ...     for name in "ab":
    ...         np.save(Path(place) / f"{name}.npy", np.ones((40, 2)))
    ...     found = read_folder(place, size=20)
    >>> found.shape, found.files, found.starts
    ((2, 20), ('a.npy', 'a.npy', 'b.npy', 'b.npy'), (0, 20, 0, 20))
    """
    root = Path(folder)
    if not root.is_dir():
        what = "is a file, not a folder" if root.exists() else "does not exist"
        raise DataError(f"{root} {what}: name the folder that holds your images or series.")
    if size < 0:
        raise OptionError(f"size must be a positive number of pixels or time steps, or 0 to choose it, not {size}.")
    files, skipped = _walk(root, {Path(path).resolve() for path in leave})
    groups = {name: [path for path in files if path.suffix.lower() in known] for name, known in _KINDS.items()}
    kind = kind or next((name for name, found in groups.items() if found), "")
    chosen = groups.get(kind, [])
    if not chosen:
        found = f"{len(files)} other file{'s' if len(files) > 1 else ''}" if files else "nothing"
        suffixes = ", ".join(sorted(IMAGES if kind == "images" else SERIES if kind else IMAGES | SERIES))
        raise DataError(
            f"{root} has no {kind or 'images and no series'} in it, but {found}: what can be read is {suffixes}."
        )
    values, places, unusable, notes = (read_images if kind == "images" else read_series)(root, chosen, size, channels)
    skipped += unusable
    if not len(values):
        raise DataError(f"No {kind} in {root} can be used, of {len(chosen)} in all: {skipped[0][0]} {skipped[0][1]}.")
    others = [path for path in files if path not in set(chosen)]
    if others:
        named = ", ".join(_name(root, path) for path in others[:3]) + (" …" if len(others) > 3 else "")
        notes.append(f"{len(others)} other file{'s were' if len(others) > 1 else ' was'} left alone: {named}.")
    names, starts = zip(*places, strict=True)
    return Folder(kind, values, tuple(names), tuple(starts), tuple(skipped), tuple(notes))


_KINDS = {"images": IMAGES, "series": SERIES}


def _walk(root: Path, leave: set[Path]) -> tuple[list[Path], list[tuple[str, str]]]:
    """All files by name without hidden ones and those of runs, and the folders that may not be opened."""
    closed: list[tuple[str, str]] = []

    def note(error: OSError) -> None:
        closed.append((_name(root, Path(error.filename)), f"could not be opened ({error.strerror})"))

    found = []
    for place, folders, names in os.walk(root, onerror=note):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and not _is_run(Path(place, name)))
        found += [Path(place, name) for name in names if not name.startswith(".")]
    return sorted(path for path in found if path.resolve() not in leave), closed


def _is_run(folder: Path) -> bool:
    """Whether Lowland wrote the folder: its pictures are no samples, where a run lies in the folder it learned from."""
    return all((folder / name).is_file() for name in ("config.json", "environment.json", "status.json"))


def _name(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()

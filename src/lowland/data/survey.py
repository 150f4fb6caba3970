"""Lists which files of a user's folder are images or series, without opening them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lowland.data.picture_files import IMAGES
from lowland.data.series_files import SERIES
from lowland.errors import DataError
from lowland.words import escaped


@dataclass(frozen=True)
class Survey:
    """The files of a folder by kind, without opening any.

    Args:
        root: the folder.
        kind: "images" or "series".
        chosen: the files of that kind, by name.
        others: other files.
        skipped: files that cannot be read although they may have been intended, such as unsupported image formats, and
            folders that could not be opened or are links, each with the reason.
    """

    root: Path
    kind: str
    chosen: tuple[Path, ...] = field(repr=False)
    others: tuple[Path, ...] = field(repr=False)
    skipped: tuple[tuple[str, str], ...] = field(repr=False)


def survey(folder: str | Path, kind: str = "", leave: Sequence[str | Path] = ()) -> Survey:
    """What `read_folder` would read with the same arguments; it is fast, while reading may take minutes.

    Raises:
        DataError: if there is no such folder, or nothing in it is of a supported kind.
    """
    root = Path(folder)
    try:
        inside, there = root.is_dir(), root.exists()
    except (OSError, ValueError) as error:
        raise DataError(f"{root} cannot be opened: {getattr(error, 'strerror', None) or error}.") from error
    if not inside:
        what = "is a file, not a folder" if there else "does not exist"
        raise DataError(f"{root} {what}: name the folder that holds your images or series.")
    files, skipped = walk_folder(root, leave)
    groups = {name: [path for path in files if path.suffix.lower() in known] for name, known in _KINDS.items()}
    kind = kind or next((name for name, found in groups.items() if found), "")
    chosen = groups.get(kind, [])
    closed = [(shown(root, path), why) for path in files if (why := _WAYS_OUT.get(path.suffix.lower()))]
    if not chosen:
        what = kind or "images and no series"
        if closed:
            raise DataError(f"{root} has no {what} in it that can be read: {' '.join(closed[0])}.")
        found = f"{len(files)} other file{'s' if len(files) > 1 else ''}" if files else "nothing"
        suffixes = ", ".join(sorted(IMAGES if kind == "images" else SERIES if kind else IMAGES | SERIES))
        raise DataError(f"{root} has no {what} in it, but {found}: what can be read is {suffixes}.")
    left = {*chosen, *(path for path in files if path.suffix.lower() in _WAYS_OUT)}
    others = tuple(path for path in files if path not in left)
    return Survey(root, kind, tuple(chosen), others, (*closed, *skipped))


_KINDS = {"images": IMAGES, "series": SERIES}
_LINK = "is a link to a folder, which is not followed: name that folder"
_CONVERT = "is of a kind that is not read: save it as {}"
_WAYS_OUT = {
    **dict.fromkeys(
        (".heic", ".heif"), _CONVERT.format("JPEG, for instance with `heif-convert` or `magick mogrify -format jpg`")
    ),
    **dict.fromkeys(
        (".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".raf", ".rw2"),
        _CONVERT.format("JPEG or TIFF with the program that develops your raw photographs"),
    ),
    **dict.fromkeys((".dcm", ".exr", ".fits", ".hdr", ".jxl", ".nii", ".psd"), _CONVERT.format("PNG or TIFF")),
    **dict.fromkeys((".eps", ".pdf", ".svg"), _CONVERT.format("PNG, at the size that you need")),
    **dict.fromkeys((".avi", ".mkv", ".mov", ".mp4", ".webm"), _CONVERT.format("frames in PNG, as ffmpeg does")),
    **dict.fromkeys(
        (".feather", ".h5", ".hdf5", ".mat", ".npz", ".parquet", ".tsv", ".xls", ".xlsx"),
        _CONVERT.format(".npy or .csv"),
    ),
}
"""What to do with unsupported formats of images or series."""


def _real(path: str | Path) -> str:
    # Path.resolve raises on circular links.
    return os.path.realpath(path)


def walk_folder(root: Path, leave: Sequence[str | Path] = ()) -> tuple[list[Path], list[tuple[str, str]]]:
    """All files by name except hidden ones and those of runs, and the folders that were not entered, with the reason.

    Args:
        root: the folder.
        leave: files that are left out.
    """
    left, closed = {_real(path) for path in leave}, list[tuple[str, str]]()

    def note(error: OSError) -> None:
        closed.append((shown(root, Path(error.filename)), f"could not be opened ({error.strerror})"))

    found = []
    for place, folders, names in os.walk(root, onerror=note):
        inside = sorted(name for name in folders if not name.startswith(".") and not _is_run(Path(place, name)))
        links = [Path(place, name) for name in inside if Path(place, name).is_symlink()]
        closed += [(shown(root, path), _LINK) for path in links]
        folders[:] = [name for name in inside if Path(place, name) not in links]
        found += [Path(place, name) for name in names if not name.startswith(".")]
    return sorted(path for path in found if not left or _real(path) not in left), closed


def _is_run(folder: Path) -> bool:
    """Whether the folder is a run of Lowland, whose images are not samples; a run may lie inside the data folder."""
    return all((folder / name).is_file() for name in ("config.json", "environment.json", "status.json"))


def shown(root: Path, path: Path) -> str:
    r"""The path of a file relative to a folder, as printable text.

    >>> shown(Path("a"), Path("a/new\nline.png"))
    'new\\nline.png'
    """
    return escaped(path.relative_to(root).as_posix())

"""Where the files of a data set are looked up, in this order.

1. a folder given by the user; 2. the cache folder; 3. an installed package; 4. the package client, which downloads the
archive into the cache. If the user gives a folder, only that is searched: missing data are an error, not a reason to
download. Nothing is ever unpickled.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lowland.bounded import read_bytes
from lowland.data.archive import checksum, unpack, verify
from lowland.data.fetch import fetch
from lowland.data.source import Source, cache_folder
from lowland.errors import DataError

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Found:
    """The files of a data set: contents by name, and a phrase that says where they were found."""

    where: str
    content: Mapping[str, bytes] = field(repr=False)


def read(source: Source, names: Sequence[str], data_dir: str | Path | None = None) -> Found:
    """The named files of a data set, from the first place that has them.

    Raises:
        DataError: if no place has them, or a file is unreadable, incomplete or not the published one. Only unpacked
            files in the user's own folder may differ from the published ones, which is logged as a warning.
    """
    if data_dir is not None:
        return _from_user(source, names, Path(data_dir))
    if not (source.archive and (cache_folder() / source.archive).is_file()):
        for folder in _installed(source):
            if paths := _paths(source, names, folder):
                for path in paths.values():
                    if path.name in source.sha256:
                        verify(source, path)
                return Found(source.package, _contents(paths))
    return Found(f"{source.package} {source.version}", unpack(source, names, ensure(source)))


def read_all(source: Source, ending: str, data_dir: str | Path | None = None) -> Found:
    """All files of an archive whose names end so, from the archive alone: a folder would not say that it is complete.

    Raises:
        DataError: if the user's folder lacks the archive, no client can get it, or it is damaged.
    """
    archive = ensure(source) if data_dir is None else Path(data_dir) / source.archive
    if not archive.is_file():
        raise DataError(
            f"{data_dir} lacks {source.archive}, the archive of {source.name}: name the folder that has it."
        )
    return Found(f"{source.package} {source.version}", unpack(source, ending, archive))


def ensure(source: Source) -> Path:
    """Make sure the data set is available: its verified archive in the cache, or the folder of an installed copy.

    Raises:
        DataError: if the package client cannot get it.
    """
    archive = cache_folder() / source.archive
    if source.archive and archive.is_file():
        verify(source, archive)
        return archive
    return next(_installed(source), None) or fetch(source)


def _installed(source: Source) -> Iterator[Path]:
    """Existing folders of an installed copy, most likely first. A Python package is found without importing it."""
    spec = importlib.util.find_spec(source.module) if source.module else None
    for location in (spec.submodule_search_locations or []) if spec else []:
        yield from _below(Path(location), source.root)
    yield from (Path(location) for location in source.installed if Path(location).is_dir())


def _below(folder: Path, root: str) -> Iterator[Path]:
    """Where an unpacked archive may be: below the folder, by any suffix of the archive's inner path, longest first."""
    parts = Path(root).parts
    for start in range(len(parts) + 1):
        if (candidate := folder.joinpath(*parts[start:])).is_dir():
            yield candidate


def _from_user(source: Source, names: Sequence[str], folder: Path) -> Found:
    if not folder.is_dir():
        raise DataError(f"There is no folder {folder} to read {source.name} from.")
    if source.archive and (folder / source.archive).is_file():
        return Found(f"{source.package} {source.version}", unpack(source, names, folder / source.archive))
    for candidate in _below(folder, source.root):
        if paths := _paths(source, names, candidate):
            for path in paths.values():
                if path.name in source.sha256 and checksum(path) != source.sha256[path.name]:
                    _log.warning("%s is not the published file: its SHA-256 differs", path)
            return Found(f"files in {folder}", _contents(paths))
    wanted = f"the archive {source.archive} nor its files, such as {names[0]}," if source.archive else names[0]
    raise DataError(
        f"{folder} holds neither {wanted} for {source.name}. Name the folder that does, or leave data_dir out to "
        "search the cache and the installed packages."
    )


def _paths(source: Source, names: Sequence[str], folder: Path) -> dict[str, Path]:
    """The named files, compressed or not; empty if none exists, an error if only some do."""
    paths: dict[str, Path] = {}
    for name in names:
        for candidate in (folder / name, folder / name.removesuffix(".gz")):
            if candidate.is_file():
                paths.setdefault(name, candidate)
    if paths and len(paths) < len(names):
        missing = next(name for name in names if name not in paths)
        raise DataError(f"{folder} holds only part of {source.name}: {missing} is missing.")
    return paths


def _contents(paths: Mapping[str, Path]) -> dict[str, bytes]:
    return {name: read_bytes(path) for name, path in paths.items()}

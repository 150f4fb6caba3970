"""Stereo pairs of objects under many views and lights, rendered from named 3-D models: a stand-in for small NORB."""

from __future__ import annotations

import contextlib
import io
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lowland.bounded import read_arrays
from lowland.data import lookup
from lowland.data.catalogue import dataset
from lowland.data.images import Images
from lowland.data.renderer import AZIMUTHS, ELEVATIONS, LIGHTS, SETTINGS, Mesh, View, read_obj, render
from lowland.data.source import Source, cache_folder
from lowland.errors import DataError, OptionError
from lowland.files import fingerprint, replacing

_FILES = {
    "BlendSwap-CC-0.sh3f": "7ef093fe70cedbb160bdb532d86a84580459635e34130c16777f549eba1993dc",
    "BlendSwap-CC-BY.sh3f": "29ae78937b4d5dbe93db74067817a984fa411f017b007fd666bc40368bdb0c83",
    "KatorLegaz.sh3f": "f512443b5d3a6903497573095f971f44334b3165ab32182133051fa9487764a6",
    "Reallusion.sh3f": "dd553207876ccec6372dde7aaea6b2dcf2d631997fcdb8a9856a639e0db9aa9b",
    "Scopia.sh3f": "b4505451b1e8ab339c101c0afddfef4e1a07b95aa8c821c61ec41487afd43850",
}
_SOURCE = Source(
    name="stereo",
    package="sweethome3d-furniture",
    version="1.8-1",
    sha256={
        "sweethome3d-furniture_1.8-1_all.deb": "3ccb90c63f9525e887a767b9cd5c8b6933b8b6b2973a615a5359ee68a2118668",
        **_FILES,
    },
    client="apt",
    archive="sweethome3d-furniture_1.8-1_all.deb",
    size=119_782_356,
    root="usr/share/sweethome3d/furniture",
    installed=("/usr/share/sweethome3d/furniture",),
)
_KINDS = {
    "people": ("Characters", "male|boy|girl", "^$"),
    "vehicles": ("Vehicles", "", "stroller|skateboard|fork lift|tricycle"),
    "chairs": ("", "chair", "^$"),
    "tables": ("", r"\b(table|desk)\b", "lamp|fan|tennis bat"),
    "lamps": ("", "lamp", "^$"),
}
"""Of each category: a category of the catalogue or any, what the name of a model has, and what it has not."""
MODELS, PAIRS, SIZE = 18, 120, 32
"""Models of each category, stereo pairs of each model, and the side of an image in pixels."""
_LARGEST = 1_500_000


class Model(NamedTuple):
    """A named model: where it lies, what it is called, a checksum of what it holds, and how to read it."""

    path: str
    name: str
    checksum: str
    read: Callable[[], Mesh]


class StereoObjects(NamedTuple):
    """N stereo pairs of models, in order of their models.

    `pairs` uint8 (N, 2, S, S), left and right eye; `labels` (N,) int64, the category of each; `model` (N,) int64,
    a number for each model; `classes` the names of the categories, `source` where the models are from.
    """

    pairs: Tensor
    labels: Tensor
    model: Tensor
    classes: tuple[str, ...]
    source: str

    def split(self, generator: torch.Generator) -> Images:
        """Half of the models of each category to learn from, a sixth for validation, the others for tests.

        Raises:
            OptionError: for fewer than three models of a category.
        """
        part = torch.empty(len(self.labels), dtype=torch.long)
        for label, kind in enumerate(self.classes):
            own = self.model[self.labels == label].unique()
            own, train = own[torch.randperm(len(own), generator=generator)], len(own) // 2
            held = max(1, len(own) // 6)
            if train < 1 or train + held >= len(own):
                raise OptionError(f"A split needs three models of each category or more, but of {kind} there are "
                                  f"{len(own)}.")  # fmt: skip
            for number, some in enumerate(own.split([train, held, len(own) - train - held])):
                part[torch.isin(self.model, some)] = number
        rows = {name: (part == number).nonzero()[:, 0] for number, name in enumerate(("train", "validation", "test"))}
        tensors = {}
        for name, some in rows.items():
            order = some[torch.randperm(len(some), generator=generator)]
            tensors[name], tensors[f"{name}_labels"] = self.pairs[order].float() / 255, self.labels[order]
        return Images(name="stereo", source=self.source, classes=self.classes, stand_in_for="small NORB", **tensors)


@dataset(
    what="Stereo pairs of people, vehicles, chairs, tables and lamps, rendered from 90 named models.",
    size="10,800 of 2 × 32 × 32",
    licence="of each model: see the package",
    source=_SOURCE,
)
def stereo(data_dir: str | Path | None = None) -> Images:
    """Stereo pairs, left and right eye as two channels; the models of a test are others than those of training.

    Each of 18 models of a category is seen 120 times, at an azimuth, an elevation and in a light at random, of those of
    small NORB (LeCun, Huang & Bottou 2004). They are rendered once, which takes a minute or two, and kept in the cache
    folder, model by model: an interrupted call goes on where it was.

    Args:
        data_dir: folder with the Debian package, or with its files, such as `Scopia.sh3f`. Without it, see `lookup`.

    Raises:
        DataError: for missing or damaged files.
        UnsupportedError: without pybullet.
    """
    return named_objects(data_dir).split(torch.Generator().manual_seed(0))


def named_objects(data_dir: str | Path | None = None) -> StereoObjects:
    """All pairs of `stereo`, for other splits."""
    found = lookup.read(_SOURCE, list(_FILES), data_dir)
    models = named_models(found.content)
    return stereo_pairs(models, PAIRS, SIZE, cache_folder() / "stereo", found.where)


def model_files(data_dir: str | Path | None = None) -> Mapping[str, bytes]:
    """The archives of models from Debian's `sweethome3d-furniture`, by name: see `named_models`.

    Raises:
        DataError: for missing or damaged files.
    """
    return lookup.read(_SOURCE, list(_FILES), data_dir).content


def named_models(archives: Mapping[str, bytes]) -> dict[str, list[Model]]:
    """The models of each category in archives of Sweet Home 3D, in an order that only their paths decide.

    Those that lie on a side in their file, or have more than 1.5 MB, are left out.

    Raises:
        DataError: for an archive that cannot be read.
    """
    found: dict[str, list[Model]] = {kind: [] for kind in _KINDS}
    for archive, payload in archives.items():
        for path, name, category, checksum, read in _catalogue(archive, payload):
            for kind, (wanted, has, lacks) in _KINDS.items():
                said = name.lower()
                if wanted in ("", category) and re.search(has, said) and not re.search(lacks, said):
                    found[kind].append(Model(f"{archive}/{path}", name, checksum, read))
                    break
    return {kind: sorted(models, key=lambda one: zlib.crc32(one.path.encode())) for kind, models in found.items()}


def _catalogue(archive: str, payload: bytes) -> Iterator[tuple[str, str, str, str, Callable[[], Mesh]]]:
    """(path, name, category, checksum, reader) of the models of one archive."""
    try:
        folder = zipfile.ZipFile(io.BytesIO(payload))
        text = folder.read("PluginFurnitureCatalog.properties").decode("latin-1")
        inside = {one.filename: one for one in folder.infolist()}
    except (zipfile.BadZipFile, KeyError, OSError, ValueError) as error:
        raise DataError(f"{archive} is no archive of models ({error}). {_SOURCE.remedy}") from error

    def values(key: str) -> dict[str, str]:
        return dict(re.findall(rf"^{key}#(\d+)[ \t]*=[ \t]*(.*?)\r?$", text, re.MULTILINE))

    names, categories, turned = values("name"), values("category"), values("modelRotation")
    for number, path in values("model").items():
        inner = path.lstrip("/")
        size = inside[inner].file_size if inner in inside else 0
        if inner.endswith(".obj") and 0 < size <= _LARGEST and number not in turned:

            def read(inner: str = inner) -> Mesh:
                return read_obj(folder.read(inner).decode("latin-1"), f"{archive}/{inner}")

            # The archive has a checksum of each file, so that none need be read to know that it is the same.
            checksum = f"{size}, {inside[inner].CRC:08x}"
            yield inner, names[number], categories.get(number, ""), checksum, read


def stereo_pairs(
    models: Mapping[str, Sequence[Model]], pairs: int, size: int, cache: Path, source: str, most: int = MODELS
) -> StereoObjects:
    """Stereo pairs of models, rendered into a cache or read from there.

    Args:
        models: of each category.
        pairs: of each model.
        size: S, in pixels.
        cache: folder for what is rendered.
        source: where the models are from.
        most: models of each category, the first ones.

    Raises:
        DataError: for a model that cannot be read.
        UnsupportedError: without pybullet, unless all are in the cache.
    """
    chosen = [(label, one) for label, own in enumerate(models.values()) for one in own[:most]]
    images = [torch.from_numpy(_rendered(model, pairs, size, cache)) for _, model in chosen]
    labels = torch.tensor([label for label, _ in chosen]).repeat_interleave(pairs)
    return StereoObjects(
        torch.cat(images), labels, torch.arange(len(chosen)).repeat_interleave(pairs), tuple(models), source
    )


def _rendered(model: Model, count: int, size: int, cache: Path) -> NDArray[np.uint8]:
    """So many pairs of a model (count, 2, S, S), of views that its path decides."""
    draw = np.random.default_rng(zlib.crc32(model.path.encode()))
    kinds = AZIMUTHS, ELEVATIONS, range(len(LIGHTS))
    views = [View(*(int(draw.choice(kind)) for kind in kinds)) for _ in range(count)]
    path = cache / f"{fingerprint(model.path, model.checksum, views, size, SETTINGS)[:20]}.npz"
    if path.is_file():
        with contextlib.suppress(DataError, KeyError):  # damaged: it is rendered again
            found = read_arrays(path, path.name)["pairs"]
            if found.shape == (count, 2, size, size) and found.dtype == np.uint8:
                return found
    made = render(model.read(), views, size)
    with replacing(path, DataError) as file:
        np.savez_compressed(file, pairs=made)
    return made

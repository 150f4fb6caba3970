"""Slices of a brain: the T1 volume `ch2` that the Debian package mricron-data carries; and phantoms, drawn here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lowland.data.catalogue import dataset
from lowland.data.images import Images
from lowland.data.lookup import read
from lowland.data.scans import nifti_volume
from lowland.data.source import Source
from lowland.errors import OptionError

_SOURCE = Source(
    name="brain",
    package="mricron-data",
    version="1.2.20211006+dfsg-4",
    sha256={
        "mricron-data_1.2.20211006+dfsg-4_all.deb": "d40aa0ed66cf89bf6cafa049ad3884703c9d975c2ee2737525b7196528df9d6f",
        "ch2.nii.gz": "a009051127f64dc3dd554d5f5b589870ea72106d9642c21b4e7093e478cfc309",
    },
    client="apt",
    archive="mricron-data_1.2.20211006+dfsg-4_all.deb",
    size=16_122_652,
    root="usr/share/mricron/templates",
    installed=("/usr/share/mricron/templates",),
)
_HEIGHT, _WIDTH = 216, 180
_PARTS = {"train": (range(20, 60), range(112, 152)), "validation": (range(68, 76),), "test": (range(84, 104),)}
"""Axial slices of 1 mm by number, with 8 mm between parts."""


@dataset(
    what="Axial slices of one head, the mean of 27 T1 scans of the same person (Holmes et al. 1998).",
    size="108 of 216 × 180",
    licence="BSD-3-Clause (package)",
    source=_SOURCE,
)
def brain(data_dir: str | Path | None = None) -> Images:
    """80 train, 8 validation and 20 test slices of one brain, in blocks that lie 8 mm apart, in order from below.

    The package has this one human brain only, so the parts show the same one. Front is up, and values are from 0 to 1.

    Args:
        data_dir: folder with the Debian package or `ch2.nii.gz`. Without it, see `lookup`.

    Raises:
        DataError: for missing or damaged files, or without nibabel, which reads them.
    """
    found = read(_SOURCE, ["ch2.nii.gz"], data_dir)
    volume = nifti_volume(found.content["ch2.nii.gz"], "ch2.nii.gz").values
    slices = torch.from_numpy(volume[:_WIDTH, :_HEIGHT] / volume.max()).permute(2, 1, 0).flip(1)[:, None].contiguous()
    parts = {name: slices[[row for block in blocks for row in block]] for name, blocks in _PARTS.items()}
    return _images(_SOURCE.name, found.where, parts)


def phantoms(count: int, height: int, width: int, seed: int = 0) -> Images:
    """Heads of random ellipses, in the manner of Shepp & Logan 1974: `count` train, and a quarter of it for each test.

    A stand-in that is always there. Each is a bright skull, a grey brain, and eight ellipses inside it.

    Args:
        count: training images, 4 or more.
        height, width: of an image, 16 or more.
        seed: of all images.

    Raises:
        OptionError: for fewer or smaller images.

    >>> phantoms(8, 32, 24)
    Images(name='phantoms', shape=(1, 32, 24), train=8, validation=2, test=2, source='drawn here')
    """
    if count < 4 or min(height, width) < 16:
        raise OptionError(
            f"Phantoms need a count of at least 4 and sides of at least 16, not {count}, {height}, {width}."
        )
    generator = torch.Generator().manual_seed(seed)
    counts = {"train": count, "validation": count // 4, "test": count // 4}
    drawn = {
        name: torch.stack([_phantom(height, width, generator) for _ in range(many)])[:, None]
        for name, many in counts.items()
    }
    return _images("phantoms", "drawn here", drawn)


def _images(name: str, where: str, parts: dict[str, Tensor]) -> Images:
    values: dict[str, Any] = {**parts}
    for part, images in parts.items():
        values[f"{part}_labels"] = torch.zeros(len(images), dtype=torch.int64)
    return Images(name, where, ("head",), **values)


def _phantom(height: int, width: int, generator: torch.Generator) -> Tensor:
    down = torch.linspace(-1, 1, height, dtype=torch.float32)[:, None]
    across = torch.linspace(-1, 1, width, dtype=torch.float32)
    image = torch.zeros(height, width, dtype=torch.float32)

    def add(value: float, place: Tensor, radii: Tensor, turn: Tensor) -> None:
        right, up = across - place[0], down - place[1]
        one, other = right * turn.cos() + up * turn.sin(), up * turn.cos() - right * turn.sin()
        image[(one / radii[0]).square() + (other / radii[1]).square() <= 1] += value

    nowhere, still = torch.zeros(2), torch.zeros(())
    skull = 0.75 + 0.15 * torch.rand(2, generator=generator, dtype=torch.float32)
    add(0.9, nowhere, skull, still)
    add(-0.5, nowhere, skull - 0.1, still)
    for place, radii, more in zip(*torch.rand(3, 8, 3, generator=generator, dtype=torch.float32), strict=True):
        add(0.6 * float(more[0]) - 0.3, 0.8 * place[:2] - 0.4, 0.04 + 0.25 * radii[:2], torch.pi * more[1])
    return image.clamp(0, 1)

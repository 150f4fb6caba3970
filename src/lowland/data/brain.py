"""A brain in slices and in halves: the T1 volume `ch2` of the Debian package mricron-data; and phantoms, drawn here."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

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
        "ch2bet.nii.gz": "592a2d20abdf36eefcb540ca8958428040edffc1bc1a18ba1dcfbabac77c5dd1",
    },
    client="apt",
    archive="mricron-data_1.2.20211006+dfsg-4_all.deb",
    size=16_122_652,
    root="usr/share/mricron/templates",
    installed=("/usr/share/mricron/templates",),
)
_HEIGHT, _WIDTH = 216, 180
_WHITE = 112.0
"""The most frequent value of white matter in `ch2bet`."""
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


class Hemispheres(NamedTuple):
    """The halves of a brain, (D, H, W) each: slices from below, front up, the middle of the head on the right of both.

    Voxels have 2 mm. Values are about 1 in white matter, 0.77 in grey, 0.36 in fluid, and 0 outside the brain.
    """

    left: Tensor
    right: Tensor


def hemispheres(data_dir: str | Path | None = None) -> Hemispheres:
    """The halves of `ch2`, without the skull, at 2 mm: (76, 92, 36) each, the right one mirrored.

    Args:
        data_dir: folder with the Debian package or `ch2bet.nii.gz`. Without it, see `lookup`.

    Raises:
        DataError: for missing or damaged files, or without nibabel, which reads them.
    """
    found = read(_SOURCE, ["ch2bet.nii.gz"], data_dir)
    volume = torch.from_numpy(nifti_volume(found.content["ch2bet.nii.gz"], "ch2bet.nii.gz").values)
    coarse = nn.functional.avg_pool3d(volume[None, :180, :216, :180] / _WHITE, 2)[0]
    whole = coarse[9:81, 8:100, 1:77].permute(2, 1, 0).flip(1)
    return Hemispheres(whole[:, :, :36].contiguous(), whole[:, :, 36:].flip(2).contiguous())


def phantom_hemispheres(size: tuple[int, int, int] = (20, 32, 16), seed: int = 0) -> Hemispheres:
    """Half ellipsoids of white matter with a ventricle of fluid and a folded grey rim: a stand-in, always there.

    Args:
        size: (D, H, W), 16 or more each.
        seed: of the folds, which differ between the halves.

    Raises:
        OptionError: for a smaller size.

    >>> phantom_hemispheres().left.shape
    torch.Size([20, 32, 16])
    """
    if min(size) < 16:
        raise OptionError(f"A phantom of a brain needs sides of at least 16, but they are {size}.")
    generator = torch.Generator().manual_seed(seed)

    def half() -> Tensor:
        up, front, side = torch.meshgrid(
            torch.linspace(-1, 1, size[0]), torch.linspace(-1, 1, size[1]), torch.linspace(-1, 0, size[2]),
            indexing="ij",
        )  # fmt: skip
        far = (up.square() + front.square() + side.square()).sqrt()
        turns = 6 * torch.rand(3, generator=generator)
        far = far + 0.06 * (9 * up + turns[0]).sin() * (9 * front + turns[1]).sin() * (7 * side + turns[2]).cos()
        tissue = torch.where(far < 0.7, 1.0, 0.77) * (far < 0.92)
        return torch.where((3 * up).square() + (1.8 * front).square() + (3 * side).square() < 0.3, 0.36, tissue)

    return Hemispheres(half(), half())


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

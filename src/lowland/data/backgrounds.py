"""Photographs without people, to put other things on: of the Debian packages mate-backgrounds and opencv-doc."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from lowland.data.catalogue import dataset
from lowland.data.groups import group_folds
from lowland.data.images import Images
from lowland.data.lookup import read
from lowland.data.pictures import decode
from lowland.data.source import Source

_MATE = Source(
    name="backgrounds",
    package="mate-backgrounds",
    version="1.26.0-1",
    sha256={
        "mate-backgrounds_1.26.0-1_all.deb": "7bf4c2209f34b4f61ba6d24c8b58c28b361e82e4b943aae6d42c030169af9e04",
    },
    client="apt",
    archive="mate-backgrounds_1.26.0-1_all.deb",
    size=46_638_500,
    root="usr/share/backgrounds/mate/nature",
)
_OPENCV = Source(
    name="backgrounds",
    package="opencv-doc",
    version="4.6.0+dfsg-12",
    sha256={
        "opencv-doc_4.6.0+dfsg-12_all.deb": "4b12681df35878207ac7097dc66184b2ae552e4bf4ddd2af04a0f03ed0b8682a",
    },
    client="apt",
    archive="opencv-doc_4.6.0+dfsg-12_all.deb",
    size=95_715_012,
    root="usr/share/doc/opencv-doc/examples/data",
)
_FILES = (
    (_MATE, (
        "Aqua.jpg", "Blinds.jpg", "Dune.jpg", "FreshFlower.jpg", "Garden.jpg", "GreenMeadow.jpg", "LadyBird.jpg",
        "RainDrops.jpg", "Storm.jpg", "TwoWings.jpg", "Wood.jpg", "YellowFlower.jpg",
    )),
    (_OPENCV, (
        "aero1.jpg", "aloeL.jpg", "baboon.jpg", "board.jpg", "building.jpg", "butterfly.jpg", "fruits.jpg",
        "graf1.png", "home.jpg", "leuvenA.jpg", "rubberwhale1.png", "squirrel_cls.jpg", "starry_night.jpg",
        "stuff.jpg",
    )),
)  # fmt: skip
SIDE = 192
"""Pixels of a square."""


@dataset(
    what="Photographs without people, whole and in parts, labelled by photograph.",
    size="126 squares of 192 × 192, from 26 photographs",
    licence="GPL-2+ and CC-BY-SA-4.0 (mate-backgrounds); that of opencv-doc, see the package",
    source=_MATE,
    also=(_OPENCV,),
)
def backgrounds(data_dir: str | Path | None = None) -> Images:
    """Squares of photographs, split by photograph: 16 train, 3 validation, 7 test.

    Args:
        data_dir: folder with both Debian packages, or with the files of both. Without it, see `lookup`.

    Raises:
        DataError: missing, damaged or truncated files.
    """
    content = {name: text for source, files in _FILES for name, text in read(source, files, data_dir).content.items()}
    names = [name for _, files in _FILES for name in files]
    parts = [squares(decode(content[name], name, "RGB")) for name in names]
    labels_N = torch.arange(len(names)).repeat_interleave(torch.tensor([len(part) for part in parts]))
    rows = group_folds(labels_N, 4, torch.Generator().manual_seed(0), "photographs")[0]
    images_NCHW = torch.cat(parts)
    split: dict[str, Any] = {part: images_NCHW[mask_N] for part, mask_N in rows.items()}
    split |= {f"{part}_labels": labels_N[mask_N] for part, mask_N in rows.items()}
    where = " and ".join(source.package for source, _ in _FILES)
    return Images("backgrounds", where, tuple(name.split(".")[0] for name in names), **split)


def squares(photograph_CHW: Tensor, side: int = SIDE) -> Tensor:
    """The middle square of a photograph, (1, C, side, side), and its four quarters behind it if they are large enough.

    >>> [len(squares(torch.zeros(3, 300, wide), side=100)) for wide in (150, 900)]
    [1, 5]
    """
    whole = min(photograph_CHW.shape[1:])
    top, left = ((length - whole) // 2 for length in photograph_CHW.shape[1:])
    middle = photograph_CHW[:, top : top + whole, left : left + whole]
    half = whole // 2
    parts = [middle]
    if half >= side:
        parts += [middle[:, i : i + half, j : j + half] for i in (0, half) for j in (0, half)]
    scaled = [functional.interpolate(part[None], (side, side), mode="bilinear", antialias=True) for part in parts]
    return torch.cat(scaled).clamp(0, 1)

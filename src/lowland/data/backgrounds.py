"""Photographs without people, to put other things on: of three Debian packages."""

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
_LOMIRI = Source(
    name="backgrounds",
    package="lomiri-wallpapers-16.04",
    version="20.04.0-2",
    sha256={
        "lomiri-wallpapers-16.04_20.04.0-2_all.deb": "a99ff6a3bfe451e4cc0682ecb3cc82e71740626d59e4845ae34a0a0e45421eab",
    },
    client="apt",
    archive="lomiri-wallpapers-16.04_20.04.0-2_all.deb",
    size=15_783_184,
    root="usr/share/backgrounds",
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
_MORE = (
    "Bridge_by_Sander_Klootwijk.jpg", "Dragonfly_by_Bolly.jpg", "Picture_0B_by_freespace.jpg",
    "Picture_1A_by_freespace.jpg", "Wine_by_Jakkub_Mede.jpg", "aitzgorri_by_Aitzol_Berasategi.jpg",
    "analogpattern_by_Peter_Nerlich.jpg", "free_by_Peter_Nerlich.jpg", "friends_by_Aitzol_Berasategi.jpg",
    "greentock_by_Peter_Nerlich.jpg", "life_by_Aitzol_Berasategi.jpg", "picosdeeuropa_by_Aitzol_Berasategi.jpg",
    "seeding_by_Clements_Engelhardt.jpg", "sunset_by_Aitzol_Berasategi.jpg", "umang_by_Abhishek_Mudgal.jpg",
)  # fmt: skip
"""Of `_LOMIRI`, to learn from alone: what is tested on stays what it was without them."""
SIDE = 192
"""Pixels of a square."""


@dataset(
    what="Photographs without people, whole and in parts, labelled by photograph.",
    size="about 500 squares of 192 × 192, from 41 photographs",
    licence="GPL-2+ and CC-BY-SA-4.0 (mate-backgrounds); CC-BY and CC-BY-SA, see the package (lomiri-wallpapers); "
    "that of opencv-doc, see the package",
    source=_MATE,
    also=(_OPENCV, _LOMIRI),
)
def backgrounds(data_dir: str | Path | None = None) -> Images:
    """Squares of photographs, split by photograph: 31 train, 3 validation, 7 test.

    Photographs to learn from are cut more finely, see `squares`, since there are few of them.

    Args:
        data_dir: folder with the three Debian packages, or with the files of all. Without it, see `lookup`.

    Raises:
        DataError: missing, damaged or truncated files.
    """
    files = (*_FILES, (_LOMIRI, _MORE))
    content = {name: text for source, names in files for name, text in read(source, names, data_dir).content.items()}
    names = [name for _, some in files for name in some]
    divided = len(names) - len(_MORE)
    folds = group_folds(torch.arange(divided), 4, torch.Generator().manual_seed(0), "photographs")[0]
    learnt = set(folds["train"].nonzero()[:, 0].tolist()) | set(range(divided, len(names)))
    parts = [
        squares(decode(content[name], name, "RGB"), cuts=(2, 4) if number in learnt else (2,))
        for number, name in enumerate(names)
    ]
    labels_N = torch.arange(len(names)).repeat_interleave(torch.tensor([len(part) for part in parts]))
    own = {"train": learnt, **{part: set(folds[part].nonzero()[:, 0].tolist()) for part in ("validation", "test")}}
    split: dict[str, Any] = {}
    for part, numbers in own.items():
        split[part] = torch.cat([parts[number] for number in sorted(numbers)])
        split[f"{part}_labels"] = labels_N[torch.isin(labels_N, torch.tensor(sorted(numbers)))]
    where = " and ".join(source.package for source, _ in files)
    return Images("backgrounds", where, tuple(name.split(".")[0] for name in names), **split)


def squares(photograph_CHW: Tensor, side: int = SIDE, cuts: tuple[int, ...] = (2,)) -> Tensor:
    """The middle square of a photograph, (1, C, side, side), and behind it the squares that it is cut into.

    Args:
        cuts: into how many squares a side is cut: its four quarters for 2, and the sixteenths as well for (2, 4).
            Squares that would have to be made larger are left out.

    >>> [len(squares(torch.zeros(3, 300, wide), side=100)) for wide in (150, 900)]
    [1, 5]
    >>> len(squares(torch.zeros(3, 80, 80), side=20, cuts=(2, 4)))
    21
    """
    whole = min(photograph_CHW.shape[1:])
    top, left = ((length - whole) // 2 for length in photograph_CHW.shape[1:])
    middle = photograph_CHW[:, top : top + whole, left : left + whole]
    parts = [middle]
    for cut in cuts:
        size = whole // cut
        if size >= side:
            places = [size * place for place in range(cut)]
            parts += [middle[:, i : i + size, j : j + size] for i in places for j in places]
    scaled = [functional.interpolate(part[None], (side, side), mode="bilinear", antialias=True) for part in parts]
    return torch.cat(scaled).clamp(0, 1)

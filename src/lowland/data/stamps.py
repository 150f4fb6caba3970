"""Stamps of Tux Paint: cut-outs of animals, plants, vehicles, letters and other things, with their opacity."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lowland.data.catalogue import dataset
from lowland.data.groups import group_folds
from lowland.data.images import Images
from lowland.data.lookup import read_all
from lowland.data.pixels import opened, reason
from lowland.data.source import Source
from lowland.errors import DataError

_ARCHIVE = "tuxpaint-stamps-default_2022.06.04-1_all.deb"
_SOURCE = Source(
    name="stamps",
    package="tuxpaint-stamps-default",
    version="2022.06.04-1",
    sha256={_ARCHIVE: "6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34"},
    client="apt",
    archive=_ARCHIVE,
    size=160_880_444,
    root="usr/share/tuxpaint/stamps",
)
_FOLDS = 5
_ALIKE = ("symbols/chess/", "symbols/money/", "town/flags/")
"""Folders whose stamps are one series, whatever they are called."""
SIDE = 64
"""Pixels of the longer side of a stamp."""


@dataset(
    what="Stamps of Tux Paint: cut-outs in 16 categories, in red, green, blue and opacity.",
    size="784 of 64 × 64",
    licence="GPL-2+",
    source=_SOURCE,
)
def stamps(data_dir: str | Path | None = None) -> Images:
    """Stamps, labelled by category and split by `series`: about 64 % train, 16 % validation and 20 % test.

    Each is cropped to what is more than half opaque, scaled so that its longer side has 64 pixels, and put into the
    middle of a transparent square. Channels are red, green, blue and opacity. Mirror images of other stamps are left
    out, and so is the second of two equal files.

    Args:
        data_dir: folder with the Debian package. Without it, see `lookup`.

    Raises:
        DataError: missing, damaged or truncated files.
    """
    found = read_all(_SOURCE, ".png", data_dir)
    once: dict[bytes, str] = {}
    for name in sorted(found.content):
        if not name.endswith("_mirror.png"):
            once.setdefault(found.content[name], name)
    generator = torch.Generator().manual_seed(0)
    names = [list(once.values())[row] for row in torch.randperm(len(once), generator=generator).tolist()]
    categories, groups = (sorted(set(map(of, names))) for of in (_category, series))
    images_N4SS = torch.stack([cut_out(found.content[name], name) for name in names]).float() / 255
    labels_N = torch.tensor([categories.index(_category(name)) for name in names])
    groups_N = torch.tensor([groups.index(series(name)) for name in names])
    rows = group_folds(groups_N, _FOLDS, generator, "series of stamps")[0]
    split: dict[str, Any] = {part: images_N4SS[mask_N] for part, mask_N in rows.items()}
    split |= {f"{part}_labels": labels_N[mask_N] for part, mask_N in rows.items()}
    return Images(_SOURCE.name, found.where, tuple(categories), **split)


def _category(name: str) -> str:
    return name.split("/")[0]


def series(name: str) -> str:
    """The series of a stamp: the first word of its name, or the folder if its name has no word or all there are alike.

    So letters of all styles and cases go together, and so do numbered ones and those with a word added.

    >>> [series(f"symbols/alphabets/english/{name}.png") for name in ("filled/uppercase/A_filled", "a_outline")]
    ['a', 'a']
    >>> [series(name) for name in ("plants/flowers/flower10.png", "symbols/math/7.png", "town/flags/redflag.png")]
    ['flower', 'symbols/math', 'town/flags']
    """
    folder, _, last = name.removesuffix(".png").rpartition("/")
    word = re.search("[a-z]+", last.lower())
    alike = next((one for one in _ALIKE if name.startswith(one)), None)
    return alike.rstrip("/") if alike else word[0] if word else folder


def cut_out(payload: bytes, name: str, side: int = SIDE) -> Tensor:
    """A picture with opacity, cropped to what is more than half opaque and scaled: uint8 (4, side, side).

    Raises:
        DataError: for a picture that cannot be read, or that is nowhere more than half opaque.
    """
    from PIL import Image

    try:
        with opened(payload) as image:
            whole = image.convert("RGBA")
    except Exception as error:
        raise DataError(f"The picture {name} {reason(error)}.") from error
    box = whole.getchannel("A").point([0] * 128 + [255] * 128).getbbox()
    if box is None:
        raise DataError(f"The picture {name} is nowhere more than half opaque: there is nothing to cut out.")
    width, height = box[2] - box[0], box[3] - box[1]
    scale = side / max(width, height)
    size = max(1, round(scale * width)), max(1, round(scale * height))
    square = Image.new("RGBA", (side, side))
    square.paste(whole.crop(box).resize(size, Image.Resampling.BICUBIC), ((side - size[0]) // 2, (side - size[1]) // 2))
    return torch.from_numpy(np.asarray(square).copy()).permute(2, 0, 1)

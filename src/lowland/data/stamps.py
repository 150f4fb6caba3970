"""Stamps of Tux Paint: cut-outs of animals, plants, vehicles, letters and other things, with their opacity."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lowland.data.catalogue import dataset
from lowland.data.images import Images, assemble
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
SIDE = 64
"""Pixels of the longer side of a stamp."""


@dataset(
    what="Stamps of Tux Paint: cut-outs in 16 categories, in red, green, blue and opacity.",
    size="796 of 64 × 64",
    licence="GPL-2+",
    source=_SOURCE,
)
def stamps(data_dir: str | Path | None = None) -> Images:
    """Stamps, labelled by category: 70 % train, 10 % validation and 20 % test of each, by a fixed draw.

    Each is cropped to what is more than half opaque, scaled so that its longer side has 64 pixels, and put into the
    middle of a transparent square. Channels are red, green, blue and opacity.

    Args:
        data_dir: folder with the Debian package. Without it, see `lookup`.

    Raises:
        DataError: missing, damaged or truncated files.
    """
    found = read_all(_SOURCE, ".png", data_dir)
    names = sorted(found.content)
    categories = tuple(sorted({name.split("/")[0] for name in names}))
    pixels = torch.stack([cut_out(found.content[name], name) for name in names])
    labels = torch.tensor([categories.index(name.split("/")[0]) for name in names])
    return assemble(_SOURCE.name, found.where, categories, (pixels, labels), test=0.2, validation=1 / 8)


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

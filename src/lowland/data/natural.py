"""Patches of natural photographs, by default of the two sample images in scikit-learn's wheel."""

from __future__ import annotations

import logging
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from lowland.data.catalogue import dataset
from lowland.data.images import Images, assemble
from lowland.data.lookup import read
from lowland.data.pictures import decode, scale
from lowland.data.source import Source
from lowland.errors import DataError, OptionError, nearest

_log = logging.getLogger(__name__)
_SOURCE = Source(
    name="patches",
    package="scikit-learn",
    version="1.6 to 1.9",
    sha256={
        "china.jpg": "8378025ad2519d649d02e32bd98990db4ab572357d9f09841c2fbfbb4fefad29",
        "flower.jpg": "a77f6ec41e353afdf8bdff2ea981b2955535d8d83294f8cfa49cf4e423dd5638",
    },
    root="datasets/images",
    module="sklearn",
)
_PHOTOS = ("china.jpg", "flower.jpg")
_PARTS = {"train": (0.0, 0.625), "validation": (0.625, 0.75), "test": (0.75, 1.0)}
_GREY = (0.299, 0.587, 0.114)
"""Luminance weights of red, green and blue (ITU-R BT.601)."""


def patches(
    size: int = 12,
    count: int = 10_000,
    generator: torch.Generator | None = None,
    *,
    unit_norm: bool = True,
    min_contrast: float = 0.01,
    part: str | None = None,
    data_dir: str | Path | None = None,
) -> Tensor:
    """Grey patches y ← (y − mean y) / ‖y − mean y‖ of natural photographs, for sparse coding: float32 (count, size²).

    Positions are drawn uniformly without replacement among all those with enough contrast.

    Args:
        size: side in pixels; 12 as in predictive sparse decomposition.
        count: number of patches.
        generator: draws the positions; by default one with seed 0.
        unit_norm: divide by the norm; False only removes the mean, which leaves grey levels in [−1, 1].
        min_contrast: minimum standard deviation of a patch's grey levels in [0, 1]. The default, 2.5 levels of 256,
            excludes flat sky, whose compression noise would be amplified by the norm.
        part: "train", "validation" or "test": from the left five eighths of each photograph, the next eighth or the
            right quarter, so that patches of two parts never overlap. By default from anywhere.
        data_dir: folder of your own photographs (.jpg, .jpeg, .png), instead of scikit-learn's.

    Raises:
        OptionError: for a size or count that the photographs cannot give, or an unknown part.
        DataError: for missing or damaged photographs.

    >>> y = patches(size=8, count=100)
    >>> y.shape, bool(y.mean(1).abs().max() < 1e-6), bool((y.norm(dim=1) - 1).abs().max() < 1e-5)
    (torch.Size([100, 64]), True, True)
    """
    photos = photographs(data_dir) if part is None else _strip(photographs(data_dir), part)
    raw_ND, _ = _draw(photos, size, count, generator or torch.Generator().manual_seed(0), min_contrast)
    centred_ND = raw_ND - raw_ND.mean(dim=1, keepdim=True)
    return F.normalize(centred_ND, dim=1) if unit_norm else centred_ND


@dataset(
    what="Grey 12 × 12 patches of scikit-learn's two sample photographs, labelled by photograph.",
    size="10,000 of 12 × 12, and more on demand",
    licence="CC BY 2.0 (photographs by danielbuechele and vultilion)",
    source=_SOURCE,
)
def patch_images(data_dir: str | Path | None = None) -> Images:
    """Natural patches with their grey levels in [0, 1]: 7,000 train, 1,000 validation, 2,000 test.

    Test patches come from the right quarter of each photograph and the others from the rest, so that none overlap.

    Args:
        data_dir: folder of your own photographs, instead of scikit-learn's.
    """
    photos = photographs(data_dir)
    generator = torch.Generator().manual_seed(0)
    borders = [grey_HW.shape[1] * 3 // 4 for grey_HW in photos.values()]
    left = {name: grey_HW[:, :border] for (name, grey_HW), border in zip(photos.items(), borders, strict=True)}
    right = {name: grey_HW[:, border:] for (name, grey_HW), border in zip(photos.items(), borders, strict=True)}
    train, test = (_draw(half, 12, count, generator, 0.01) for half, count in ((left, 8000), (right, 2000)))
    where = _SOURCE.package if data_dir is None else f"files in {data_dir}"
    return assemble(
        _SOURCE.name,
        where,
        tuple(photos),
        train=(train[0].reshape(-1, 1, 12, 12), train[1]),
        test=(test[0].reshape(-1, 1, 12, 12), test[1]),
        validation=1 / 8,
        levels=1.0,
    )


def photographs(data_dir: str | Path | None = None) -> dict[str, Tensor]:
    """Grey photographs by file name, float32 (H, W) in [0, 1], in their own sizes; see `patches` for `data_dir`."""
    names = list(_PHOTOS)
    if data_dir is not None and Path(data_dir).is_dir():
        names = sorted(p.name for p in Path(data_dir).iterdir() if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
        if not names:
            raise DataError(f"{data_dir} holds no photographs (.jpg, .jpeg, .png).")
    photos: dict[str, Tensor] = {}
    payloads = read(_SOURCE, names, data_dir).content
    levels, note = scale(payloads)
    if note:
        _log.warning("%s", note)
    for name, payload in payloads.items():
        pixels_CHW = decode(payload, name, "RGB", levels)
        # Rounding of the weighted sum may exceed 1 in the last bit.
        photos[name] = torch.einsum("chw,c->hw", pixels_CHW, pixels_CHW.new_tensor(_GREY)).clamp(0, 1)
    return photos


def _strip(photos: dict[str, Tensor], part: str) -> dict[str, Tensor]:
    """The same strip of every photograph."""
    if part not in _PARTS:
        raise OptionError(f"There is no part called {part!r}. {nearest(part, _PARTS)}")
    first, last = _PARTS[part]
    return {name: grey[:, round(first * grey.shape[1]) : round(last * grey.shape[1])] for name, grey in photos.items()}


def _draw(
    photos: dict[str, Tensor], size: int, count: int, generator: torch.Generator, min_contrast: float
) -> tuple[Tensor, Tensor]:
    """Patches (count, size²) at distinct positions, and the index of each one's photograph (count,)."""
    if size < 2 or count < 1:
        raise OptionError(f"Patches need a size of at least 2 and a count of at least 1, not {size} and {count}.")
    windows, labels = [], []
    for label, (name, grey_HW) in enumerate(photos.items()):
        if min(grey_HW.shape) < size:
            raise OptionError(f"Patches of {size} × {size} do not fit into {name}, {tuple(grey_HW.shape)}.")
        views = grey_HW.unfold(0, size, 1).unfold(1, size, 1)
        windows.append(views)
        # In float64 the difference of the two averages keeps enough digits for a flat patch.
        exact = grey_HW.double()[None, None]
        variance = F.avg_pool2d(exact.square(), size, 1) - F.avg_pool2d(exact, size, 1).square()
        rows, columns = (variance[0, 0] >= min_contrast**2).nonzero(as_tuple=True)
        labels.append(torch.stack([torch.full_like(rows, label), rows, columns], dim=1))
    places = torch.cat(labels)
    if len(places) < count:
        raise OptionError(f"The photographs have only {len(places)} patches of this size and contrast, not {count}.")
    chosen = places[torch.randperm(len(places), generator=generator)[:count]]
    drawn_ND = torch.empty(count, size * size, dtype=torch.float32)
    for label, views in enumerate(windows):
        mine = chosen[:, 0] == label
        drawn_ND[mine] = views[chosen[mine, 1], chosen[mine, 2]].reshape(-1, size * size)
    return drawn_ND, chosen[:, 0]

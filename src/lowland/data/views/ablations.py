"""Settings for an ablation of views: none, each augmentation alone, and the presets."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

from lowland.data.views.images import ImageViews
from lowland.data.views.jigsaw import Jigsaw
from lowland.data.views.series import SeriesViews
from lowland.data.views.vectors import VectorViews
from lowland.errors import OptionError, nearest

Settings: TypeAlias = dict[str, ImageViews | SeriesViews | VectorViews | Jigsaw]

_COLOUR: Settings = {
    "no augmentation": ImageViews.none(),
    "crop only": ImageViews.crop_only(),
    "flip alone": replace(ImageViews.none(), flip=0.5),
    "colour alone": replace(ImageViews.none(), colour=1.0),
    "hue alone": replace(ImageViews.none(), colour=1.0, brightness=0.0, contrast=0.0, saturation=0.0, hue=0.5),
    "grey alone": replace(ImageViews.none(), grey=0.5),
    "blur alone": replace(ImageViews.none(), blur=1.0),
    "solarise alone": replace(ImageViews.none(), solarise=0.5),
    "mask alone": replace(ImageViews.none(), mask=1.0),
    "as in SimCLR": ImageViews.simclr(),
    "as in VICReg": ImageViews.vicreg(),
    "jigsaw": Jigsaw(),
}
_GREY: Settings = {
    "no augmentation": ImageViews.none(),
    "crop only": ImageViews.crop_only(),
    "mild": ImageViews.mild(),
    "upright": ImageViews.upright(),
    "in place": ImageViews.in_place(),
    "as in SimCLR": ImageViews.simclr(),
    "jigsaw": Jigsaw(grid=2),
}
_SERIES: Settings = {
    "no augmentation": SeriesViews.none(),
    "crop only": SeriesViews.crop_only(),
    "warp alone": replace(SeriesViews.none(), warp=0.5),
    "scale alone": replace(SeriesViews.none(), scale=0.3),
    "jitter alone": replace(SeriesViews.none(), jitter=0.1),
    "mask alone": replace(SeriesViews.none(), mask=1.0),
    "defaults": SeriesViews(),
}
_VECTORS: Settings = {
    "no augmentation": VectorViews.none(),
    "noise alone": VectorViews(noise=0.3, drop=0.0),
    "drop alone": VectorViews(noise=0.0, drop=0.2),
    "defaults": VectorViews(),
}
_KINDS = {"colour": _COLOUR, "grey": _GREY, "series": _SERIES, "vectors": _VECTORS}


def ablations(kind: str) -> Settings:
    """Views by name: what to compare, by probes or by eye, to see which augmentation helps.

    Args:
        kind: "colour" or "grey", of images; "series", or "vectors".

    Raises:
        OptionError: for another kind.

    >>> list(ablations("vectors"))
    ['no augmentation', 'noise alone', 'drop alone', 'defaults']
    """
    if kind not in _KINDS:
        raise OptionError(f"There are no views of {kind!r}. {nearest(kind, _KINDS)}")
    return dict(_KINDS[kind])

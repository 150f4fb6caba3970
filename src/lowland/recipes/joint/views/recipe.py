"""What augmented views look like, setting by setting, and how far apart two views of one sample are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor

from lowland.data.catalogue import load
from lowland.data.photos import photo_crops
from lowland.data.toy_samples import chirps, wines
from lowland.data.views import ImageViews, Jigsaw, SeriesViews, VectorViews, changed_options, two_views
from lowland.errors import OptionError
from lowland.evaluation import view_distance
from lowland.plots import contact_sheet
from lowland.recipes.base import Bound, Recipe, recipe
from lowland.reports.run import Run

Views = ImageViews | SeriesViews | VectorViews | Jigsaw
Settings = Mapping[str, Views]
NONE = "no augmentation"

COLOUR: Settings = {
    NONE: ImageViews.none(),
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
GREY: Settings = {
    NONE: ImageViews.none(),
    "crop only": ImageViews.crop_only(),
    "mild": ImageViews.mild(),
    "upright": ImageViews.upright(),
    "in place": ImageViews.in_place(),
    "as in SimCLR": ImageViews.simclr(),
    "jigsaw": Jigsaw(grid=2),
}
SERIES: Settings = {
    NONE: SeriesViews.none(),
    "crop only": SeriesViews.crop_only(),
    "warp alone": replace(SeriesViews.none(), warp=0.5),
    "scale alone": replace(SeriesViews.none(), scale=0.3),
    "jitter alone": replace(SeriesViews.none(), jitter=0.1),
    "mask alone": replace(SeriesViews.none(), mask=1.0),
    "defaults": SeriesViews(),
}
VECTORS: Settings = {
    NONE: VectorViews.none(),
    "noise alone": VectorViews(noise=0.3, drop=0.0),
    "drop alone": VectorViews(noise=0.0, drop=0.2),
    "defaults": VectorViews(),
}
KINDS: Mapping[str, Settings] = {"colour": COLOUR, "grey": GREY, "series": SERIES, "vectors": VECTORS}


@recipe
@dataclass(frozen=True)
class ViewsRecipe(Recipe):
    """Two views a, b of each sample, by each setting, and E‖a − b‖² as a share of that of two samples."""

    shown: Annotated[int, Bound(least=2)] = 8
    """Samples in a row; every second tile is another view of the sample to its left."""
    samples: Annotated[int, Bound(least=2)] = 256
    """Samples on which distances are measured."""
    side: Annotated[int, Bound(least=8, most=256)] = 48
    """Height and width of the colour images, cut out of photographs."""
    grey: str = "digits"
    """Grey images: a data set, such as digits, mnist10k or fashion_mnist."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {"smoke": {"shown": 4, "samples": 16, "side": 24}}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.shown % 2 or self.samples < self.shown // 2:
            raise OptionError(
                "shown must be an even number, and samples at least half of it, but they are "
                f"{self.shown} and {self.samples}."
            )

    def run(self, run: Run) -> None:
        run.expect(len(KINDS))
        tiles = {}
        for kind in KINDS:
            found = run.stage(kind, partial(self._look, kind))
            for name, distance in found["distance"].items():
                run.measured.set(name, kind, distance)
            tiles[kind] = found["tiles"]
        run.part(self.figures, tiles)

    def figures(self, run: Run, tiles: Mapping[str, Any]) -> None:
        for kind, own in KINDS.items():
            run.figure(kind, partial(contact_sheet, tiles[kind]))
            rows = [
                (name, changed_options(views, own[NONE]), run.measured.mean(name, kind)) for name, views in own.items()
            ]
            columns = ("setting", "options that differ from no augmentation", "distance")
            run.table(columns, rows, name=f"{kind} settings")

    @torch.no_grad()
    def _look(self, kind: str) -> dict[str, Any]:
        """Pairs of views to be shown, and how far apart they are, by setting."""
        samples = self._samples(kind).to(self.device)
        tiles, distance = {"the sample": self._pairs(samples, samples)}, {}
        for name, views in KINDS[kind].items():
            a, b = two_views(views, samples, 2 * self.seed)
            tiles[name], distance[name] = self._pairs(a, b), view_distance(a, b, samples)
        return {"tiles": tiles, "distance": distance}

    def _samples(self, kind: str) -> Tensor:
        draws = {
            "colour": lambda: photo_crops(self.samples, self.side, self.generator()),
            "grey": lambda: load(self.grey).train[: self.samples],
            "series": lambda: chirps(self.samples, self.generator(1)),
            "vectors": lambda: wines(self.samples, self.generator(2)),
        }
        return draws[kind]()

    def _pairs(self, a: Tensor, b: Tensor) -> Tensor:
        pairs = torch.stack([a, b], dim=1).flatten(0, 1)[: self.shown].cpu()
        return pairs if pairs.ndim > 2 else pairs[:, None]  # a vector is drawn as a line

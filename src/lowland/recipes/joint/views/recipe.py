"""What augmented views look like, setting by setting, and how far apart two views of one sample are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar

import torch
from torch import Tensor

from lowland.data.catalogue import load
from lowland.data.photos import photo_crops
from lowland.data.toy_samples import chirps, wines
from lowland.data.views import ablations, changed_options, two_views
from lowland.errors import OptionError
from lowland.evaluation import view_distance
from lowland.plots import contact_sheet
from lowland.recipes.base import Bound, Recipe, recipe
from lowland.reports.run import Run

KINDS = ("colour", "grey", "series", "vectors")


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
        for kind in KINDS:
            run.figure(kind, partial(contact_sheet, tiles[kind]))
            settings = ablations(kind)
            none = settings["no augmentation"]
            rows = [
                (name, changed_options(views, none), run.measured.mean(name, kind)) for name, views in settings.items()
            ]
            columns = ("setting", "options that differ from no augmentation", "distance")
            run.table(columns, rows, name=f"{kind} settings")

    @torch.no_grad()
    def _look(self, kind: str) -> dict[str, Any]:
        """Pairs of views to be shown, and how far apart they are, by setting."""
        samples = self._samples(kind).to(self.device)
        tiles, distance = {"the sample": self._pairs(samples, samples)}, {}
        for name, views in ablations(kind).items():
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

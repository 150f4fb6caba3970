"""What augmented views look like, setting by setting, and how far apart two views of one sample are."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from lowland.data import load as load_data
from lowland.data.views import ImageViews, Jigsaw, SeriesViews, VectorViews
from lowland.errors import OptionError
from lowland.plots.contact import contact_sheet
from lowland.recipes.base import Bound, Recipe, recipe
from lowland.reports.run import Run
from lowland.tensors import PerSampleRNG

Views = ImageViews | SeriesViews | VectorViews | Jigsaw
Settings = Mapping[str, Views]
NONE = "no augmentation"

COLOUR: Settings = {
    NONE: ImageViews.none(),
    "crop only": ImageViews.crop_only(),
    "flip alone": dataclasses.replace(ImageViews.none(), flip=0.5),
    "colour alone": dataclasses.replace(ImageViews.none(), colour=1.0),
    "hue alone": dataclasses.replace(
        ImageViews.none(), colour=1.0, brightness=0.0, contrast=0.0, saturation=0.0, hue=0.5
    ),
    "grey alone": dataclasses.replace(ImageViews.none(), grey=0.5),
    "blur alone": dataclasses.replace(ImageViews.none(), blur=1.0),
    "solarise alone": dataclasses.replace(ImageViews.none(), solarise=0.5),
    "mask alone": dataclasses.replace(ImageViews.none(), mask=1.0),
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
    "warp alone": dataclasses.replace(SeriesViews.none(), warp=0.5),
    "scale alone": dataclasses.replace(SeriesViews.none(), scale=0.3),
    "jitter alone": dataclasses.replace(SeriesViews.none(), jitter=0.1),
    "mask alone": dataclasses.replace(SeriesViews.none(), mask=1.0),
    "defaults": SeriesViews(),
}
VECTORS: Settings = {
    NONE: VectorViews.none(),
    "noise alone": VectorViews(noise=0.3, drop=0.0),
    "drop alone": VectorViews(noise=0.0, drop=0.2),
    "defaults": VectorViews(),
}


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
        draws: dict[str, tuple[Callable[[], Tensor], Settings]] = {
            "colour": (self._colour, COLOUR),
            "grey": (self._grey, GREY),
            "series": (self._series, SERIES),
            "vectors": (self._vectors, VECTORS),
        }
        run.expect(len(draws))
        tiles = {}
        for kind, (draw, settings) in draws.items():
            found = run.stage(kind, lambda draw=draw, settings=settings: self._look(draw(), settings))
            for name, distance in found["distance"].items():
                run.measured.set(name, kind, distance)
            tiles[kind] = found["tiles"]
        run.part(self._figures, tiles, {kind: settings for kind, (_, settings) in draws.items()})

    def _figures(self, run: Run, tiles: Mapping[str, Any], settings: Mapping[str, Settings]) -> None:
        for kind, own in settings.items():
            run.figure(kind, partial(contact_sheet, tiles[kind]))
            rows = [(name, _options(views, own[NONE]), run.measured.mean(name, kind)) for name, views in own.items()]
            run.table(
                ("setting", "options that differ from no augmentation", "distance"), rows, name=f"{kind} settings"
            )

    @torch.no_grad()
    def _look(self, samples: Tensor, settings: Settings) -> dict[str, Any]:
        samples = samples.to(self.device)
        sample_ids = torch.arange(len(samples), device=self.device)
        apart = 2 * samples.flatten(1).var(dim=0).sum()  # E‖a − b‖² of two samples is twice their variance
        tiles, distance = {}, {}
        for name, views in settings.items():
            a, b = (views(samples, PerSampleRNG(2 * self.seed + turn, sample_ids)) for turn in range(2))
            distance[name] = ((a - b).flatten(1).square().sum(dim=1).mean() / apart).item()
            pairs = torch.stack([a, b], dim=1).flatten(0, 1)[: self.shown].cpu()
            tiles[name] = pairs if pairs.ndim > 2 else pairs[:, None]  # a vector is drawn as a line
        return {"tiles": {"the sample": _twice(samples, self.shown), **tiles}, "distance": distance}

    def _colour(self) -> Tensor:
        from sklearn.datasets import load_sample_images

        generator, cuts = self.generator(), []
        scenes = [torch.from_numpy(scene.copy()).permute(2, 0, 1) for scene in load_sample_images().images]
        for number in range(self.samples):
            scene = scenes[number % len(scenes)]
            # Photographs are halved on the way, so that a cut shows more of them.
            top, left = (int(torch.randint(side - 2 * self.side, (), generator=generator)) for side in scene.shape[1:])
            cut = scene[:, top : top + 2 * self.side, left : left + 2 * self.side].float() / 255
            cuts.append(torch.nn.functional.avg_pool2d(cut, 2))
        return torch.stack(cuts)

    def _grey(self) -> Tensor:
        return load_data(self.grey).train[: self.samples]

    def _series(self) -> Tensor:
        """Two channels of 128 times: a wave whose pitch rises, and a bump."""
        time = torch.linspace(0, 1, 128)
        pitch, rise, place = torch.rand(3, self.samples, 1, generator=self.generator(1))
        wave = torch.sin(2 * torch.pi * (2 + 3 * pitch + 2 * rise * time) * time)
        bump = torch.exp(-(((time - 0.2 - 0.6 * place) / 0.08) ** 2))
        return torch.stack([wave, bump], dim=1)

    def _vectors(self) -> Tensor:
        """The 13 chemical measurements of wines, standardised."""
        from sklearn.datasets import load_wine

        measures = torch.from_numpy(np.asarray(load_wine(return_X_y=True)[0], dtype=np.float32))
        measures = (measures - measures.mean(dim=0)) / measures.std(dim=0)
        return measures[torch.randperm(len(measures), generator=self.generator(2))][: self.samples]


def _twice(samples: Tensor, count: int) -> Tensor:
    rows = samples[: count // 2].repeat_interleave(2, dim=0).cpu()
    return rows if rows.ndim > 2 else rows[:, None]


def _options(views: Views, none: Views) -> str:
    """Options by name and value, those of no augmentation left out."""
    own, other = dataclasses.asdict(views), dataclasses.asdict(none)
    said = [f"{name} {_plain(value)}" for name, value in own.items() if name not in other or other[name] != value]
    return ", ".join(said) or "none"


def _plain(value: object) -> str:
    if isinstance(value, dict):  # the views of each patch of a jigsaw
        patch = {name: each for name, each in value.items() if getattr(ImageViews.none(), name) != each}
        return "(" + ", ".join(f"{name} {_plain(each)}" for name, each in patch.items()) + ")"
    return f"{value[0]:.3g} to {value[1]:.3g}" if isinstance(value, tuple) else str(value)

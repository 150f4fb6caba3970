"""What the views look like, setting by setting, and how far apart they put two views of one sample."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from lowland.data import load as load_data
from lowland.data.views import ImageViews, Jigsaw, SeriesViews, VectorViews
from lowland.errors import OptionError
from lowland.plots.contact import contact_sheet
from lowland.recipes.base import Recipe, recipe
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


@recipe(
    "views",
    shows="Every kind of view on samples to look at: images in colour and grey, series, vectors; with the options that "
    "made it, and how far apart it puts two views of one sample.",
    rows=("J2", "J7"),
    minutes=0.3,
    title="Views: what two looks at one sample have in common",
)
@dataclass(frozen=True)
class ViewsRecipe(Recipe):
    """Two views of each sample, setting by setting."""

    shown: int = 8
    """Samples in a row; every second tile is another view of the sample at its left."""
    samples: int = 256
    """Samples that distances are measured on."""
    side: int = 48
    """Height and width of the colour images, cut out of photographs."""
    grey: str = "digits"
    """Grey images: a data set, such as digits, mnist10k or fashion_mnist."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {"smoke": {"shown": 4, "samples": 16, "side": 24}}

    def __post_init__(self) -> None:
        if self.shown < 2 or self.shown % 2 or self.samples < max(2, self.shown // 2) or not 8 <= self.side <= 256:
            raise OptionError(
                "shown must be an even number of at least 2, samples at least 2 and half of shown, and side from 8 "
                f"to 256, but they are {self.shown}, {self.samples} and {self.side}."
            )

    def run(self, run: Run) -> None:
        families: dict[str, tuple[str, Callable[[], Tensor], Settings]] = {
            "colour": ("Images in colour", self._colour, COLOUR),
            "grey": ("Grey images", self._grey, GREY),
            "series": ("Series", self._series, SERIES),
            "vectors": ("Vectors", self._vectors, VECTORS),
        }
        run.expect(len(families))
        looks: dict[str, dict[str, Any]] = {}
        for name, (title, draw, settings) in families.items():
            found = run.stage(name, lambda draw=draw, settings=settings: self._look(draw(), settings))
            looks[name] = found
            for each, distance in found["distance"].items():
                run.result(
                    id="J2" if each == "as in SimCLR" else "J7",
                    claim=f"{title.lower()}: distance of two views of a sample / of two samples",
                    method=f"{each} (baseline)" if each == NONE else each,
                    measured=distance,
                    data=f"{self.samples} samples, {_SOURCES.get(name, self.grey)}",
                )
        run.text(
            "Joint embedding learns that two views of a sample are the same thing, so that the views decide what it "
            "forgets: colour, place, scale, noise. Below, **every second tile is another view of the sample at its "
            "left**. The distance is the mean of ‖a − b‖² over two views a, b of one sample, as a share of the same "
            "mean over two samples: 0 where nothing changes, and 1 where a view has no more in common with another "
            "view than two samples have. A useful setting lies between, and pixels cannot say where: a probe can."
        )
        for name, (title, _, settings) in families.items():
            run.section(title)
            run.figure(name, partial(contact_sheet, looks[name]["tiles"]), _CAPTIONS[name])
            run.table(
                ("setting", "options that differ from no augmentation", "distance"),
                [(each, _options(settings[each], settings[NONE]), looks[name]["distance"][each]) for each in settings],
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
        """The 13 chemical measures of wines, standardised."""
        from sklearn.datasets import load_wine

        measures = torch.from_numpy(np.asarray(load_wine(return_X_y=True)[0], dtype=np.float32))
        measures = (measures - measures.mean(dim=0)) / measures.std(dim=0)
        return measures[torch.randperm(len(measures), generator=self.generator(2))][: self.samples]


_SOURCES = {
    "colour": "cuts of two photographs of scikit-learn",
    "series": "waves made here",
    "vectors": "wines of scikit-learn (178 at most)",
}
_CAPTIONS = {
    "colour": "Pairs of views of images in colour",
    "grey": "Pairs of views of grey images, which saturation, hue and grey leave as they are",
    "series": "Pairs of views of series with two channels, each view drawn to its own scale",
    "vectors": "Pairs of views of vectors of 13 features, each view drawn as a line to its own scale",
}


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

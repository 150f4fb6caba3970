"""Every pixel of a scene is labelled: by one scale and by three, by superpixels, and by a field of labels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from lowland.data.scenes import CLASSES, Scenes, draw_scenes
from lowland.data.superpixels import superpixels
from lowland.energies.grid_crf import GridCRF
from lowland.evaluation.segmentation import (
    baseline_labels,
    best_setting,
    confusions,
    piece_labels,
    scores_of,
    segmentation_row,
    smoothed_labels,
)
from lowland.nn.parsing import MultiScaleParser
from lowland.plots.curves import curves
from lowland.plots.label_maps import label_maps
from lowland.recipes.base import Bound, Count, NotNegative, Positive, SeededRecipe, recipe
from lowland.reports.run import Run
from lowland.training.segmentation import PixelTraining

ONE, BANDS, THREE, PIECES, FIELD = "one", "bands", "three", "superpixels", "field"
NETWORKS: dict[str, dict[str, Any]] = {ONE: {"scales": 1}, BANDS: {"scales": 3, "bands": True}, THREE: {"scales": 3}}
_SHOWN = 6


class Left(NamedTuple):
    """What the pictures need of the first seed: test scenes, labels by method, and losses of each training."""

    scenes: Scenes
    labels: dict[str, Tensor]
    losses: dict[str, tuple[list[int], list[float]]]


@recipe
@dataclass(frozen=True)
class ScenesRecipe(SeededRecipe):
    """E(x, y) = −Σ_p f_p(x)·y_p + λ Σ_(p,q) w_pq(x) (1 − y_p·y_q): x an image, y the labels of all its pixels."""

    trained: Annotated[int, Bound(least=2)] = 400
    """Scenes to learn from."""
    validated: Count = 40
    """Scenes on which the number of superpixels and λ are chosen."""
    tested: Count = 100
    """Scenes of the test; their textures are other parts of the photographs."""
    steps: Count = 800
    """Training steps of 8 scenes."""
    rate: Positive = 0.002
    """Highest learning rate of Adam."""
    pieces: tuple[Count, ...] = (200, 400, 800)
    """Superpixels of an image, to choose from."""
    smoothness: tuple[NotNegative, ...] = (0.5, 1.0, 2.0, 4.0)
    """λ, to choose from."""

    stages: ClassVar[int] = 4
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {
            "trained": 8, "validated": 2, "tested": 6, "steps": 4, "pieces": (50,), "smoothness": (1.0,), "seeds": 1,
        }
    }  # fmt: skip

    def measure(self, run: Run, seed: int) -> tuple[dict[str, dict[str, Any]], Left]:
        generator = self.generator(1000 + seed)
        train, validation, test = (
            draw_scenes(part, count, generator)
            for part, count in (("train", self.trained), ("validation", self.validated), ("test", self.tested))
        )
        energies, losses = {}, {}
        for name, options in NETWORKS.items():
            network = MultiScaleParser(train.shape, len(CLASSES), **options, generator=self.generator(seed))
            energies[name] = GridCRF(network).to(self.device)
            work = PixelTraining(energies[name], train, self.steps, self.rate, seed)
            losses[name] = run.stage(f"train/{name}", work.curve, [energies[name]])
            energies[name].cpu()
        found = run.stage("label", partial(self._label, energies, train, validation, test, seed))
        labels = {name: each.long() for name, each in found["labels"].items()}
        rows = {name: segmentation_row(confusions(each, test.labels, len(CLASSES))) for name, each in labels.items()}
        for name, value in found["settings"].items():
            rows[name]["setting"] = value
        curve = {name: (each["steps"], each["loss"]) for name, each in losses.items()}
        return rows, Left(test, labels, curve)

    def _label(
        self, energies: dict[str, GridCRF], train: Scenes, validation: Scenes, test: Scenes, seed: int
    ) -> dict[str, Any]:
        """The labels of the test scenes by each method, and the settings that validation scenes chose."""
        labels = baseline_labels(train, test, seed)
        labels |= {name: scores_of(energy, test.images).argmax(dim=1) for name, energy in energies.items()}
        energy = energies[THREE]

        def pieced(scenes: Scenes, count: float) -> Tensor:
            return piece_labels(scores_of(energy, scenes.images), superpixels(scenes.pixels(), int(count)))

        def smoothed(scenes: Scenes, smoothness: float) -> Tensor:
            return smoothed_labels(energy, scenes.images, smoothness)

        settings = {}
        for name, method, choices in ((PIECES, pieced, self.pieces), (FIELD, smoothed, self.smoothness)):
            settings[name] = best_setting(method, validation, choices)
            labels[name] = method(test, settings[name])
        return {"labels": {name: each.to(torch.uint8) for name, each in labels.items()}, "settings": settings}

    def figures(self, run: Run, first: Left) -> None:
        rows = slice(0, _SHOWN)
        names = {"truth": first.scenes.labels[rows], **{name: each[rows] for name, each in first.labels.items()}}
        run.figure("labels", label_maps(first.scenes.images[rows], names, CLASSES))
        run.figure("training", curves(first.losses, xlabel="step", ylabel="loss of a pixel"))

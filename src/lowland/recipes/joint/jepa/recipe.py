"""Masked patches predicted as latents or as pixels, and what an encoder learns from either."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from matplotlib.figure import Figure
from torch import Tensor

from lowland.data.images import Images
from lowland.energies.masked_prediction import MaskedPrediction
from lowland.nn.encoders.vision_transformer import VisionTransformer
from lowland.plots import mosaic, nearest_images, token_sheet
from lowland.recipes.base import Count, Share, recipe
from lowland.recipes.joint.common import Encoders, Method, Predictive, crops_and_flips
from lowland.reports.run import Run
from lowland.shaping.predictive.masked import IJEPA, MAE, Data2Vec
from lowland.shaping.predictive.masks import PatchMasks
from lowland.tensors import PerSampleRNG

SHOWN = 10
MASKS = {
    "masked for I-JEPA": PatchMasks(),
    "masked for data2vec": PatchMasks(share=0.6),
    "masked for MAE": PatchMasks.scattered(),
}


@recipe
@dataclass(frozen=True)
class JepaRecipe(Predictive):
    """F(x, y, z) = mean over masked patches of ‖p(h(x ∖ z))_i − t(y)_i‖² by I-JEPA, data2vec and MAE."""

    patch: Count = 4
    """Side of a patch, in pixels."""
    width: Count = 96
    """Width of the transformer."""
    depth: Count = 4
    """Blocks of the transformer."""
    heads: Count = 3
    """Heads of its attention."""
    predictor: tuple[Count, Count] = (48, 2)
    """Width and depth of the predictor."""
    momentum: Share = 0.99
    """Momentum of the target encoders; nearer to 1 for longer training."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {
            "data": "digits", "images": 300, "tested": 100, "steps": 4, "batch": 32, "patch": 2, "width": 12,
            "depth": 1, "predictor": (12, 1),
        },
        "gpu": {
            "images": 50_000, "steps": 40_000, "batch": 512, "width": 192, "depth": 12, "predictor": (96, 4),
            "momentum": 0.998,
        },
    }  # fmt: skip

    def encoder(self, shape: tuple[int, int, int], generator: torch.Generator) -> VisionTransformer:
        return VisionTransformer(shape, self.patch, self.width, self.depth, self.heads, generator)

    def methods(self, shape: tuple[int, int, int]) -> Sequence[Method]:
        def energy(target: str, seed: int) -> MaskedPrediction:
            (width, depth), generator = self.predictor, self.generator(seed)
            return MaskedPrediction(self.encoder(shape, generator), target, width, depth, self.heads, generator)

        views, slow = crops_and_flips(shape), self.momentum
        last = max(1, self.depth // 2)
        latents, pixels = partial(energy, "latents"), partial(energy, "normalised")
        return (
            Method("I-JEPA", latents, lambda seed: IJEPA(None, views, slow, seed)),
            Method("data2vec", latents, lambda seed: Data2Vec(None, views, slow, last, seed=seed)),
            Method("MAE", pixels, lambda seed: MAE(None, views, seed)),
        )

    def run(self, run: Run) -> None:
        data, encoders, energies, losses = self.compare_on(run)
        run.part(self.figures, data, encoders, energies["MAE"], losses)

    def figures(self, run: Run, data: Images, encoders: Encoders, mae: MaskedPrediction, losses: Any) -> None:
        images = data.test[:SHOWN]
        run.figure("masks", partial(self._masks, mae, images))
        run.figure("tokens", partial(token_sheet, encoders, images))
        self.draw(run, encoders, partial(nearest_images, data), losses)

    @torch.no_grad()
    def _masks(self, energy: MaskedPrediction, images: Tensor) -> Figure:
        noise = PerSampleRNG(self.seed, torch.arange(len(images)))
        hidden = {name: masks(noise, energy.encoder.grid).z() for name, masks in MASKS.items()}
        rows = {"image": images} | {name: energy.hide(images, z) for name, z in hidden.items()}
        return mosaic(rows | {"MAE fills in": energy.filled(images, hidden["masked for MAE"])})

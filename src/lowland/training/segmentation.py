"""Training of networks that label every pixel, as the scores of a `GridCRF` (systems V8, V9).

Legend: N images, H and W rows and columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lowland.data.scenes import Scenes
from lowland.data.views.colour import adjust, linear
from lowland.energies.grid_crf import GridCRF
from lowland.errors import OptionError
from lowland.nn.parsing import EncoderParser, MultiScaleParser
from lowland.nn.quantised import settings_of
from lowland.shaping.base import Batch
from lowland.shaping.contrastive.likelihood import MaximumLikelihood
from lowland.tensors import PerSampleRNG
from lowland.training.encoder_files import build_encoder, load_encoder
from lowland.training.fit import FitResult, fit
from lowland.training.samples import Lazy
from lowland.training.schedules import warm_cosine

BATCH = 8
"""Images of a step."""


@dataclass(frozen=True)
class Light:
    """Images (B, C, H, W) in [0, 1] with another brightness, contrast and saturation, so that labels stay right.

    Args:
        most: largest change of each factor, in both directions.

    >>> images = torch.rand(2, 3, 4, 4)
    >>> torch.allclose(Light(0.0)(images, PerSampleRNG(0, torch.arange(2))), images)
    True
    """

    most: float = 0.2

    def __call__(self, images: Tensor, noise: PerSampleRNG) -> Tensor:
        factors = 1 + self.most * (2 * noise.uniform(3).to(images) - 1)
        brightness, contrast, saturation = factors.T[:, :, None, None]
        changed = adjust(images.movedim(1, 0).clone(), *linear(brightness, contrast, saturation))
        return changed.movedim(0, 1).clamp(0, 1)


@dataclass(frozen=True)
class PixelTraining:
    """Trains an energy at smoothness 0: the cross-entropy of each labelled pixel, on images, mirrored ones and light.

    Args:
        energy: trained in place.
        scenes: images with labels.
        steps: optimiser steps of 8 images.
        rate: highest learning rate of Adam.
        seed: of the order of the images and of their light.
    """

    energy: GridCRF
    scenes: Scenes
    steps: int
    rate: float = 1e-3
    seed: int = 0

    def fit(self, **options: Any) -> FitResult:
        """Train; the options are those of `ll.fit`."""
        count = len(self.scenes.images)

        def draw(rows: Tensor) -> Batch:
            """The images, and behind them their mirror images."""
            mirrored = (rows >= count)[:, None, None]
            x, labels = self.scenes.pixels(rows % count), self.scenes.labels[rows % count]
            x = torch.where(mirrored[..., None], x.flip(3), x)
            return Batch(self.energy.one_hot(torch.where(mirrored, labels.flip(2), labels)), x)

        return fit(
            self.energy, Lazy(2 * count, draw, at_once=BATCH), MaximumLikelihood(Light(), seed=self.seed), self.steps,
            min(BATCH, 2 * count), self.rate, schedule=partial(warm_cosine, self.steps), validation=0.0,
            seed=self.seed, progress=False, log_every=max(1, self.steps // 60), **options,
        )  # fmt: skip

    def curve(self) -> dict[str, list[Any]]:
        """Train; returns "steps", and the "loss" there, −log p of an image over its number of pixels."""
        line, pixels = self.fit().history["loss/energy"], self.scenes.labels[0].numel()
        return {"steps": list(line.steps), "loss": [value / pixels for value in line.values]}


def pixel_network(
    scenes: Scenes, generator: torch.Generator, encoder: str | Path = "", pretrained: bool = True
) -> MultiScaleParser | EncoderParser:
    """A network for the images and classes of scenes: on three scales, or on an encoder of `lowland pretrain`.

    Args:
        scenes: whose shape and classes it has.
        generator: draws the weights.
        encoder: its path, see `load_encoder`; "" for the network on three scales.
        pretrained: whether the encoder keeps its weights; otherwise they are drawn anew, and only the mean and
            deviation of images by which it standardises are kept.

    Raises:
        CheckpointError: for a file that is no encoder.
        OptionError: for an encoder of something else than images in colour, or one without maps of several sizes.
    """
    if not encoder:
        return MultiScaleParser(scenes.shape, len(scenes.classes), generator=generator)
    found, card = load_encoder(encoder)
    if card["kind"] != "images":
        raise OptionError(f"The encoder at {encoder} is one of {card['kind']}: labelling pixels needs one of images.")
    if settings_of(found) is not None:
        raise OptionError(f"The encoder at {encoder} has few bits: start from the one in floating point.")
    network = found.encoder
    if not pretrained:
        options = {**card["options"], "generator": generator}
        network = build_encoder(type(network).__name__, tuple(card["shape"]), options)
    return EncoderParser(network, found.mean, found.deviation, scenes.shape, len(scenes.classes), generator=generator)

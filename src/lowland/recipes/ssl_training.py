"""The options that the recipes of pretraining share, and how a method trains: recipes `ssl` and `labels`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from lowland.data.catalogue import load
from lowland.data.images import Images
from lowland.data.views import ImageViews
from lowland.energies.joint_embedding import JointEmbedding
from lowland.errors import OptionError, nearest
from lowland.nn.encoders import ConvNet, ResNet18
from lowland.recipes.base import Recipe
from lowland.recipes.ssl_methods import METHODS, Method
from lowland.reports.run import Run
from lowland.training.fit import FitResult, fit
from lowland.training.pretraining import warm_cosine

DATA = ("fashion_mnist", "cifar10", "mnist", "mnist10k", "digits")
VIEWS: dict[str, Callable[[], ImageViews]] = {
    "mild": ImageViews.mild,
    "upright": ImageViews.upright,
    "in-place": ImageViews.in_place,
    "simclr": ImageViews.simclr,
    "vicreg": ImageViews.vicreg,
    "crop-only": ImageViews.crop_only,
    "none": ImageViews.none,
}
GPU: dict[str, Any] = {
    "data": "cifar10", "encoder": "resnet18", "maps": (64,), "widen": 4, "views": "simclr", "epochs": 200.0,
    "batch": 512, "rate": 0.12, "optimiser": "sgd", "decay": 0.0005, "precision": "bf16-mixed",
}  # fmt: skip
"""What the presets for a GPU change: the setting of most published figures on CIFAR-10."""


@dataclass(frozen=True)
class Pretraining(Recipe):
    """Data, network, views, and how long and how fast a method trains."""

    data: str = "fashion_mnist"
    """Images: fashion_mnist, cifar10, mnist, mnist10k or digits."""
    data_dir: str = ""
    """Folder with the data set; by default the usual places are searched."""
    methods: tuple[str, ...] = ()
    """Methods by name, such as simclr vicreg; all where none is named."""
    encoder: str = "convnet"
    """The network: convnet or resnet18."""
    maps: tuple[int, ...] = (16, 32, 64, 96)
    """Feature maps of the convnet's stages, or of the first stage of the resnet18."""
    pooled: bool = True
    """Whether a representation of the convnet is the mean over places, or all places one after the other."""
    widen: int = 1
    """Factor of all layers of projectors and predictors."""
    views: str = "mild"
    """How images are changed: mild, upright, in-place, simclr, vicreg, crop-only or none."""
    epochs: float = 12.0
    """Times that each training image is seen, by two views each time."""
    batch: int = 128
    """Images of a step of the pretraining."""
    rate: float = 0.002
    """Highest learning rate of the pretraining, by AdamW, or by SGD with momentum 0.9."""
    optimiser: str = "adamw"
    """Of the pretraining: adamw or sgd."""
    decay: float = 0.0001
    """Weight decay of the pretraining."""
    precision: str = "32-true"
    """Numbers of the pretraining: 32-true or bf16-mixed."""

    def __post_init__(self) -> None:
        named = {"data": DATA, "encoder": ("convnet", "resnet18"), "views": VIEWS, "optimiser": ("adamw", "sgd")}
        for option, known in named.items():
            if (value := getattr(self, option)) not in known:
                raise OptionError(f"{option} cannot be {value!r}. {nearest(value, known)}")
        for name in self.methods:
            if name not in METHODS:
                raise OptionError(f"There is no method {name!r}. {nearest(name, METHODS)}")
        if not self.maps or min(self.widen, *self.maps) < 1 or self.batch < 2:
            raise OptionError("widen and maps must be at least 1, and batch at least 2.")
        if min(self.epochs, self.rate) <= 0 or self.decay < 0:
            raise OptionError("epochs and rate must be positive, and decay not negative.")

    def images(self, run: Run) -> Images:
        """The data; a stand-in is named in the first line of the page."""
        data = load(self.data, self.data_dir or None)
        if data.stand_in_for:
            run.stand_in(f"{data.source} stands in for {data.stand_in_for}: compare only figures measured on it.")
        return data

    def chosen(self) -> list[Method]:
        """The methods that were asked for."""
        return [METHODS[name] for name in self.methods or METHODS]

    def change(self) -> ImageViews:
        """The views."""
        return VIEWS[self.views]()

    def steps(self, data: Images) -> int:
        """Optimiser steps of each method."""
        return max(1, round(self.epochs * len(data.train) / self.batch))

    def network(self, data: Images, seed: int) -> nn.Module:
        """An encoder with first weights: the same for all methods of a seed, and for the baselines."""
        generator = self.generator(1000 + seed)
        if self.encoder == "resnet18":
            return ResNet18(data.shape, self.maps[0], generator=generator).to(self.device)
        return ConvNet(data.shape, self.maps, pooled=self.pooled, generator=generator).to(self.device)

    def energy(self, method: Method, data: Images, seed: int) -> JointEmbedding:
        """What a method trains, with first weights."""
        return method.energy(self.network(data, seed), self.generator(2000 + seed), self.widen).to(self.device)

    def pretrain(
        self, run: Run, method: Method, energy: JointEmbedding, data: Images, seed: int, until: int
    ) -> FitResult:
        """Go on to a step from the last checkpoint, or start: a killed run goes on in the middle of a method.

        Raises:
            TrainingError: for a method whose loss is not finite, or whose embeddings collapse.
        """
        sgd = self.optimiser == "sgd"
        optimiser: Any = partial(_momentum, self.decay) if sgd else self.optimiser
        return fit(
            energy, data.train, method.shaping(self.change(), self.seed + seed), until,
            min(self.batch, len(data.train)), self.rate * method.rate, optimiser, 0.0 if sgd else self.decay,
            schedule=partial(warm_cosine, self.steps(data)), validation=0.0, seed=self.seed + seed,
            run=run.checkpoints / f"seed-{seed}" / method.name, resume=True, log_every=10, progress=False,
            precision=self.precision,
        )  # fmt: skip


def _momentum(decay: float, parameters: list[nn.Parameter], rate: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=rate, momentum=0.9, weight_decay=decay)

"""All joint-embedding methods on one data set (rows J1, J2, J7): one encoder, one kind of views, one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import nn

from lowland.data.catalogue import load
from lowland.data.images import Images
from lowland.data.views import ImageViews
from lowland.energies.joint_embedding import JointEmbedding
from lowland.errors import OptionError, TrainingError, nearest
from lowland.evaluation.fine_tune import fine_tune
from lowland.nn.encoders import ConvNet, ResNet18
from lowland.nn.standardised import Standardised
from lowland.recipes.base import Recipe, recipe
from lowland.recipes.ssl_measures import PIXELS, RANDOM, SUPERVISED, Pixels, alone, glance, measure, part
from lowland.recipes.ssl_methods import METHODS, Method
from lowland.recipes.ssl_page import write_page, write_results
from lowland.reports.run import Run
from lowland.training.encoder_files import save_encoder
from lowland.training.fit import fit
from lowland.training.pretraining import warm_cosine

DATA = ("fashion_mnist", "cifar10", "mnist", "mnist10k", "digits")
VIEWS: dict[str, Callable[[], ImageViews]] = {
    "mild": ImageViews.mild,
    "simclr": ImageViews.simclr,
    "vicreg": ImageViews.vicreg,
    "crop-only": ImageViews.crop_only,
    "none": ImageViews.none,
}
GLANCED = 5000


@recipe(
    "ssl",
    shows="Twelve methods learn from images without labels to put two views of an image close to each other, and each "
    "has its own way not to put everything in one place. Encoder, views, steps and probe are the same for all.",
    rows=("J1", "J2", "J7"),
    minutes=55,
    title="Joint embedding, twelve ways",
)
@dataclass(frozen=True)
class SslRecipe(Recipe):
    """F(x, y) = D(p(h(x)), h(y)) of two views, shaped by each method; then the encoder is frozen and measured."""

    data: str = "fashion_mnist"
    """Images: fashion_mnist, cifar10, mnist, mnist10k or digits."""
    data_dir: str = ""
    """Folder with the data set; by default the usual places are searched."""
    methods: tuple[str, ...] = ()
    """Methods by name, such as simclr vicreg; all where none is named."""
    seeds: int = 1
    """Repetitions, each with its own first weights, views and order of the images."""
    encoder: str = "convnet"
    """The network: convnet or resnet18."""
    maps: tuple[int, ...] = (16, 32, 64, 128)
    """Feature maps of the convnet's stages, or of the first stage of the resnet18."""
    widen: int = 1
    """Factor of all layers of projectors and predictors."""
    views: str = "mild"
    """How images are changed: mild, simclr, vicreg, crop-only or none."""
    epochs: float = 8.0
    """Times that each training image is seen, by two views each time."""
    batch: int = 128
    """Images of a step: in a few minutes, more steps teach more than larger ones."""
    rate: float = 0.002
    """Highest learning rate of AdamW, or of SGD with momentum 0.9."""
    optimiser: str = "adamw"
    """The optimiser: adamw or sgd."""
    decay: float = 0.0001
    """Weight decay of the pretraining."""
    precision: str = "32-true"
    """Numbers of the pretraining: 32-true or bf16-mixed."""
    looks: int = 5
    """Looks at the validation images along the way, for the learning curves."""
    neighbours: int = 200
    """Neighbours that vote."""
    temperature: float = 0.1
    """Of the votes: the published figure that stands beside was measured with 200 neighbours and 0.1."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {
            "data": "digits", "methods": ("simclr", "vicreg"), "maps": (8, 16), "epochs": 0.4,
            "batch": 128, "looks": 2, "neighbours": 20,
        },
        "gpu": {
            "data": "cifar10", "encoder": "resnet18", "maps": (64,), "widen": 4, "views": "simclr", "epochs": 200.0,
            "batch": 512, "rate": 0.12, "optimiser": "sgd", "decay": 0.0005, "precision": "bf16-mixed",
        },
    }  # fmt: skip

    def __post_init__(self) -> None:
        named = {"data": DATA, "encoder": ("convnet", "resnet18"), "views": VIEWS, "optimiser": ("adamw", "sgd")}
        for option, known in named.items():
            if (value := getattr(self, option)) not in known:
                raise OptionError(f"{option} cannot be {value!r}. {nearest(value, known)}")
        for name in self.methods:
            if name not in METHODS:
                raise OptionError(f"There is no method {name!r}. {nearest(name, METHODS)}")
        if min(self.seeds, self.widen, self.looks, self.neighbours, *self.maps) < 1 or self.batch < 2:
            raise OptionError("seeds, widen, looks, maps and neighbours must be at least 1, and batch at least 2.")
        if min(self.epochs, self.rate, self.temperature) <= 0 or self.decay < 0:
            raise OptionError("epochs, rate and temperature must be positive, and decay not negative.")

    def run(self, run: Run) -> None:
        chosen = [METHODS[name] for name in self.methods or METHODS]
        run.expect(self.seeds * (len(chosen) * (self.looks + 1) + 3))
        data = load(self.data, self.data_dir or None)
        if data.stand_in_for:
            run.stand_in(f"{data.source} stands in for {data.stand_in_for}: compare only figures measured on it.")
        found: list[dict[str, dict[str, Any]]] = []
        for seed in range(self.seeds):
            one = self._baselines(run, data, seed)
            for method in chosen:
                one[method.title] = self._method(run, method, data, seed)
            found.append(one)
        write_results(run, found, chosen, self._described(data))
        write_page(run, found, chosen, data, self.steps(data), self.batch)

    def steps(self, data: Images) -> int:
        """Optimiser steps of each method."""
        return max(self.looks, round(self.epochs * len(data.train) / self.batch))

    def _described(self, data: Images) -> str:
        return f"{data.name}, {self.encoder}, {self.epochs:g} epochs"

    def _encoder(self, data: Images, seed: int) -> nn.Module:
        """The same first weights for all methods of a seed, and for the random encoder."""
        generator = self.generator(1000 + seed)
        if self.encoder == "resnet18":
            return ResNet18(data.shape, self.maps[0], generator=generator).to(self.device)
        return ConvNet(data.shape, self.maps, generator=generator).to(self.device)

    def _measure(self, energy: JointEmbedding, data: Images, seed: int) -> dict[str, Any]:
        return measure(energy, data, VIEWS[self.views](), self.neighbours, self.temperature, self.seed + seed)

    def _baselines(self, run: Run, data: Images, seed: int) -> dict[str, dict[str, Any]]:
        encoder, found = self._encoder(data, seed), {}
        for name, made in ((PIXELS, Pixels(data.shape)), (RANDOM, encoder)):
            work = partial(self._measure, alone(made), data, seed)
            found[name] = run.stage(f"seed-{seed}/{name.replace(' ', '-')}", work) | {"seconds": 0.0}
        stage = f"seed-{seed}/{SUPERVISED}"
        found[SUPERVISED] = run.stage(stage, partial(self._supervised, encoder, data, seed))
        return found

    def _supervised(self, encoder: nn.Module, data: Images, seed: int) -> dict[str, Any]:
        """The same network, views and number of steps with all labels; then it is frozen and probed as the others."""
        taught = fine_tune(
            encoder, part(data, "train"), part(data, "validation"), views=VIEWS[self.views](), rates=(0.002,),
            steps=self.steps(data), batch_size=self.batch, weight_decay=self.decay, seed=self.seed + seed,
        )  # fmt: skip
        return self._measure(alone(taught.network[0]), data, seed) | {"seconds": taught.seconds}

    def _method(self, run: Run, method: Method, data: Images, seed: int) -> dict[str, Any]:
        """Train by a method with looks along the way, each a stage of its own; then measure."""
        energy = method.energy(self._encoder(data, seed), self.generator(2000 + seed), self.widen).to(self.device)
        steps, stage = self.steps(data), f"seed-{seed}/{method.name}"
        looks: list[dict[str, Any]] = []
        for look in range(1, self.looks + 1):
            further = partial(self._train, run, method, energy, data, seed, steps * look // self.looks)
            looks.append(run.stage(f"{stage}-{look}", further))
            if looks[-1]["failed"]:
                return {"failed": looks[-1]["failed"]}

        def work() -> dict[str, Any]:
            # Where this process trained nothing, because it resumed here, this loads the last checkpoint.
            self._fit(run, method, energy, data, seed, steps)
            return self._measure(energy, data, seed)

        found = run.stage(stage, work, [energy])
        if seed == 0:
            self._keep(run, method, energy.branch.encoder)
        return found | {"seconds": sum(look["seconds"] for look in looks), "looks": looks}

    def _keep(self, run: Run, method: Method, encoder: nn.Module) -> None:
        """The encoder as `lowland embed` and plain torch take it."""
        options = {"width": self.maps[0]} if self.encoder == "resnet18" else {"maps": self.maps}
        card = {"kind": "images", "data": self.data, "method": method.title}
        save_encoder(Standardised(encoder.cpu()), options, run.checkpoints / method.name, card)

    def _train(
        self, run: Run, method: Method, energy: JointEmbedding, data: Images, seed: int, until: int
    ) -> dict[str, Any]:
        try:
            trained = self._fit(run, method, energy, data, seed, until)
        except TrainingError as error:
            return {"failed": str(error)}
        online = glance(energy.branch.encoder, data, GLANCED, self.seed)
        loss = trained.history["loss/energy"].values
        run.log(until, online=online, loss=loss[-1])
        return {"failed": "", "step": until, "seconds": trained.seconds, "online": online}

    def _fit(self, run: Run, method: Method, energy: JointEmbedding, data: Images, seed: int, until: int) -> Any:
        """Go on to a step from the last checkpoint, or start: a killed run goes on in the middle of a method."""
        optimiser: Any = self.optimiser
        if optimiser == "sgd":
            optimiser = partial(_momentum, self.decay)
        batch = min(self.batch, len(data.train))
        return fit(
            energy, data.train, method.shaping(VIEWS[self.views](), self.seed + seed), until, batch,
            self.rate * method.rate, optimiser, 0.0 if self.optimiser == "sgd" else self.decay,
            schedule=partial(warm_cosine, self.steps(data)), validation=0.0, seed=self.seed + seed,
            run=run.checkpoints / f"seed-{seed}" / method.name, resume=True, log_every=10, progress=False,
            precision=self.precision,
        )  # fmt: skip


def _momentum(decay: float, parameters: list[nn.Parameter], rate: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=rate, momentum=0.9, weight_decay=decay)

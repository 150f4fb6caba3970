"""What the recipes of joint embedding share: baselines, options of pretraining, and the comparison of encoders."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import torch
from matplotlib.figure import Figure
from torch import nn

from lowland.data.catalogue import load
from lowland.data.images import Images
from lowland.data.views import ImageViews
from lowland.energies.base import Energy
from lowland.energies.joint_embedding import JointEmbedding
from lowland.errors import OptionError, nearest
from lowland.evaluation import FineTuned, fine_tune, labelled, measure_frozen, rankme
from lowland.nn.encoders import ConvNet, ResNet18
from lowland.plots import curves
from lowland.recipes.base import Bound, Count, NotNegative, Positive, Recipe, train
from lowland.reports.run import Run
from lowland.shaping.base import Shaping
from lowland.training.fit import FitResult, fit
from lowland.training.joint_methods import JOINT_METHODS, JointMethod
from lowland.training.pretraining import views_of
from lowland.training.schedules import warm_cosine

PIXELS, RANDOM, SUPERVISED = "raw pixels", "random encoder", "supervised"
BASELINES = (PIXELS, RANDOM, SUPERVISED)
"""The image itself, the same network untrained, and the same network trained on all labels."""
Views = Literal["mild", "upright", "in-place", "simclr", "vicreg", "crop-only", "none"]
GPU: dict[str, Any] = {
    "data": "cifar10", "encoder": "resnet18", "maps": (64,), "widen": 4, "views": "simclr", "epochs": 200.0,
    "batch": 512, "rate": 0.12, "optimiser": "sgd", "decay": 0.0005, "precision": "bf16-mixed",
}  # fmt: skip
"""The presets for a GPU of `ssl` and `labels`: the setting of most published figures on CIFAR-10."""
_RANKED = 2000
Encoders: TypeAlias = dict[str, Any]
Energies: TypeAlias = dict[str, Any]


def load_images(run: Run, name: str, folder: str) -> Images:
    """A data set; if it stands in for another, the page says so in its first line."""
    data = load(name, folder or None)
    if data.stand_in_for:
        run.stand_in(
            f"{data.source} stands in for {data.stand_in_for}: compare these figures only with others measured on it."
        )
    return data


@dataclass(frozen=True)
class Pretraining(Recipe):
    """Joint-embedding methods on images with labels: the options and the training that `ssl` and `labels` share."""

    data: Literal["fashion_mnist", "cifar10", "mnist", "mnist10k", "digits"] = "fashion_mnist"
    """Images: fashion_mnist, cifar10, mnist, mnist10k or digits."""
    data_dir: str = ""
    """Folder with the data set; by default the usual places are searched."""
    methods: tuple[str, ...] = ()
    """Methods by name, such as simclr vicreg; all if none is named."""
    encoder: Literal["convnet", "resnet18"] = "convnet"
    """Network: convnet or resnet18."""
    maps: tuple[Count, ...] = (16, 32, 64, 96)
    """Feature maps of the convnet's stages, or of the first stage of the resnet18."""
    pooled: bool = True
    """Whether a representation of the convnet is the mean over places, or all places concatenated."""
    widen: Count = 1
    """Factor on the width of all layers of projectors and predictors."""
    views: Views = "mild"
    """Augmentation: mild, upright, in-place, simclr, vicreg, crop-only or none."""
    epochs: Positive = 12.0
    """Passes over the training images, with two views of each."""
    batch: Annotated[int, Bound(least=2)] = 128
    """Images in a batch of pretraining."""
    rate: Positive = 0.002
    """Highest learning rate of pretraining, by AdamW, or by SGD with momentum 0.9."""
    optimiser: Literal["adamw", "sgd"] = "adamw"
    """Optimiser of pretraining: adamw or sgd."""
    decay: NotNegative = 0.0001
    """Weight decay of pretraining."""
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    """Number format of pretraining: 32-true or bf16-mixed."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.methods:
            if name not in JOINT_METHODS:
                raise OptionError(f"There is no method {name!r}. {nearest(name, JOINT_METHODS)}")
        if not self.maps:
            raise OptionError("maps must be at least one number.")

    def chosen(self) -> list[JointMethod]:
        """The methods asked for, or all."""
        return [JOINT_METHODS[name] for name in self.methods or JOINT_METHODS]

    def steps(self, data: Images) -> int:
        """Optimiser steps of each method."""
        return max(1, round(self.epochs * len(data.train) / self.batch))

    @property
    def encoder_options(self) -> dict[str, Any]:
        """Arguments of the network besides the shape of an image."""
        return {"width": self.maps[0]} if self.encoder == "resnet18" else {"maps": self.maps, "pooled": self.pooled}

    def network(self, data: Images, seed: int) -> nn.Module:
        """An encoder with first weights: the same for all methods of a seed, and for the baselines."""
        made = ResNet18 if self.encoder == "resnet18" else ConvNet
        return made(data.shape, **self.encoder_options, generator=self.generator(1000 + seed)).to(self.device)

    def energy(self, method: JointMethod, data: Images, seed: int) -> JointEmbedding:
        """What a method trains, with first weights."""
        return method.energy(self.network(data, seed), self.generator(2000 + seed), self.widen).to(self.device)

    def pretrain(
        self, run: Run, method: JointMethod, energy: JointEmbedding, data: Images, seed: int, until: int
    ) -> FitResult:
        """Train to a step, from the last checkpoint if there is one: a killed run resumes within a method.

        Raises:
            TrainingError: for a method whose loss is not finite, or whose embeddings collapse.
        """
        sgd = self.optimiser == "sgd"
        optimiser = partial(_momentum, self.decay) if sgd else self.optimiser
        return fit(
            energy, data.train, method.shaping(views_of("images", self.views), self.seed + seed), until,
            min(self.batch, len(data.train)), self.rate * method.rate, optimiser, 0.0 if sgd else self.decay,
            schedule=partial(warm_cosine, self.steps(data)), validation=0.0, seed=self.seed + seed,
            run=run.checkpoints / f"seed-{seed}" / method.name, resume=True, log_every=10, progress=False,
            precision=self.precision,
        )  # fmt: skip


def _momentum(decay: float, parameters: list[nn.Parameter], rate: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=rate, momentum=0.9, weight_decay=decay)


@dataclass(frozen=True)
class Method:
    """What is trained: an energy with an `encoder`, and its shaping, both by a seed."""

    title: str
    energy: Callable[[int], Energy]
    shaping: Callable[[int], Shaping]


@dataclass(frozen=True)
class Comparison(Recipe):
    """One encoder trained by several methods, each for as many steps, then frozen and measured beside its baselines."""

    seeds: Count = 1
    """Repetitions, each with its own first weights and order of the data."""
    steps: Count = 400
    """Training steps of each method, and of supervised training."""
    batch: Annotated[int, Bound(least=2)] = 128
    """Samples in a batch."""
    rate: Positive = 1e-3
    """Highest learning rate of AdamW, which rises and falls."""

    weight_decay: ClassVar[float] = 0.05
    clip: ClassVar[float | None] = 1.0
    head_seed: ClassVar[int] = 50  # of the first weights of the head in supervised training
    loss: ClassVar[str] = "loss of a batch, each method's own"
    measures: ClassVar[Mapping[str, tuple[str, float]]]
    """What the page shows of `measure`, and the factor of its unit."""

    def encoder(self, shape: tuple[int, int, int], generator: torch.Generator) -> nn.Module:
        """The encoder of every method."""
        raise NotImplementedError

    def methods(self, shape: tuple[int, int, int]) -> Sequence[Method]:
        """What is compared."""
        raise NotImplementedError

    def measure(self, encoder: nn.Module, data: Any) -> dict[str, float]:
        """All measures of a frozen encoder."""
        raise NotImplementedError

    def compare(
        self, run: Run, data: Any, shape: tuple[int, int, int], samples: Any, teach: Callable[..., FineTuned]
    ) -> tuple[Encoders, Energies, Any]:
        """Train on samples and measure, with all baselines; `teach` is `fine_tune` with labelled samples and views.

        Returns encoders, energies and losses of the first seed.
        """
        methods = self.methods(shape)
        run.expect(1 + self.seeds * (2 + len(methods)))
        energies: Energies = {}
        losses: dict[str, tuple[list[int], list[float]]] = {}
        raw = run.stage("raw", partial(self.measure, nn.Flatten(), data))
        for seed in range(self.seeds):
            untrained = self.encoder(shape, self.generator(seed)).to(self.device)
            found = {PIXELS: raw, RANDOM: run.stage(f"seed-{seed}/random", partial(self.measure, untrained, data))}
            found[SUPERVISED] = run.stage(f"seed-{seed}/supervised", partial(self._teach, teach, untrained, data, seed))
            for method in methods:
                energy = method.energy(seed).to(self.device)
                name = method.title.lower().replace(" ", "-")
                work = partial(self._train, method, energy, data, samples, seed)
                result = run.stage(f"seed-{seed}/{name}", work, [energy])
                found[method.title] = result["measured"]
                losses.setdefault(method.title, (result["steps"], result["losses"]))
                energies.setdefault(method.title, energy.cpu().eval())
            for name, one in found.items():
                numbers = {shown: factor * one[measure] for measure, (shown, factor) in self.measures.items()}
                run.measured.add({name: numbers})
        encoders: Encoders = {RANDOM: self.encoder(shape, self.generator())}
        return encoders | {name: energy.encoder for name, energy in energies.items()}, energies, losses

    def draw(self, run: Run, encoders: Encoders, nearest: Callable[[nn.Module], Figure], losses: Any) -> None:
        """What is nearest by each encoder, and the losses in training."""
        run.grid("neighbours", [(partial(nearest, encoder), name) for name, encoder in encoders.items()], 2)
        run.figure("training", curves(losses, xlabel="step", ylabel=self.loss, log="y"))

    def _train(self, method: Method, energy: Any, data: Any, samples: Any, seed: int) -> dict[str, Any]:
        count = len(samples[0] if isinstance(samples, tuple) else samples)
        result = train(
            energy, samples, method.shaping(seed).to(self.device), self.steps, batch_size=min(self.batch, count),
            lr=self.rate, optimiser="adamw", weight_decay=self.weight_decay, clip=self.clip,
            schedule=partial(warm_cosine, self.steps), seed=seed, log_every=max(1, self.steps // 50),
        )  # fmt: skip
        line = result.history["loss/energy"]
        measured = self.measure(energy.encoder, data)
        return {"measured": measured, "steps": list(line.steps), "losses": list(line.values)}

    def _teach(self, teach: Callable[..., FineTuned], untrained: nn.Module, data: Any, seed: int) -> dict[str, float]:
        """The same encoder with a linear head, from scratch on all labels, in as many steps."""
        taught = teach(
            untrained, rates=(self.rate,), steps=self.steps, batch_size=self.batch, weight_decay=self.weight_decay,
            generator=self.generator(self.head_seed + seed), seed=seed,
        )  # fmt: skip
        return self.measure(taught.network[0].to(self.device), data)


@dataclass(frozen=True)
class Predictive(Comparison):
    """Methods that predict what is missing from an image: the options and the measures of `jepa` and `pretext`."""

    data: Literal["cifar10", "digits"] = "cifar10"
    """Images: cifar10, or digits, which have no colour."""
    data_dir: str = ""
    """Folder of the images; by default the usual places are searched."""
    images: Annotated[int, Bound(least=100)] = 10_000
    """Training images, of which a tenth is validation; all methods and probes have the same."""
    tested: Annotated[int, Bound(least=100)] = 10_000
    """Test images."""

    measures: ClassVar[Mapping[str, tuple[str, float]]] = {
        "probe": ("probe", 100), "knn": ("knn", 100), "rankme": ("rank", 1),
    }  # fmt: skip

    def compare_on(self, run: Run) -> tuple[Images, Encoders, Energies, Any]:
        """The images, the first of each split; and what `compare` returns."""
        held = self.images // 10
        whole = load_images(run, self.data, self.data_dir)
        data = whole.first(train=self.images - held, validation=held, test=self.tested)
        labels = {split: labelled(data, split) for split in ("train", "validation")}
        teach = partial(fine_tune, **labels, views=crops_and_flips(data.shape))
        compared = self.compare(run, data, data.shape, data.train.to(self.device), teach)
        run.show(train=len(data.train), test=len(data.test), learned=list(compared[1]))
        return data, *compared

    def measure(self, encoder: nn.Module, data: Images) -> dict[str, float]:
        found = measure_frozen(encoder, data, neighbours=min(200, len(data.train) // 10))
        rank = rankme(found.codes["test"][0][:_RANKED])
        return {"probe": found.probe, "validation": found.validation, "knn": found.knn, "rankme": rank}


def crops_and_flips(shape: tuple[int, int, int]) -> ImageViews:
    """The only augmentation of images before they are masked or damaged; digits are not flipped."""
    return ImageViews(crop=(0.5, 1.0), flip=0.5 if shape[0] == 3 else 0, colour=0, grey=0)

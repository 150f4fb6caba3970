"""The recipe `siamese`: are these two photographs of the same person? People that nobody was trained on (row J1)."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from lowland.data.catalogue import load
from lowland.data.views import ImageViews
from lowland.energies.joint_embedding import JointEmbedding
from lowland.errors import OptionError, nearest
from lowland.evaluation.fine_tune import fine_tune
from lowland.evaluation.representations import represent
from lowland.evaluation.verification import all_pairs, verification
from lowland.nn.encoders.convnet import ConvNet
from lowland.recipes.base import Recipe, falling, recipe
from lowland.recipes.baselines import PIXELS, RANDOM, SUPERVISED
from lowland.recipes.siamese_page import write_page
from lowland.reports.run import Run
from lowland.shaping.contrastive.drlim import DrLIM
from lowland.training.fit import fit

DATA = ("faces", "digits", "mnist10k")
PCA, METHOD = "PCA", "DrLIM"
COMPONENTS = (8, 16, 32, 64, 128)
Codes = Callable[[Tensor], Tensor]


@recipe(
    "siamese",
    shows="Two copies of one network, trained on pairs of some people, tell whether two photographs are of the same "
    "person, for people that it has never seen.",
    rows=("J1",),
    minutes=2,
    title="The same person?",
)
@dataclass(frozen=True)
class SiameseRecipe(Recipe):
    """F(x, y) = ‖h(x) − h(y)‖ by DrLIM; in each fold other people are kept for validation and test.

    Encoder, views, margins and negatives were chosen by the mean error of the validation people of the four folds. They
    are never those of the test of the same fold, but they are those of the test of another one.
    """

    data: str = "faces"
    """Images: faces (ORL, 40 people), digits or mnist10k, whose ten classes then stand for people."""
    folds: int = 4
    """Parts that the people are cut into; each in turn is the test."""
    most: int = 10
    """Images of each person that are used."""
    shrink: int = 4
    """Squares of so many pixels on a side become one pixel."""
    maps: tuple[int, ...] = (32, 64, 128)
    """Feature maps of the encoder's stages."""
    projector: tuple[int, ...] = (64,)
    """Layers from the representation to the embedding."""
    margins: tuple[float, ...] = (2.0, 5.0, 10.0)
    """Margins to choose from on the validation people."""
    hardest: int = 16
    """Negatives of each pair, the nearest first."""
    steps: int = 300
    """Updates, of `batch` pairs each."""
    batch: int = 64
    """Pairs in a batch."""
    rate: float = 1e-3
    """Learning rate of AdamW, which falls to zero."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {
            "data": "digits", "folds": 2, "most": 6, "shrink": 1, "maps": (8, 16), "projector": (8,), "margins": (1.0,),
            "steps": 20, "batch": 16,
        }
    }  # fmt: skip

    def __post_init__(self) -> None:
        if self.data not in DATA:
            raise OptionError(f"There are no images called {self.data!r} for this recipe. {nearest(self.data, DATA)}")
        whole = (self.shrink, self.steps, self.hardest, *self.maps, *self.projector)
        if min(whole) < 1 or min(self.folds, self.most, self.batch) < 2 or not self.rate > 0:
            raise OptionError(
                "shrink, maps, projector, hardest and steps must be at least 1, folds, most and batch at least 2, and "
                "rate positive."
            )
        if not self.margins or min(self.margins) <= 0:
            raise OptionError(f"margins must be positive numbers, at least one, but they are {self.margins}.")

    def run(self, run: Run) -> None:
        images, who = self._images()
        people = who.unique()
        if len(people) < 2 * self.folds:
            raise OptionError(f"{self.folds} folds of {len(people)} people leave fewer than two people for the test.")
        run.expect(self.folds)
        order = people[torch.randperm(len(people), generator=self.generator())]
        found, unseen = [], order.tensor_split(self.folds)
        for number, test in enumerate(unseen):
            rest = order[~torch.isin(order, test)]
            few = max(2, len(rest) // 5)
            parts = {"train": rest[few:], "validation": rest[:few], "test": test}
            chosen = {name: torch.isin(who, part) for name, part in parts.items()}
            splits = {name: (images[rows], who[rows]) for name, rows in chosen.items()}
            work = partial(self._fold, splits, number)
            found.append(run.stage(f"fold-{number}", work))
        data = f"{self.data}, {len(people)} people, {len(unseen[0])} of them unseen in each fold"
        for method in found[0]["measured"]:
            values = [100 * fold["measured"][method]["equal error"] for fold in found]
            run.result(
                id="J1", claim="equal-error rate of pairs of unseen people (%)",
                method=method if method == METHOD else f"{method} (baseline)", measured=statistics.fmean(values),
                sd=statistics.stdev(values), seeds=self.folds, data=data,
            )  # fmt: skip
        run.part(write_page, found, METHOD)

    def _images(self) -> tuple[Tensor, Tensor]:
        """Images and who is on them, up to `most` of each person."""
        data = load(self.data)
        images = torch.cat([data.train, data.validation, data.test])
        who = torch.cat([data.train_labels, data.validation_labels, data.test_labels])
        rows = torch.cat([(who == person).nonzero()[: self.most, 0] for person in who.unique()])
        return functional.avg_pool2d(images[rows], self.shrink), who[rows]

    def _fold(self, splits: Mapping[str, tuple[Tensor, Tensor]], number: int) -> dict[str, Any]:
        """Each way of comparing, with what the validation people choose of it, measured on the test people."""
        train, who = splits["train"]
        shape = (train.shape[1], train.shape[2], train.shape[3])
        tried: dict[str, dict[str, Codes]] = {
            PIXELS: {"as they are": lambda images: images.flatten(1)},
            PCA: {
                f"{size} components{', whitened' * white}": partial(_principal, train, size, white)
                for size in COMPONENTS
                if size < len(train)
                for white in (False, True)
            },
            RANDOM: {"untrained": partial(represent, self._encoder(shape, self.generator(number)))},
            SUPERVISED: {"a classifier of the training people": self._classify(train, who, number)},
            METHOD: {},
        }
        curve: dict[str, Any] = {}
        for margin in self.margins:
            energy, curve[str(margin)] = self._learn(train, who, margin, number)
            tried[METHOD][f"margin {margin:g}"] = partial(represent, energy.branch)
        measured, shown = {}, {}
        for method, ways in tried.items():
            measured[method], codes = _chosen(ways, splits)
            if method in (PCA, METHOD):
                shown[method] = codes
        test, whose = splits["test"]
        return {"measured": measured, "codes": shown, "images": test, "who": whose, "loss": curve}

    def _encoder(self, shape: tuple[int, int, int], generator: torch.Generator) -> ConvNet:
        """Photographs of faces are aligned, so that each place of the last maps has a meaning of its own."""
        return ConvNet(shape, self.maps, generator=generator, pooled=False)

    def _views(self) -> ImageViews:
        """How bright somebody's hair and skin are says much about who it is: colours stay."""
        return ImageViews(crop=(0.8, 1.0), colour=0, grey=0, flip=0.5 if self.data == "faces" else 0)

    def _classify(self, images: Tensor, who: Tensor, number: int) -> Codes:
        """Representations of the same network that learned to name the training people, in as many steps."""
        shape = (images.shape[1], images.shape[2], images.shape[3])
        people = images, who.unique(return_inverse=True)[1]
        taught = fine_tune(
            self._encoder(shape, self.generator(number)).to(self.device), people, people, views=self._views(),
            rates=(self.rate,), steps=self.steps, batch_size=self.batch, generator=self.generator(200 + number),
            seed=number,
        )  # fmt: skip
        return partial(represent, taught.network[0])

    def _learn(self, images: Tensor, who: Tensor, margin: float, number: int) -> tuple[JointEmbedding, dict[str, Any]]:
        """DrLIM on all ordered pairs of different photographs of one person."""
        same = who[:, None] == who[None]
        first, second = (same & ~torch.eye(len(who), dtype=torch.bool)).nonzero(as_tuple=True)
        generator = self.generator(100 + number)
        shape = (images.shape[1], images.shape[2], images.shape[3])
        encoder = self._encoder(shape, generator)
        energy = JointEmbedding(encoder, self.projector, distance="euclidean", generator=generator).to(self.device)
        shaping = DrLIM(self._views(), margin, self.hardest, who[first], seed=number)
        result = fit(
            energy, (images[first], images[second]), shaping.to(self.device), self.steps, min(self.batch, len(first)),
            self.rate, "adamw", weight_decay=1e-2, schedule=partial(falling, self.steps), validation=0.0, seed=number,
            log_every=max(1, self.steps // 50), progress=False,
        )  # fmt: skip
        line = result.history["loss/energy"]
        return energy, {"steps": list(line.steps), "values": list(line.values)}


def _principal(train: Tensor, size: int, white: bool, images: Tensor) -> Tensor:
    """The first principal components of images, as the training people define them."""
    flat = train.flatten(1)
    mean = flat.mean(dim=0)
    _, scale, axes = torch.linalg.svd(flat - mean, full_matrices=False)
    codes = (images.flatten(1) - mean) @ axes[:size].T
    return codes / scale[:size] if white else codes


@torch.no_grad()
def _chosen(ways: Mapping[str, Codes], splits: Mapping[str, tuple[Tensor, Tensor]]) -> tuple[dict[str, Any], Tensor]:
    """What the best of several codes and of two distances reaches on the test people; validation people choose."""

    def error(codes: Codes, split: str, cosine: bool) -> Any:
        images, who = splits[split]
        return verification(*all_pairs(codes(images), who, cosine))

    tried = {
        (way, cosine): error(codes, "validation", cosine).equal_error
        for way, codes in ways.items()
        for cosine in (False, True)
    }
    way, cosine = min(tried, key=lambda key: tried[key])
    found = error(ways[way], "test", cosine)
    measured = {
        "equal error": found.equal_error, "validation": tried[way, cosine], "accepted": found.accepted,
        "recognised": found.recognised, "chosen": f"{way}, {'cosine' if cosine else 'Euclidean'}",
    }  # fmt: skip
    return measured, ways[way](splits["test"][0])

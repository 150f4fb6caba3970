"""Are these two photographs of the same person? Verification of people that nobody was trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional

from lowland.data.alignment import Alignment
from lowland.data.catalogue import load
from lowland.data.groups import first_of_each, group_folds, pairs_within
from lowland.data.views import ImageViews
from lowland.energies.joint_embedding import JointEmbedding
from lowland.errors import OptionError
from lowland.evaluation import fine_tune, hardest_pairs, plane, represent
from lowland.evaluation.verification import Verification, after, principal_ways, verify_best
from lowland.nn.encoders.convnet import ConvNet
from lowland.plots import curves, mosaic, scatter, verification_curves
from lowland.recipes.base import Bound, Count, NotNegative, Positive, Recipe, recipe, train
from lowland.recipes.joint.common import PIXELS, RANDOM, SUPERVISED
from lowland.reports.run import Run
from lowland.shaping.contrastive.drlim import DrLIM

PCA, METHOD = "PCA", "DrLIM"
ALIGNED = {PCA: "PCA, aligned", METHOD: "DrLIM, aligned"}
COMPARED = (PIXELS, PCA, ALIGNED[PCA], RANDOM, SUPERVISED, METHOD, ALIGNED[METHOD])
COMPONENTS = (8, 16, 32, 64, 128)
_SHOWN = 12
Codes = Callable[[Tensor], Tensor]
Split = tuple[Tensor, Tensor]
"""Images, and who is on them."""


@recipe
@dataclass(frozen=True)
class SiameseRecipe(Recipe):
    """F(x, y) = ‖h(x) − h(y)‖ by DrLIM; each fold keeps other people for validation and test.

    Encoder, views, margins and negatives were chosen by the mean error on the validation people of the four folds. A
    fold's validation people are never its test people, but they are test people of another fold.
    """

    data: Literal["faces", "digits", "mnist10k"] = "faces"
    """Images: faces (ORL, 40 people), digits or mnist10k, whose ten classes then stand for people."""
    folds: Annotated[int, Bound(least=2)] = 4
    """Folds of the people; each in turn is the test set."""
    most: Annotated[int, Bound(least=2)] = 10
    """Images of each person that are used."""
    shrink: Count = 4
    """Squares of so many pixels on a side become one pixel."""
    maps: tuple[Count, ...] = (32, 64, 128)
    """Feature maps of the encoder's stages."""
    projector: tuple[Count, ...] = (64,)
    """Layers from the representation to the embedding."""
    margins: tuple[Positive, ...] = (2.0, 5.0, 10.0)
    """Margins to choose from on the validation people."""
    stiffness: NotNegative = 1.0
    """κ of the alignment: how much it costs to move a photograph, against how well it then fits the mean."""
    hardest: Count = 16
    """Negatives of each pair, the nearest first."""
    steps: Count = 300
    """Training steps, of `batch` pairs each."""
    batch: Annotated[int, Bound(least=2)] = 64
    """Pairs in a batch."""
    rate: Positive = 1e-3
    """Learning rate of AdamW, which falls to zero."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {
            "data": "digits", "folds": 2, "most": 6, "shrink": 1, "maps": (8, 16), "projector": (8,), "margins": (1.0,),
            "steps": 20, "batch": 16,
        }
    }  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("maps", "projector", "margins"):
            if not getattr(self, name):
                raise OptionError(f"{name} must be at least one number.")

    def run(self, run: Run) -> None:
        images, who = load(self.data).together
        rows = first_of_each(who, self.most)
        images, who = functional.avg_pool2d(images[rows], self.shrink), who[rows]
        folds, found = group_folds(who, self.folds, self.generator(), "people"), []
        run.expect(self.folds)
        for number, fold in enumerate(folds):
            splits = {name: (images[chosen], who[chosen]) for name, chosen in fold.items()}
            found.append(run.stage(f"fold-{number}", partial(self._fold, splits, number)))
            run.measured.add({name: {"error": 100 * one["equal error"]} for name, one in found[-1]["measured"].items()})
        settings = {name: dict.fromkeys(fold["measured"][name]["chosen"] for fold in found) for name in COMPARED}
        people, unseen = (len(part.unique()) for part in (who, who[folds[0]["test"]]))
        run.show(people=people, unseen=unseen, settings={n: "; ".join(s) for n, s in settings.items()})
        run.part(self.figures, found)

    def _fold(self, splits: Mapping[str, Split], number: int) -> dict[str, Any]:
        """Each method, with what the validation people choose of it, measured on the test people."""
        training, who = splits["train"]
        untrained = self._encoder(training, self.generator(number))
        tried: dict[str, dict[str, Codes]] = {
            PIXELS: {"as they are": lambda images: images.flatten(1)},
            PCA: principal_ways(training, COMPONENTS),
            RANDOM: {"untrained": partial(represent, untrained)},
            SUPERVISED: {"a classifier of the training people": self._classify(training, who, number)},
            METHOD: {},
            ALIGNED[METHOD]: {},
        }
        align = Alignment(training, self.stiffness)  # knows the training people alone
        moved = align(training)
        tried[ALIGNED[PCA]] = after(align, principal_ways(moved, COMPONENTS))
        curve: dict[str, Any] = {}
        for margin in self.margins:
            for method, images in ((METHOD, training), (ALIGNED[METHOD], moved)):
                energy, curve[f"{method}, margin {margin:g}"] = self._learn(images, who, margin, number)
                tried[method][f"margin {margin:g}"] = partial(represent, energy.branch)
        tried[ALIGNED[METHOD]] = after(align, tried[ALIGNED[METHOD]])
        chosen = {method: verify_best(ways, splits["validation"], splits["test"]) for method, ways in tried.items()}
        measured = {
            method: {
                "equal error": one.test.equal_error, "validation": one.validation, "accepted": one.test.accepted,
                "recognised": one.test.recognised, "chosen": one.text,
            }
            for method, one in chosen.items()
        }  # fmt: skip
        test, whose = splits["test"]
        shown = {method: chosen[method].codes for method in (PCA, METHOD)}
        faces = {"as they are": test[:_SHOWN], "aligned": align(test[:_SHOWN])}
        return {
            "measured": measured, "codes": shown, "images": test, "who": whose, "loss": curve, "faces": faces,
        }  # fmt: skip

    def _encoder(self, images: Tensor, generator: torch.Generator) -> ConvNet:
        """Photographs of faces are aligned, so that each place of the last maps has a meaning of its own."""
        _, channels, height, width = images.shape
        return ConvNet((channels, height, width), self.maps, generator=generator, pooled=False)

    def _views(self) -> ImageViews:
        """Brightness of hair and skin helps to tell people apart: colours are not changed."""
        return ImageViews(crop=(0.8, 1.0), colour=0, grey=0, flip=0.5 if self.data == "faces" else 0)

    def _classify(self, images: Tensor, who: Tensor, number: int) -> Codes:
        """Representations of the same network, trained to name the training people, in as many steps."""
        people = images, who.unique(return_inverse=True)[1]
        taught = fine_tune(
            self._encoder(images, self.generator(number)).to(self.device), people, people, views=self._views(),
            rates=(self.rate,), steps=self.steps, batch_size=self.batch, generator=self.generator(200 + number),
            seed=number,
        )  # fmt: skip
        return partial(represent, taught.network[0])

    def _learn(self, images: Tensor, who: Tensor, margin: float, number: int) -> tuple[JointEmbedding, dict[str, Any]]:
        """DrLIM on all ordered pairs of different photographs of one person."""
        (first, second), generator = pairs_within(who), self.generator(100 + number)
        encoder = self._encoder(images, generator)
        energy = JointEmbedding(encoder, self.projector, distance="euclidean", generator=generator).to(self.device)
        shaping = DrLIM(self._views(), margin, self.hardest, who[first], seed=number).to(self.device)
        result = train(
            energy, (images[first], images[second]), shaping, self.steps, batch_size=min(self.batch, len(first)),
            lr=self.rate, optimiser="adamw", weight_decay=1e-2, seed=number, log_every=max(1, self.steps // 50),
        )  # fmt: skip
        return energy, result.history["loss/energy"]._asdict()

    def figures(self, run: Run, found: list[dict[str, Any]]) -> None:
        first = found[0]
        parts = "equal error", "accepted", "recognised"
        lines: Any = {
            name: [Verification(*(fold["measured"][name][part] for part in parts)) for fold in found]
            for name in COMPARED
        }
        run.figure("verification", partial(verification_curves, lines), dpi=130)
        cells = [
            (name, *(f"{error:.1f}" for error in run.measured.each(name, "error")), run.shown["settings"][name])
            for name in COMPARED
        ]
        folds = [f"fold {number + 1}" for number in range(len(found))]
        run.table(("method", *folds, "chosen on validation people"), cells, name="folds")
        for name, codes in first["codes"].items():
            drawn = partial(scatter, plane(codes), first["who"], pictures=first["images"], title=name)
            run.figure(f"plane-{name.lower()}", drawn, dpi=150)
        strangers, friends = hardest_pairs(first["codes"][METHOD], first["who"], 10)
        pairs = {"different people": strangers, "the same person": friends}
        rows = {name + " " * side: first["images"][pair[side]] for name, pair in pairs.items() for side in (0, 1)}
        run.figure("hardest", mosaic(rows))
        run.figure("aligned", partial(mosaic, first["faces"]))
        lines = {name: (line["steps"], line["values"]) for name, line in first["loss"].items()}
        run.figure("training", curves(lines, title="first fold", xlabel="step", ylabel="loss of a batch"))

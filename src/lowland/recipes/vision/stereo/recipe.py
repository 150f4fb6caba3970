"""Stereo pairs of objects under all views and lights: classifiers of pixels beside a ConvNet, on objects never seen."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from lowland.data.images import Images
from lowland.data.norb import small_norb
from lowland.data.solids import solid_models
from lowland.data.stereo_objects import SIZE, named_objects, stereo_pairs
from lowland.data.views.distortions import Distortions
from lowland.energies.classifier import Classifier
from lowland.evaluation.classification import answer_energies, confusion_counts, fit_by_validation, inputs_and_answers
from lowland.evaluation.pixel_classifiers import pixel_classifiers
from lowland.nn.stage import StageNet
from lowland.plots import layer_maps, mosaic
from lowland.plots.answers import hardest_images
from lowland.plots.confusion import confusion
from lowland.recipes.base import Count, Positive, SeededRecipe, recipe
from lowland.reports.run import Run
from lowland.shaping.contrastive.likelihood import MaximumLikelihood
from lowland.tensors import PerSampleRNG
from lowland.training.schedules import falling
from lowland.training.snapshots import check_rising

CONVNET = "ConvNet"
_AT_ONCE, _SHOWN = 500, 5
_DISTORT = Distortions(turn=5, shear=0.1, shift=1.5, elastic=0)


class Left(NamedTuple):
    """What the pictures need of the first seed: the pairs, the ConvNet, and its energies of all test pairs."""

    images: Images
    net: StageNet
    table: Tensor


@recipe
@dataclass(frozen=True)
class StereoRecipe(SeededRecipe):
    """E(x, y) = −f_y(x): x a stereo pair, y the category of what is seen, f a ConvNet of stages."""

    data: Literal["stereo", "solids"] = "stereo"
    """Objects that are rendered: 90 named models, or boxes, cylinders, cones, balls and rings, which need no file."""
    folder: str = ""
    """Folder with the files of small NORB, which takes the place of rendered objects."""
    epochs: tuple[Count, ...] = (4, 8)
    """Passes through the training pairs, of which the validation pairs choose one; the rate falls to 0 at the end."""
    batch: Count = 32
    """Pairs in a step of training."""
    rate: Positive = 0.002
    """Learning rate of Adam at first."""
    distort: bool = True
    """Whether rendered training pairs are turned, sheared, scaled and moved a little, anew in each step."""

    stages: ClassVar[int] = 2
    presets: ClassVar[dict[str, dict[str, Any]]] = {"smoke": {"data": "solids", "seeds": 1, "epochs": (1, 2)}}

    def __post_init__(self) -> None:
        super().__post_init__()
        check_rising("epochs", self.epochs)
        if self.folder:
            object.__setattr__(self, "folder", os.path.realpath(self.folder))

    def measure(self, run: Run, seed: int) -> tuple[dict[str, dict[str, Any]], Left]:
        data, draw = self._data(run, seed), self.generator(seed)
        net = StageNet(data.shape, len(data.classes), generator=draw)
        energy = Classifier(data.train[0].numel(), len(data.classes), (), draw)
        energy.network = nn.Sequential(nn.Unflatten(1, data.shape), net)
        found = run.stage("pixels", partial(pixel_classifiers, data))
        numbers = {name: {key: row[key] for key in ("error", "validation", "seconds")} for name, row in found.items()}
        taught = run.stage(CONVNET, partial(self._train, run, energy.to(self.device), data, seed), [energy])
        numbers[CONVNET] = taught["numbers"]
        if seed == 0:
            chosen = {name: row["chosen"] for name, row in found.items()} | {CONVNET: taught["chosen"]}
            run.show(chosen=chosen, trained=len(data.train), validated=len(data.validation), tested=len(data.test))
        return numbers, Left(data, net.cpu(), taught["table"])

    def _data(self, run: Run, seed: int) -> Images:
        """Other objects for the test with each seed; of small NORB always the published ones."""
        if self.folder:
            return small_norb(self.folder)
        run.stand_in("Rendered objects stand in for small NORB: the published errors are of other objects.")
        run.doing("objects, rendered once")
        if self.data == "stereo":
            return named_objects().split(self.generator(100 + seed))
        return stereo_pairs(solid_models(6), 8, SIZE, run.folder / "solids", "solids").split(self.generator(100 + seed))

    def _train(self, run: Run, energy: Classifier, data: Images, seed: int) -> dict[str, Any]:
        """Train, keep the weights that have the least error on validation pairs, and look once at test pairs."""
        began, each = time.process_time(), -(-len(data.train) // self.batch)
        steps = [epochs * each for epochs in self.epochs]
        views = partial(_changed, data.shape) if self.distort and not self.folder else None
        shaping, schedule = MaximumLikelihood(views, seed=seed), partial(falling, steps[-1])
        errors = fit_by_validation(energy, data, shaping, steps, self.batch, seed, self.rate, schedule)
        best = min(errors, key=errors.__getitem__)
        seconds = time.process_time() - began
        with torch.no_grad():
            x = inputs_and_answers(energy, data, "test")[0]
            table = torch.cat([answer_energies(energy, some) for some in x.split(_AT_ONCE)]).cpu()
        wrong = (table.argmin(dim=1) != data.test_labels).double().mean()
        numbers = {"error": 100 * wrong.item(), "validation": 100 * errors[best], "seconds": seconds}
        return {"numbers": numbers, "table": table, "chosen": f"epochs: {best // each}"}

    def figures(self, run: Run, first: Left) -> None:
        data, names, rows = first.images, first.images.classes, {}
        for part in ("train", "test"):
            images, labels = getattr(data, part), getattr(data, f"{part}_labels")
            for label, name in enumerate(names):
                pairs = images[labels == label][:_SHOWN]
                rows[f"{name}, {part}"] = torch.cat([pairs[:, :1], pairs[:, 1:]], dim=3)
        run.figure("objects", mosaic({name: rows[name] for name in sorted(rows)}))
        with torch.no_grad():
            maps = first.net.maps(data.test[:1])
        layers = {"eyes": data.test[0] - data.test[0].mean(), "normalised": maps[0][0]}
        layers |= {f"stage {number + 1}": one[0, :16] for number, one in enumerate(maps[1:3])}
        run.figure("maps", partial(layer_maps, layers))
        counts = confusion_counts(data.test_labels, first.table.argmin(dim=1), len(names))
        run.figure("confusion", partial(confusion, counts, names))
        wrong = partial(hardest_images, data.test[:, :1], first.table, data.test_labels, names, count=16)
        run.figure("wrong", wrong)


def _changed(shape: tuple[int, int, int], pairs: Tensor, noise: PerSampleRNG) -> Tensor:
    """Both eyes of flat pairs (B, 2 · S · S) distorted alike; what comes in from outside is white, as the paper."""
    return 1 - _DISTORT(1 - pairs.unflatten(1, shape), noise).flatten(1)

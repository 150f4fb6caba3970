"""Any module becomes an energy: a classifier, shaped in two ways, read by its energies, and exported."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.data.catalogue import load
from lowland.data.images import Images
from lowland.energies.classifier import Classifier
from lowland.evaluation.classification import (
    answer_energies,
    classification_baselines,
    fit_by_validation,
    inferred_accuracy,
    inputs_and_answers,
)
from lowland.nn.layers import linear
from lowland.plots import curves
from lowland.plots.answers import hardest_images, short_names
from lowland.recipes.base import Count, SeededRecipe, recipe
from lowland.recipes.foundations.classify.checks import cross_entropy_gap, export_all
from lowland.recipes.foundations.classify.figures import answers, legend, mistakes, wishes
from lowland.reports.run import Run
from lowland.shaping.base import Shaping
from lowland.shaping.contrastive.likelihood import MaximumLikelihood
from lowland.shaping.contrastive.pair import HingePair
from lowland.shaping.contrastive.points import WrongAnswers
from lowland.training.snapshots import check_rising

LIKELIHOOD, HINGE, GRAPH = "likelihood", "hinge", "gated graph"


class Left(NamedTuple):
    """What the pictures need of a seed: the images, an energy, and its energies of all answers to test images."""

    images: Images
    energy: Classifier
    table: Tensor


class Gated(nn.Module):
    """f(x) = A (h ⊙ σ(G h)) + C x, h = [B x]⁺: a graph that is not a chain, for h is used twice and x, too."""

    def __init__(self, inputs: int, classes: int, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.first, self.gate = linear(inputs, width, generator), linear(width, width, generator)
        self.last, self.shortcut = linear(width, classes, generator), linear(inputs, classes, generator)

    def forward(self, x: Tensor) -> Tensor:
        h = functional.relu(self.first(x))
        return self.last(h * torch.sigmoid(self.gate(h))) + self.shortcut(x)


@recipe
@dataclass(frozen=True)
class ClassifyRecipe(SeededRecipe):
    """E(x, y) = −y·f(x), x an image, y a one-hot answer, f the network of the talks with 1000 hidden units."""

    data: Literal["digits", "mnist10k", "fashion_mnist", "mnist"] = "digits"
    """Images: digits, which are always available, mnist10k, fashion_mnist or mnist; these need more steps."""
    hidden: tuple[Count, ...] = (1000,)
    """Sizes of the hidden layers of the network."""
    width: Count = 200
    """Size of the layers of the other graph."""
    steps: tuple[Count, ...] = (25, 50, 100, 200, 400)
    """Numbers of training steps, of 128 images each, of which the validation images choose one."""

    stages: ClassVar[int] = 4
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"seeds": 2, "hidden": (32,), "width": 16, "steps": (20, 100)}
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        check_rising("steps", self.steps)

    def measure(self, run: Run, seed: int) -> tuple[dict[str, dict[str, Any]], Left]:
        images, kept, found = load(self.data), {}, {}
        if images.stand_in_for:
            run.stand_in(
                f"{self.data} stands in for {images.stand_in_for}: its test images are not the published ones."
            )
        data = images.resplit(0.2, self.generator(100 + seed))
        for method, shaping in self._methods().items():
            kept[method] = self._energy(method, data, seed)
            train = partial(self._train, run, kept[method], shaping, data, seed)
            found[method] = run.stage(method.replace(" ", "-"), train, [kept[method]])
        found |= run.stage("baselines", partial(classification_baselines, data))
        numbers: dict[str, dict[str, Any]] = {
            name: {"error": 100 * (1 - one["test"])} | ({"nll": one["nll"]} if "nll" in one else {})
            for name, one in found.items()
        }
        for method in kept:
            one, errors = found[method], [100 * error for error in found[method]["validation"]]
            numbers[method] |= {"fitted": 100 * one["after"], "steps": one["steps"], "validation": min(errors)}
            numbers[method] |= {f"validation {steps}": v for steps, v in zip(self.steps, errors, strict=True)}
        numbers["untrained"] = {"fitted": 100 * found[LIKELIHOOD]["before"]}
        if seed == 0:
            work = partial(cross_entropy_gap, kept[LIKELIHOOD], images)
            numbers[LIKELIHOOD]["cross-entropy"] = run.stage("cross-entropy", work)
            for method in (LIKELIHOOD, HINGE):
                run.save_energy(method, kept[method])
            graphs = {method: kept[method].cpu() for method in (LIKELIHOOD, GRAPH)}
            exported = run.stage("export", partial(export_all, graphs, images, run.checkpoints, self.threads))
            for method in graphs:
                numbers |= {f"{method}, {runtime}": one for runtime, one in exported[method].items()}
            layers = [len(bias) for bias in kept[LIKELIHOOD].network.parameters() if bias.ndim == 1]
            sizes = "-".join(map(str, [images.test[0].numel(), *layers]))
            run.show(missing=exported["missing"], tests=len(images.test), sizes=sizes, legend=legend(images))
        return numbers, Left(images, kept[LIKELIHOOD], found[LIKELIHOOD]["table"])

    def _methods(self) -> dict[str, Shaping]:
        hinge = HingePair(WrongAnswers(), margin=1.0)
        return {LIKELIHOOD: MaximumLikelihood(), HINGE: hinge, GRAPH: MaximumLikelihood()}

    def _energy(self, method: str, data: Images, seed: int) -> Classifier:
        inputs, classes, generator = data.train[0].numel(), len(data.classes), self.generator(seed)
        energy = Classifier(inputs, classes, self.hidden, generator)
        if method == GRAPH:
            energy.network = Gated(inputs, classes, self.width, generator)
        return energy.to(self.device)

    def _train(self, run: Run, energy: Classifier, shaping: Shaping, data: Images, seed: int) -> dict[str, Any]:
        """Train, keep the weights that have the least error on validation images, and look once at test images."""
        train, test = (inputs_and_answers(energy, data, split) for split in ("train", "test"))
        before = inferred_accuracy(energy, *train)
        errors = fit_by_validation(energy, data, shaping, self.steps, seed=seed)
        for steps, error in errors.items():
            run.log(steps, validation_error=error)
        with torch.no_grad():
            table = answer_energies(energy, test[0]).cpu()
        return {
            "steps": min(errors, key=errors.__getitem__),
            "validation": list(errors.values()),
            "before": before,
            "after": inferred_accuracy(energy, *train),
            "test": inferred_accuracy(energy, *test),
            "nll": functional.cross_entropy(-table, data.test_labels).item(),
            "table": table,
        }

    def figures(self, run: Run, first: Left) -> None:
        data, table, names = first.images, first.table, short_names(first.images.classes)
        mean = run.measured.mean
        lines = {m: (self.steps, [mean(m, f"validation {n}") for n in self.steps]) for m in self._methods()}
        texts = {"title": "Validation images", "xlabel": "training steps", "ylabel": "error, %"}
        run.figure("answers", partial(answers, data, table, names))
        run.figure("steps", partial(curves, lines, **texts, log="xy", plain=True))
        run.figure("offending", partial(hardest_images, data.test, table, data.test_labels, names))
        run.figure("confusion", partial(mistakes, data, table, names))
        run.figure("wishes", partial(wishes, data, first.energy.cpu(), names))

"""LeNet-5 as published, an energy; with rectifiers and max pooling; and on digits distorted anew each epoch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from lowland.data.catalogue import load
from lowland.data.images import Images
from lowland.data.views.distortions import Distortions
from lowland.energies.base import Energy
from lowland.energies.classifier import Classifier
from lowland.energies.lenet import LeNet
from lowland.evaluation.classification import answer_energies, fit_by_validation, inputs_and_answers
from lowland.nn.connections import count_connections
from lowland.nn.lenet import SIDE, digit_bitmaps
from lowland.plots import image_rows, images, layer_maps
from lowland.plots.answers import hardest_images
from lowland.recipes.base import Count, Positive, SeededRecipe, recipe
from lowland.reports.run import Run
from lowland.shaping.contrastive.likelihood import MaximumLikelihood
from lowland.tensors import PerSampleRNG
from lowland.training.schedules import falling
from lowland.training.snapshots import check_rising

LINEAR, PUBLISHED, MODERN, DISTORTED = "linear", "published", "modern", "distorted"
METHODS = (LINEAR, PUBLISHED, MODERN, DISTORTED)


class Left(NamedTuple):
    """What the pictures need of the first seed: the images, the published net, and energies of all test images."""

    images: Images
    energy: LeNet
    tables: dict[str, Tensor]


@recipe
@dataclass(frozen=True)
class LenetRecipe(SeededRecipe):
    """E(x, y) = ‖F6(x) − w_y‖²: x an image, y a digit, w_y its fixed bitmap, F6 the last layer of LeNet-5."""

    data: Literal["mnist10k", "mnist", "digits"] = "mnist10k"
    """Digits: ten thousand of MNIST, all of it, or the small ones that are always available."""
    epochs: tuple[Count, ...] = (10, 15, 20)
    """Passes through the training images, of which the validation images choose one; the rate falls to 0 at the end."""
    batch: Count = 32
    """Images in a step of training."""
    rate: Positive = 0.002
    """Learning rate of Adam at first."""
    rubbish: Positive = 40.0
    """Energy of the class of what is no digit, j, in squared pixels of a bitmap; the paper gives no value."""
    examples: Count = 100000
    """Training images at most, and validation images at most."""

    stages: ClassVar[int] = len(METHODS)
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"seeds": 2, "data": "digits", "epochs": (1, 2), "examples": 64, "batch": 16}
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        check_rising("epochs", self.epochs)

    def measure(self, run: Run, seed: int) -> tuple[dict[str, dict[str, Any]], Left]:
        whole, tables, energies = load(self.data), {}, {}
        if whole.stand_in_for:
            run.stand_in(f"{self.data} stands in for {whole.stand_in_for}: its test images are not the published ones.")
        data = whole.resplit(1 / 8, self.generator(100 + seed)).first(train=self.examples, validation=self.examples)
        numbers: dict[str, dict[str, Any]] = {}
        for method in METHODS:
            energies[method] = self._energy(method, data, seed).to(self.device)
            train = partial(self._train, run, method, energies[method], data, seed)
            found = run.stage(method, train, [energies[method]])
            numbers[method], tables[method] = found["numbers"], found["table"]
        if seed == 0:
            published = energies[PUBLISHED].network
            numbers[PUBLISHED]["weights"] = sum(one.numel() for one in published.parameters())
            numbers[PUBLISHED]["connections"] = count_connections(published, (1, SIDE, SIDE))
            run.save_energy(PUBLISHED, energies[PUBLISHED])
            run.show(trained=len(data.train), validated=len(data.validation), tested=len(data.test))
        return numbers, Left(data, energies[PUBLISHED].cpu(), tables)

    def _energy(self, method: str, data: Images, seed: int) -> Energy:
        generator = self.generator(seed)
        if method == LINEAR:
            return Classifier(data.train[0].numel(), len(data.classes), (), generator)
        if method == PUBLISHED:
            return LeNet(data.shape[1:], rubbish=self.rubbish, generator=generator)
        return LeNet(data.shape[1:], output="linear", modern=True, generator=generator)

    def _train(self, run: Run, method: str, energy: Energy, data: Images, seed: int) -> dict[str, Any]:
        """Train, keep the weights that have the least error on validation images, and look once at test images."""
        each = -(-len(data.train) // self.batch)
        steps = [epochs * each for epochs in self.epochs]
        shaping = MaximumLikelihood(Distortions() if method == DISTORTED else None, seed=seed)
        errors = fit_by_validation(
            energy, data, shaping, steps, self.batch, seed, self.rate, partial(falling, steps[-1])
        )
        for step, error in errors.items():
            run.log(step, validation_error=error)
        best = min(errors, key=errors.__getitem__)
        wrong, table = {}, torch.zeros(0)
        for split in ("train", "test"):
            with torch.no_grad():
                table = answer_energies(energy, inputs_and_answers(energy, data, split)[0]).cpu()
            wrong[split] = 100 * (table.argmin(dim=1) != getattr(data, f"{split}_labels")).double().mean().item()
        numbers = {"error": wrong["test"], "fitted": wrong["train"], "validation": 100 * errors[best]}
        return {"numbers": numbers | {"epochs": best // each}, "table": table}

    def figures(self, run: Run, first: Left) -> None:
        data, names = first.images, first.images.classes
        digit, own = data.test[:1], first.tables[PUBLISHED][0].argmin()
        with torch.no_grad():
            maps = first.energy.network.maps(first.energy.image(digit))
        rows = {"image": first.energy.image(digit)[0]} | {name: maps[name][0] for name in ("C1", "S2", "C3", "S4")}
        rows |= {"C5": maps["C5"][0].reshape(1, 8, 15), "F6": maps["F6"][0].reshape(1, 12, 7)}
        rows |= {"closest bitmap": digit_bitmaps()[own].reshape(1, 12, 7)}
        run.figure("maps", partial(layer_maps, rows))
        run.figure("bitmaps", partial(images, digit_bitmaps(), (12, 7), columns=10, each=False))
        shown, views = data.train[:12], {"digit": data.train[:12, 0]}
        for draw in range(1, 4):
            views[f"view {draw}"] = Distortions()(shown, PerSampleRNG(draw, torch.arange(len(shown))))[:, 0]
        run.figure("views", partial(image_rows, views, signed=False, each=False))
        for method in (PUBLISHED, DISTORTED):
            options = (data.test, first.tables[method], data.test_labels, names)
            run.figure(f"wrong-{method}", partial(hardest_images, *options, count=16))

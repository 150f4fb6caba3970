"""Does pretraining pay (row J6)? Few labels, with and without a network that saw the images before."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from lowland.data.images import Images, stratified
from lowland.errors import OptionError, TrainingError, nearest
from lowland.evaluation.fine_tune import fine_tune
from lowland.evaluation.frozen import labelled as part
from lowland.evaluation.probe import Labelled, Probe, probe
from lowland.evaluation.representations import represent
from lowland.recipes.base import recipe
from lowland.recipes.baselines import PIXELS, RANDOM
from lowland.recipes.labels_page import FROZEN, PRETRAINED, SCRATCH, TUNED, write_page, write_results
from lowland.recipes.ssl_methods import Method
from lowland.recipes.ssl_training import GPU, VIEWS, Pretraining
from lowland.reports.run import Run

CHOICE = "choice"
"""Folder of the stages by which the method is chosen."""


@recipe(
    "labels",
    shows="Does a network that first learned from images without labels need fewer labels afterwards? It is compared "
    "with the same network trained on the labels alone, and with a classifier of raw pixels.",
    rows=("J6",),
    minutes=60,
    title="Does pretraining pay?",
)
@dataclass(frozen=True)
class LabelsRecipe(Pretraining):
    """Accuracy with a share of the labels: pretrained, from scratch, and from pixels.

    What is chosen, is chosen on validation images: the method (by its linear probes with the fewest labels), weight
    decays, how a network is trained on labels, and whether the pretrained one stays frozen or is tuned. Fine-tuning and
    training from scratch have the same budget: as many learning rates, each its own, with each of the same views, for
    the same steps. They try them all on the first draw of each share of the labels, and keep the best for the others.

    What was tried on validation images of MNIST with 1 % of the labels, which are 70: four stages, the mean over places
    and 60 epochs of SimCLR give a linear probe 88.7 %, three stages, all places and 30 epochs 81.7 %; raw pixels have
    70 %. On Fashion-MNIST (550 labels; 32, 64 and 128 maps, all places, 16 epochs, one draw) pretraining is worth less:
    84.7 % tuned with views `in-place`, 83.5 % frozen, 83.3 % from scratch with views `upright`, a rate of 0.01 and a
    thousand steps; with views that flip, from scratch has 80.5 to 81 %, so that the comparison would flatter.
    """

    data: str = "mnist10k"
    """Images: fashion_mnist, cifar10, mnist, mnist10k or digits."""
    methods: tuple[str, ...] = ("simclr", "vicreg")
    """Methods of which the validation images choose one."""
    views: str = "upright"
    """How images are changed in pretraining: mild, upright, in-place, simclr, vicreg, crop-only or none."""
    maps: tuple[int, ...] = (32, 64, 128, 256)
    """Feature maps of the convnet's stages, or of the first stage of the resnet18."""
    epochs: float = 60.0
    """Times that each training image is seen in pretraining, by two views each time."""
    fractions: tuple[float, ...] = (0.01, 0.1, 1.0)
    """Shares of the labels, rising."""
    seeds: int = 5
    """Draws of the labels at each share below 1; at 1 there is nothing to draw, and one training."""
    tuned: tuple[int, ...] = (1000, 1000, 1500)
    """Steps of each training on labels, for each share."""
    tuned_batch: int = 64
    """Images of such a step."""
    tuned_views: tuple[str, ...] = ("in-place", "upright")
    """How images are changed in training on labels: the validation images choose one."""
    rates: tuple[float, ...] = (0.001, 0.003, 0.01)
    """Learning rates from scratch, of which the validation images choose one."""
    tuned_rates: tuple[float, ...] = (0.0003, 0.001, 0.003)
    """The same for the pretrained network."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {
            "data": "digits", "methods": ("vicreg",), "maps": (8, 16), "epochs": 1.0, "fractions": (0.1, 1.0),
            "seeds": 2, "tuned": (4, 8), "rates": (0.003,), "tuned_rates": (0.001,),
        },
        "gpu": GPU | {
            "methods": ("simclr", "vicreg"), "tuned": (1000, 4000, 20000), "tuned_views": ("none", "crop-only"),
        },
    }  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if list(self.fractions) != sorted(set(self.fractions)) or not self.fractions or not self.methods:
            raise OptionError(f"fractions must rise, and there must be a method, but they are {self.fractions}.")
        if not (self.fractions[0] > 0 and self.fractions[-1] <= 1) or len(self.tuned) != len(self.fractions):
            raise OptionError("fractions must be above 0 and at most 1, and each needs its own number in tuned.")
        if min(self.seeds, self.tuned_batch, *self.tuned) < 1:
            raise OptionError("seeds, tuned_batch and tuned must be at least 1.")
        for name in ("rates", "tuned_rates"):
            if not getattr(self, name) or min(getattr(self, name)) <= 0:
                raise OptionError(f"{name} must be positive numbers, at least one, but are {getattr(self, name)}.")
        if not self.tuned_views:
            raise OptionError("tuned_views must name at least one kind of views; none is a kind of its own.")
        for name in self.tuned_views:
            if name not in VIEWS:
                raise OptionError(f"tuned_views cannot be {name!r}. {nearest(name, VIEWS)}")

    def run(self, run: Run) -> None:
        counts = [1 if fraction == 1 else self.seeds for fraction in self.fractions]
        run.expect(len(self.methods) + sum(counts))
        data = self.images(run)
        encoders, choice = self._pretrained(run, data)
        if not choice:
            run.text("No method came to its end, so that there is nothing to compare.")
            return
        best = max(choice, key=lambda title: statistics.fmean(choice[title]))
        found: dict[float, list[dict[str, Any]]] = {}
        for fraction, count, steps in zip(self.fractions, counts, self.tuned, strict=True):
            draws = found.setdefault(fraction, [])
            for seed in range(count):
                work = partial(self._compare, encoders[best], data, fraction, seed, steps, draws[0] if draws else None)
                draws.append(run.stage(f"labels-{100 * fraction:g}/seed-{seed}", work))
        write_results(run, found, best, f"{data.name}, {self.encoder}, epochs of pretraining: {self.epochs:g}")
        run.part(write_page, found, choice, best, data)

    def _pretrained(self, run: Run, data: Images) -> tuple[dict[str, nn.Module], dict[str, list[float]]]:
        """Encoders, and the validation accuracies of their linear probes with the fewest labels, by title."""
        encoders: dict[str, nn.Module] = {}
        choice: dict[str, list[float]] = {}
        for method in self.chosen():
            energy = self.energy(method, data, 0)
            tried = run.stage(f"{CHOICE}/{method.name}", partial(self._try, run, method, energy, data), [energy])
            if "failed" in tried:
                run.text(f"**{method.title}** did not come to its end: {tried['failed']}")
                continue
            encoders[method.title], choice[method.title] = energy.branch.encoder, tried["validation"]
        return encoders, choice

    def _try(self, run: Run, method: Method, energy: Any, data: Images) -> dict[str, Any]:
        try:
            self.pretrain(run, method, energy, data, 0, self.steps(data))
        except TrainingError as error:
            return {"failed": str(error)}
        train, held = (part(data, name, energy.branch.encoder) for name in ("train", "validation"))
        draws = [self._drawn(train[1], self.fractions[0], seed) for seed in range(self.seeds)]
        return {"validation": [probe((train[0][rows], train[1][rows]), held).validation for rows in draws]}

    def _drawn(self, labels: Tensor, fraction: float, seed: int) -> Tensor:
        """Which samples have a label: the same for all rows of the table."""
        if fraction == 1:
            return torch.arange(len(labels))
        return stratified(labels, fraction, self.generator(3000 + seed))[1]

    def _compare(
        self, encoder: nn.Module, data: Images, fraction: float, seed: int, steps: int, first: dict[str, Any] | None
    ) -> dict[str, Any]:
        """Accuracies of all rows with one draw of the labels; each looks at the test images once, at its end.

        What the first draw of this share chose for training on labels is kept for the others.
        """
        rows = self._drawn(data.train_labels, fraction, seed)
        fresh = self.network(data, seed)
        found: dict[str, dict[str, Any]] = {}
        heads = {}
        for name, frozen in ((FROZEN, encoder), (RANDOM, fresh), (PIXELS, None)):
            train, held, test = (part(data, split, frozen) for split in ("train", "validation", "test"))
            heads[name] = probe((train[0][rows], train[1][rows]), held, test)
            found[name] = {"test": heads[name].accuracy, "validation": heads[name].validation}
        few = data.train[rows], data.train_labels[rows]
        for name, begin, head in ((TUNED, encoder, heads[FROZEN]), (SCRATCH, fresh, None)):
            rates, views = self.rates if head is None else self.tuned_rates, self.tuned_views
            if first is not None:
                rates, views = (first["found"][name]["rate"],), (first["found"][name]["views"],)
            found[name] = self._teach(begin, few, data, head, steps, seed, rates, views)
        better = max((FROZEN, TUNED), key=lambda name: found[name]["validation"])
        found[PRETRAINED] = {key: found[better][key] for key in ("test", "validation")}
        return {"found": found, "labels": len(rows), "better": better}

    def _teach(
        self, encoder: nn.Module, few: Labelled, data: Images, head: Probe | None, steps: int, seed: int,
        rates: tuple[float, ...], views: tuple[str, ...],
    ) -> dict[str, Any]:  # fmt: skip
        """Train on labels with each of the views at each of the rates, and test what is best on validation images."""
        tried = {
            name: fine_tune(
                encoder, few, part(data, "validation"), head=head, views=VIEWS[name](), rates=rates, steps=steps,
                batch_size=self.tuned_batch, generator=self.generator(4000 + seed), seed=self.seed + seed,
            )
            for name in views
        }  # fmt: skip
        best = max(tried, key=lambda name: tried[name].validation)
        images, labels = part(data, "test")
        right = represent(tried[best].network, images).argmax(dim=1) == labels
        return {
            "test": float(right.double().mean()), "validation": tried[best].validation, "rate": tried[best].rate,
            "views": best,
            "tried": [(name, rate, value) for name, one in tried.items() for rate, value in one.tried.items()],
        }  # fmt: skip

"""Does pretraining help? Few labels, with and without a network that saw the images before."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from lowland.data.images import Images, stratified
from lowland.errors import OptionError, TrainingError
from lowland.evaluation import labelled, probe
from lowland.evaluation.few_labels import FROZEN, SCRATCH, TUNED, Tuning, compare_with_few_labels
from lowland.plots import curves
from lowland.recipes.base import Bound, Count, Positive, recipe
from lowland.recipes.joint.common import GPU, PIXELS, RANDOM, Pretraining, Views, load_images
from lowland.reports.results import Results
from lowland.reports.run import Run
from lowland.training.joint_methods import JointMethod

PRETRAINED = "pretrained, the better on validation"
ROWS = (PRETRAINED, FROZEN, TUNED, SCRATCH, PIXELS, RANDOM)
RIVALS = (SCRATCH, PIXELS)
Found = dict[str, list[dict[str, Any]]]
"""What was measured, by share of the labels in percent and then by draw."""


@recipe
@dataclass(frozen=True)
class LabelsRecipe(Pretraining):
    """Accuracy with a share of the labels: pretrained, from scratch, and from pixels.

    Validation images choose the method (by linear probes with the fewest labels), weight decays, learning rate and
    views of training on labels, and whether the pretrained network stays frozen or is fine-tuned. Fine-tuning and
    training from scratch have the same budget: as many learning rates, each its own, with each of the same views, for
    the same steps. All are tried on the first draw of each share of the labels; the best is kept for the other draws.
    """

    data: Literal["fashion_mnist", "cifar10", "mnist", "mnist10k", "digits"] = "mnist10k"
    """Images: fashion_mnist, cifar10, mnist, mnist10k or digits."""
    methods: tuple[str, ...] = ("simclr", "vicreg")
    """Methods of pretraining, of which the validation images choose one."""
    views: Views = "upright"
    """Augmentation in pretraining: mild, upright, in-place, simclr, vicreg, crop-only or none."""
    maps: tuple[Count, ...] = (32, 64, 128, 256)
    """Feature maps of the convnet's stages, or of the first stage of the resnet18."""
    epochs: Positive = 60.0
    """Passes over the training images in pretraining, with two views of each."""
    fractions: tuple[Annotated[float, Bound(above=0, most=1)], ...] = (0.01, 0.1, 1.0)
    """Shares of the labels, rising."""
    seeds: Count = 5
    """Draws of the labels at each share below 1; at 1 there is nothing to draw, and one training."""
    tuned: tuple[Count, ...] = (1000, 1000, 1500)
    """Steps of each training on labels, for each share."""
    tuned_batch: Count = 64
    """Images of such a step."""
    tuned_views: tuple[Views, ...] = ("in-place", "upright")
    """Augmentations in training on labels, of which the validation images choose one."""
    rates: tuple[Positive, ...] = (0.001, 0.003, 0.01)
    """Learning rates from scratch, of which the validation images choose one."""
    tuned_rates: tuple[Positive, ...] = (0.0003, 0.001, 0.003)
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
        for name in ("methods", "fractions", "rates", "tuned_rates", "tuned_views"):
            if not getattr(self, name):
                raise OptionError(f"{name} must name at least one.")
        if list(self.fractions) != sorted(set(self.fractions)):
            raise OptionError(f"fractions must rise, but they are {self.fractions}.")
        if len(self.tuned) != len(self.fractions):
            raise OptionError("Each share in fractions needs its own number of steps in tuned.")

    def run(self, run: Run) -> None:
        counts = [1 if fraction == 1 else self.seeds for fraction in self.fractions]
        run.expect(len(self.methods) + sum(counts))
        data = load_images(run, self.data, self.data_dir)
        encoders, choice = self._pretrained(run, data)
        chosen = choice.best("validation", most=True) if encoders else ""
        found: Found = {}
        for fraction, count, steps in zip(self.fractions, counts, self.tuned, strict=True) if chosen else ():
            share = f"{100 * fraction:g}"
            draws = found.setdefault(share, [])
            for seed in range(count):
                first = draws[0] if draws else None
                work = partial(self._compare, encoders[chosen], data, fraction, seed, steps, first)
                draws.append(run.stage(f"labels-{share}/seed-{seed}", work))
                rows = draws[-1]["found"]
                run.measured.add({name: {f"accuracy, {share} %": 100 * rows[name]["test"]} for name in ROWS})
        fewest = next(iter(found.values()), [])
        run.show(
            chosen=chosen, name=data.name, images=len(data.train), held=len(data.validation),
            labels={share: draws[0]["labels"] for share, draws in found.items()}, draws=len(fewest),
            gaps=self._gaps(run, len(fewest)),
        )  # fmt: skip
        if found:
            run.part(self.figures, found, choice)

    def _gaps(self, run: Run, draws: int) -> list[dict[str, Any]]:
        """Points above both rivals with the fewest labels, with their interval over draws of the labels."""
        gaps = []
        for rival in RIVALS if draws else ():
            measure = f"accuracy, {100 * self.fractions[0]:g} %"
            (points, low, high), word = run.measured.verdict(PRETRAINED, rival, measure, ("more", "less"))
            gaps.append({"rival": rival, "points": points, "word": word, "low": low, "high": high})
            if draws > 1:
                run.measured.set("difference", f"above {rival}", points, seeds=draws)
                run.measured.set("difference", f"above {rival}, low", low, seeds=draws)
        return gaps

    def _pretrained(self, run: Run, data: Images) -> tuple[dict[str, nn.Module], Results]:
        """Encoders by title, and the validation accuracies of their linear probes with the fewest labels."""
        encoders: dict[str, nn.Module] = {}
        choice, failed = Results(), {}
        for method in self.chosen():
            energy = self.energy(method, data, 0)
            tried = run.stage(f"choice/{method.name}", partial(self._try, run, method, energy, data), [energy])
            if "failed" in tried:
                failed[method.title] = tried["failed"]
                continue
            encoders[method.title] = energy.encoder
            for share in tried["validation"]:
                choice.add({method.title: {"validation": 100 * share}})
        run.show(failed=failed)
        return encoders, choice

    def _try(self, run: Run, method: JointMethod, energy: Any, data: Images) -> dict[str, Any]:
        try:
            self.pretrain(run, method, energy, data, 0, self.steps(data))
        except TrainingError as error:
            return {"failed": str(error)}
        train, held = (labelled(data, name, energy.encoder) for name in ("train", "validation"))
        draws = [self._drawn(train[1], self.fractions[0], seed) for seed in range(self.seeds)]
        return {"validation": [probe((train[0][rows], train[1][rows]), held).validation for rows in draws]}

    def _drawn(self, labels: Tensor, fraction: float, seed: int) -> Tensor:
        """Which samples have a label: the same for all methods."""
        if fraction == 1:
            return torch.arange(len(labels))
        return stratified(labels, fraction, self.generator(3000 + seed))[1]

    def _compare(
        self, encoder: nn.Module, data: Images, fraction: float, seed: int, steps: int, first: dict[str, Any] | None
    ) -> dict[str, Any]:
        """Accuracies of all methods with one draw of the labels; each uses the test images once, at its end.

        What the first draw of this share chose for training on labels is kept for the others.
        """
        rows = self._drawn(data.train_labels, fraction, seed)
        tries = {TUNED: (self.tuned_views, self.tuned_rates), SCRATCH: (self.tuned_views, self.rates)}
        if first is not None:
            tries = {name: ((one["views"],), (one["rate"],)) for name in tries for one in [first["found"][name]]}
        tuned, scratch = (
            Tuning(views, rates, steps, self.tuned_batch, self.generator(4000 + seed), self.seed + seed)
            for views, rates in tries.values()
        )
        found = compare_with_few_labels(encoder, self.network(data, seed), data, rows, tuned, scratch)
        better = max((FROZEN, TUNED), key=lambda name: found[name]["validation"])
        found[PRETRAINED] = {key: found[better][key] for key in ("test", "validation")}
        return {"found": found, "labels": len(rows), "better": better}

    def figures(self, run: Run, found: Found, choice: Results) -> None:
        measured = {share: f"accuracy, {share} %" for share in found}
        if len(found) > 1:
            labels = [draws[0]["labels"] for draws in found.values()]
            means = {name: [run.measured.mean(name, measure) for measure in measured.values()] for name in ROWS[1:]}
            lines: Any = {name: (labels, line) for name, line in means.items()}
            run.figure("labels", curves(lines, xlabel="labels", ylabel="% of the test images right", log="x"))
        cells = [[name, *(run.measured.cell(name, measure, 1) for measure in measured.values())] for name in ROWS]
        run.table(["", *(f"{share} % of the labels" for share in found)], cells, name="accuracy")
        ordered = sorted(choice.methods(), key=lambda title: -(choice.mean(title, "validation") or 0))
        rows = [[title, choice.cell(title, "validation", 1)] for title in ordered]
        run.table(["method", "% of the validation images right"], rows, name="choice")
        tried = [
            [share, name, views, f"{rate:g}", round(100 * value, 1)]
            for share, draws in found.items()
            for name in (TUNED, SCRATCH)
            for views, rate, value in draws[0]["found"][name]["tried"]
        ]
        columns = ["% of the labels", "network", "views", "learning rate", "% of the validation images right"]
        run.table(columns, tried, name="tried")
        draws = [
            [seed + 1, *(round(100 * one["found"][name]["test"], 1) for name in ROWS[1:]), one["better"]]
            for seed, one in enumerate(next(iter(found.values())))
        ]
        run.table(["draw", *ROWS[1:], "better on validation"], draws, name="draws")

"""What `jepa` and `pretext` share, which foretell what is hidden: images, measures, and one table of all rows."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from lowland.data.catalogue import load
from lowland.data.cifar import cifar10
from lowland.data.images import Images
from lowland.data.views import ImageViews
from lowland.energies.base import Energy
from lowland.errors import OptionError, nearest
from lowland.evaluation.collapse import rankme
from lowland.evaluation.fine_tune import fine_tune
from lowland.evaluation.neighbours import knn, nearest_neighbours
from lowland.evaluation.probe import probe
from lowland.evaluation.representations import represent
from lowland.evaluation.verdict import verdict_of_accuracies
from lowland.plots.mosaic import mosaic
from lowland.recipes.base import Recipe
from lowland.recipes.baselines import BASELINES, PIXELS, RANDOM, SUPERVISED, titled
from lowland.reports.run import Run
from lowland.shaping.base import Shaping
from lowland.training.fit import fit
from lowland.training.pretraining import warm_cosine

DATA = ("cifar10", "digits")
_RANKED = 2000
_CLAIMS = {"linear probe, test accuracy (%)": "probe", "nearest neighbours, test accuracy (%)": "knn"}
_COLUMNS = {
    "linear probe, %": ("probe", 100),
    "nearest neighbours, %": ("knn", 100),
    "RankMe": ("rankme", 1),
}


@dataclass(frozen=True)
class Method:
    """A row of the table: what is trained how, around an encoder with `represent`."""

    title: str
    row: str
    energy: Callable[[torch.Generator], Energy]
    shaping: Callable[[int], Shaping]


@dataclass(frozen=True)
class Predictive(Recipe):
    """The options and the table of `jepa` and `pretext`; a subclass says which encoder and which methods."""

    data: str = "cifar10"
    """Images: cifar10, or digits, which have no colour."""
    data_dir: str = ""
    """Folder of the images; by default the usual places are searched."""
    images: int = 10_000
    """Training images, of which a tenth is validation; all methods and probes have the same."""
    tested: int = 10_000
    """Test images."""
    seeds: int = 1
    """Repetitions, each with its own first weights and order of images."""
    steps: int = 400
    """Updates of each method, and of supervised training."""
    batch: int = 128
    """Images in a batch."""
    rate: float = 1e-3
    """Highest learning rate of AdamW, which rises and falls."""

    def __post_init__(self) -> None:
        if self.data not in DATA:
            raise OptionError(f"There are no images called {self.data!r} for this recipe. {nearest(self.data, DATA)}")
        if min(self.seeds, self.steps) < 1 or self.batch < 2 or min(self.images, self.tested) < 100:
            raise OptionError(
                "seeds and steps must be at least 1, batch at least 2, and images and tested at least 100."
            )
        if not self.rate > 0:
            raise OptionError(f"rate must be positive, but it is {self.rate}.")

    def encoder(self, shape: tuple[int, int, int], generator: torch.Generator) -> nn.Module:
        """The encoder of every row."""
        raise NotImplementedError

    def methods(self, shape: tuple[int, int, int]) -> Sequence[Method]:
        """The rows."""
        raise NotImplementedError

    def splits(self) -> Images:
        """The images, cut down to so many, the first of each split, which are in random order."""
        found = cifar10(self.data_dir or None) if self.data == "cifar10" else load(self.data)
        kept = {"train": self.images - self.images // 10, "validation": self.images // 10, "test": self.tested}
        parts: dict[str, Tensor] = {}
        for name, count in kept.items():
            for part in (name, f"{name}_labels"):
                parts[part] = getattr(found, part)[:count]
        return Images(found.name, found.source, found.classes, **parts, stand_in_for=found.stand_in_for)

    def compare(self, run: Run, data: Images) -> dict[str, Any]:
        """Train and measure every row; the results go on the page, the energies of the first seed come back."""
        methods = self.methods(data.shape)
        run.expect(1 + self.seeds * (2 + len(methods)))
        rows = dict.fromkeys(BASELINES, methods[0].row) | {method.title: method.row for method in methods}
        found: dict[str, list[dict[str, float]]] = {name: [] for name in rows}
        kept: dict[str, Any] = {"curves": {}, "energies": {}}
        raw = run.stage("raw", partial(self._measure, nn.Flatten(), data))
        for seed in range(self.seeds):
            untrained = self.encoder(data.shape, self.generator(seed)).to(self.device)
            found[PIXELS].append(raw)
            found[RANDOM].append(run.stage(f"seed-{seed}/random", partial(self._measure, untrained, data)))
            work = partial(self._supervised, untrained, data, seed)
            found[SUPERVISED].append(run.stage(f"seed-{seed}/supervised", work))
            for method in methods:
                energy = method.energy(self.generator(seed)).to(self.device)
                work = partial(self._train, method, energy, data, seed)
                name = method.title.lower().replace(" ", "-")
                result = run.stage(f"seed-{seed}/{name}", work, [energy])
                found[method.title].append(result["measured"])
                kept["curves"].setdefault(method.title, (result["steps"], result["losses"]))
                kept["energies"].setdefault(method.title, energy.cpu().eval())
        described = f"{data.name}: {len(data.train)} training images, {len(data.test)} test images"
        for title, each in found.items():
            for claim, key in _CLAIMS.items():
                values = [100 * one[key] for one in each]
                run.result(
                    id=rows[title], claim=claim, method=titled(title),
                    measured=statistics.fmean(values), sd=statistics.stdev(values) if self.seeds > 1 else None,
                    seeds=self.seeds, data=described,
                )  # fmt: skip
        kept["measured"] = found
        return kept

    def _train(self, method: Method, energy: Energy, data: Images, seed: int) -> dict[str, Any]:
        result = fit(
            energy, data.train.to(self.device), method.shaping(seed).to(self.device), self.steps,
            min(self.batch, len(data.train)), self.rate, "adamw", weight_decay=0.05, clip=1.0,
            schedule=partial(warm_cosine, self.steps), validation=0.0, seed=seed,
            log_every=max(1, self.steps // 50), progress=False,
        )  # fmt: skip
        line = result.history["loss/energy"]
        measured = self._measure(energy.encoder, data)  # pyright: ignore[reportArgumentType]
        return {"measured": measured, "steps": list(line.steps), "losses": list(line.values)}

    def _supervised(self, untrained: nn.Module, data: Images, seed: int) -> dict[str, float]:
        """The same encoder with a linear head, from scratch on all labels, in as many steps."""
        parts = [(data.train, data.train_labels), (data.validation, data.validation_labels)]
        trained = fine_tune(
            untrained, parts[0], parts[1], views=flips(data.shape), rates=(self.rate,), steps=self.steps,
            batch_size=self.batch, weight_decay=0.05, generator=self.generator(50 + seed), seed=seed,
        )  # fmt: skip
        encoder = trained.network[0].to(self.device)
        return self._measure(encoder, data)

    def _measure(self, encoder: nn.Module, data: Images) -> dict[str, float]:
        """Linear probe and neighbours on the frozen representations; the test images are looked at once."""
        codes = {name: represent(encoder, getattr(data, name)) for name in ("train", "validation", "test")}
        train = codes["train"], data.train_labels
        test = codes["test"], data.test_labels
        found = probe(train, (codes["validation"], data.validation_labels), test)
        assert found.accuracy is not None
        count = min(200, len(data.train) // 10)
        return {
            "probe": found.accuracy,
            "validation": found.validation,
            "knn": knn(train, test, k=count),
            "rankme": rankme(codes["test"][:_RANKED]),
        }


def flips(shape: tuple[int, int, int]) -> ImageViews:
    """Crops and flips, the only change of images before they are masked or damaged; digits are not flipped."""
    return ImageViews(crop=(0.5, 1.0), flip=0.5 if shape[0] == 3 else 0, colour=0, grey=0)


def write_table(run: Run, found: Mapping[str, Sequence[Mapping[str, float]]], encoder: str, count: int) -> None:
    """The table of all rows, measured on `count` test images."""
    rows = [
        (
            titled(title),
            *(statistics.fmean(factor * one[key] for one in each) for key, factor in _COLUMNS.values()),
        )
        for title, each in found.items()
    ]
    run.table(
        ("encoder", *_COLUMNS), rows,
        f"Every row but raw pixels has the same encoder, {encoder}, and the same pooling, the mean. The weight decay "
        "of the probe is chosen on the validation images. RankMe counts the dimensions that the representation uses.",
    )  # fmt: skip
    run.verdict(against_random({title: [one["probe"] for one in each] for title, each in found.items()}, count))


def against_random(probe: Mapping[str, Sequence[float]], count: int) -> str:
    """What was learned is what a linear classifier reads better than from the untrained encoder, if it does.

    Args:
        probe: accuracies by name, one for each seed.
        count: test images.
    """
    told = {
        title: verdict_of_accuracies(each, probe[RANDOM], count, ("pays", "does harm"))
        for title, each in probe.items()
        if title not in BASELINES
    }
    ordered = sorted(told.items(), key=lambda one: -one[1].difference.value)
    said = ", ".join(f"{title} {100 * gap.value:+.1f} ({word})" for title, (gap, word) in ordered)
    seeds = len(probe[RANDOM])
    known = f"paired over {seeds} seeds" if seeds > 1 else f"over {count:,} test images, of one training"
    return f"Linear probes against that of the random encoder, in points, 95 % intervals {known}: {said}."


def write_neighbours(run: Run, encoders: Mapping[str, nn.Module], data: Images, count: int = 8) -> None:
    """For some test images the nearest training images by each encoder."""
    queries, bank = data.test[:count], data.train[:_RANKED]
    panels = []
    for name, encoder in encoders.items():
        _, place = nearest_neighbours(represent(encoder, queries), represent(encoder, bank), k=4)
        rows = {"test image": queries} | {f"nearest {rank + 1}": bank[place[:, rank]] for rank in range(4)}
        panels.append((mosaic(rows), name))
    run.grid("neighbours", panels, min(2, len(panels)))

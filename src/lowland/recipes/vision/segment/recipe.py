"""Labels of every pixel of the user's own pictures, from masks of some: the command `lowland segment`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from lowland.data.folder import report_skipped
from lowland.data.mask_folder import MaskFolder, read_mask_folder, write_masks
from lowland.data.scenes import Scenes, sample_scenes
from lowland.energies.grid_crf import GridCRF
from lowland.errors import CheckpointError
from lowland.evaluation.segmentation import (
    FOREST,
    POSITION,
    baseline_labels,
    confusions,
    folds_of,
    overlap_gain,
    segmentation_row,
    smoothed_labels,
)
from lowland.files import fingerprint
from lowland.plots.label_maps import label_maps
from lowland.recipes.base import Count, Positive, Recipe, recipe
from lowland.reports.run import Run
from lowland.terminal import shell
from lowland.training.parser_files import write_parser
from lowland.training.segmentation import BATCH, PixelTraining, pixel_network
from lowland.words import escaped, verbatim

SCALES, UNTRAINED, PRETRAINED = "scales", "untrained", "pretrained"
FIELD = " and field"
_SHOWN = 6


@recipe
@dataclass(frozen=True)
class SegmentRecipe(Recipe):
    """E(x, y) = −Σ_p f_p(x)·y_p + λ Σ_(p,q) w_pq(x) (1 − y_p·y_q): x a picture, y the classes of all its pixels."""

    folder: str = ""
    """Folder of pictures, with masks of the same name in `masks/` for some; empty for scenes drawn here."""
    masks: str = ""
    """Folder of the masks, if it is another: PNG of class numbers or colours, which `classes.csv` in it may name."""
    ignore: str = "255"
    """Value or colour in masks of pixels without a label, such as 255 or #000000; or none."""
    encoder: str = ""
    """Encoder of `lowland pretrain` to begin with; the same network without pretraining is trained beside it."""
    size: int = 96
    """Pixels of the shorter side to which all pictures are scaled, a multiple of 16."""
    smoothness: Positive = 1.0
    """λ, what a border between two labels costs where the picture has no edge."""
    steps: Count = 150
    """Training steps of 8 pictures, of each training."""
    rate: Positive = 0.002
    """Highest learning rate of Adam."""
    drawn: Count = 20
    """Scenes with masks, and as many without, that are drawn if no folder is given."""

    files: ClassVar[tuple[str, ...]] = ("encoder",)
    presets: ClassVar[dict[str, dict[str, Any]]] = {"smoke": {"drawn": 3, "steps": 2, "size": 32}}

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("folder", "masks", "encoder"):  # a run is resumed from any place
            if getattr(self, name):
                object.__setattr__(self, name, os.path.realpath(getattr(self, name)))

    def run(self, run: Run) -> None:
        found = read_mask_folder(self._folder(run), self.masks, self.size, self.ignore, run.doing)
        report_skipped(found, run.folder / "skipped.txt")
        self._check_unchanged(run, found)
        known, names = found.scenes.take(found.masked), (PRETRAINED, UNTRAINED) if self.encoder else (SCALES,)
        folds = folds_of(len(found.masked), self.seed)
        run.expect(2 + len(folds) * (1 + len(names)))
        tested = known.take([row for _, test in folds for row in test])
        labels = dict[str, Tensor]()
        for number, (train, test) in enumerate(folds):
            parts = known.take(train), known.take(test)
            said = run.stage(f"{number}/baselines", partial(baseline_labels, *parts, self.seed))
            for name in names:
                said |= run.stage(f"{number}/{name}", partial(self._labels, name, *parts))
            for name, each in said.items():
                labels[name] = torch.cat([labels[name], each.long()]) if name in labels else each.long()
        counts = {name: confusions(each, tested.labels, len(known.classes)) for name, each in labels.items()}
        run.measured.add({name: segmentation_row(each) for name, each in counts.items()})
        ours = names[0] + FIELD
        compared = [(ours, POSITION), (ours, FOREST), (ours, names[0])]
        compared += [(PRETRAINED, UNTRAINED)] if self.encoder else []
        gains = [(one, other, overlap_gain(counts[one], counts[other])) for one, other in compared]
        work, new = self._work(names[0], known), found.scenes.take(found.unmasked)
        run.stage("all", work.curve, [work.energy])
        energy, answers = work.energy.cpu(), new.labels
        if len(new.images):
            answers = smoothed_labels(energy, new.images, self.smoothness)
            run.made.append(write_masks(run.folder / "labelled", found, answers))
        run.show(
            name=escaped(Path(self.folder).name) or "drawn scenes", known=len(found.masked), new=len(new.images),
            size=f"{known.shape[1]} × {known.shape[2]}", classes=[verbatim(one) for one in known.classes],
            folds=len(folds), tests=len(tested.images), steps=self.steps, batch=BATCH, ours=ours, weights="",
            notes=found.notes, skipped=len(found.skipped),
            gains=[[one, other, *gain.difference, gain.word] for one, other, gain in gains],
        )  # fmt: skip
        run.part(_show, found, tested, labels, new, answers)
        how = f"{len(found.masked):,} masks, {self.steps:,} steps of {BATCH}, rate {self.rate:g}, seed {self.seed}"
        run.part(_write, energy.network, found, {"training": how})

    def _work(self, name: str, train: Scenes) -> PixelTraining:
        network = pixel_network(train, self.generator(), "" if name == SCALES else self.encoder, name == PRETRAINED)
        return PixelTraining(GridCRF(network).to(self.device), train, self.steps, self.rate, self.seed)

    def _labels(self, name: str, train: Scenes, test: Scenes) -> dict[str, Tensor]:
        work = self._work(name, train)
        work.curve()
        raw, smooth = (smoothed_labels(work.energy.cpu(), test.images, value) for value in (0.0, self.smoothness))
        return {name: raw.to(torch.uint8), name + FIELD: smooth.to(torch.uint8)}

    def _folder(self, run: Run) -> Path:
        if self.folder:
            return Path(self.folder)
        run.stand_in("The scenes are drawn here: give a folder of your own to learn from it.")
        place = run.folder / "scenes"
        return place if place.is_dir() else sample_scenes(place, self.drawn, self.drawn)

    def _check_unchanged(self, run: Run, found: MaskFolder) -> None:
        now = {"sha256": fingerprint(found.files, found.values, found.scenes.images, found.scenes.labels)}
        if run.stage("files", lambda: now) != now:
            raise CheckpointError("The pictures or masks have changed since the run began: start a new run.")


def _show(run: Run, found: MaskFolder, tested: Scenes, labels: dict[str, Tensor], new: Scenes, answers: Tensor) -> None:
    if found.skipped:
        run.table(("file", "why"), [(verbatim(a), verbatim(b, 200)) for a, b in found.skipped[:40]], name="skipped")
    shown = {"mask": tested.labels[:_SHOWN], **{name: each[:_SHOWN] for name, each in labels.items()}}
    run.figure("tested", label_maps(tested.images[:_SHOWN], shown, tested.classes))
    if len(new.images):
        run.figure("new", label_maps(new.images[:_SHOWN], {"labels": answers[:_SHOWN]}, tested.classes))


def _write(run: Run, network: Any, found: MaskFolder, facts: dict[str, str]) -> None:
    out = run.folder / "parser"
    run.made.append(write_parser(out, network, found.scenes.classes, found.values, facts, found.levels))
    run.show(weights=shell([str(out)]))

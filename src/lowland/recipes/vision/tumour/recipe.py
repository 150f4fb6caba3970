"""Planted lesions are labelled in half a brain that no network has seen: by one path, two, a cascade, and in 3-D."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from lowland.data.brain import Hemispheres, hemispheres, phantom_hemispheres
from lowland.data.lesions import TISSUES, LesionScans, lesion_scan, lesion_scans
from lowland.energies.grid_crf import GridCRF
from lowland.evaluation.lesions import best_thresholds, label_scans, lesion_frequency, lesion_row, threshold_labels
from lowland.nn.two_paths import Cascade, TwoPaths, VolumeNet, weight_count
from lowland.plots.curves import curves
from lowland.plots.label_maps import label_maps
from lowland.recipes.base import Count, Positive, SeededRecipe, recipe
from lowland.reports.run import Run
from lowland.training.lesions import LesionTraining

POSITION, THRESHOLD, LOCAL, TWO, CASCADE, VOLUME = "position", "threshold", "local", "two", "cascade", "volume"
NETWORKS = (LOCAL, TWO, CASCADE, VOLUME)
_SHOWN = 6
_COLOURS = [1, 3, 2]
"""Contrasts that pictures show in red, green and blue."""


class Left(NamedTuple):
    """What the pictures need of the first seed: test scans, labels by method, and losses of each training."""

    scans: LesionScans
    labels: dict[str, Tensor]
    losses: dict[str, tuple[list[int], list[float]]]


@recipe
@dataclass(frozen=True)
class TumourRecipe(SeededRecipe):
    """E(x, y) = −Σ_p f_p(x)·y_p: x four contrasts of half a brain, y the tissue of each voxel."""

    data: Literal["brain", "phantoms"] = "brain"
    """A brain at 2 mm, or ellipsoids, which are always there. Lesions are planted in both."""
    steps: Count = 300
    """Steps of the first phase, with as many pixels of each class, of the networks that label slices."""
    volumes: Count = 100
    """Steps of the first phase of the network that labels volumes, one volume each."""
    settling: Count = 60
    """Steps of the second phase, at the true frequencies; a third of them with volumes."""
    batch: Count = 4
    """Windows of a step, each of a lesion of its own."""
    rate: Positive = 0.001
    """Highest learning rate of Adam."""
    mapped: Count = 60
    """Lesions of which place alone knows where they lay."""
    validated: Count = 6
    """Lesions of the half of the training on which thresholds are chosen."""
    tested: Count = 10
    """Lesions of the test, in the other half of the brain."""
    every: Count = 4
    """Of the slices of a test scan each so-manieth is labelled and measured."""

    stages: ClassVar[int] = 6
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {
            "data": "phantoms", "steps": 4, "volumes": 3, "settling": 3, "batch": 2, "mapped": 3, "validated": 2,
            "tested": 3, "every": 5, "seeds": 1,
        }
    }  # fmt: skip

    def measure(self, run: Run, seed: int) -> tuple[dict[str, dict[str, Any]], Left]:
        where = "one healthy brain" if self.data == "brain" else "ellipsoids"
        run.stand_in(f"No patient is in these images: lesions are planted in {where}, by a rule of ours.")
        brain = hemispheres() if self.data == "brain" else phantom_hemispheres(seed=self.seed)
        first = int(torch.randint(2**31, (), generator=self.generator(1000 + seed)))
        test = self._slices(lesion_scans(brain.right, self.tested, first + 1))
        labels = run.stage("simple", partial(self._simple, brain, test, first))
        draw, losses, energies = self.generator(seed), {}, {}
        numbers: dict[str, dict[str, Any]] = {name: {} for name in (POSITION, THRESHOLD, *NETWORKS)}
        for name in NETWORKS:
            network = self._network(name, brain.left, energies, draw)
            energies[name] = GridCRF(network).to(self.device)
            steps = self.volumes if name == VOLUME else self.steps
            settling = -(-self.settling // 3) if name == VOLUME else self.settling
            work = LesionTraining(energies[name], brain.left, steps, settling, self.batch, self.rate, first + 2)
            folder = run.checkpoints / f"{name}-{seed}"
            losses[name] = run.stage(f"train/{name}", partial(work.curve, folder), [energies[name]])
            numbers[name]["weights"] = weight_count(network)
        found = run.stage("label", partial(self._label, energies, brain, first))
        for name, each in (labels | found["test"]).items():
            numbers[name] |= lesion_row(each.long(), test.labels)
        for name, value in found["near"].items():
            numbers[name]["near"] = value
        if seed == 0:
            run.show(sides=" × ".join(map(str, brain.left.shape)))
        curve = {name: (each["steps"], each["loss"]) for name, each in losses.items()}
        return numbers, Left(test, labels | found["test"], curve)

    def _slices(self, scans: LesionScans) -> LesionScans:
        return LesionScans(scans.images[:, :, :: self.every], scans.labels[:, :: self.every])

    def _simple(self, brain: Hemispheres, test: LesionScans, first: int) -> dict[str, Tensor]:
        """Labels by place alone, and by thresholds of brightness, chosen on lesions of the half of the training."""
        known = self._slices(lesion_scans(brain.left, self.validated, first + 3))
        others = [lesion_scan(brain.left, (first + 4) * 1_000_003 + number).labels for number in range(self.mapped)]
        often = lesion_frequency(torch.cat(others))[None, :, :: self.every]
        values = {
            POSITION: [often.expand(len(part.labels), -1, -1, -1, -1) for part in (known, test)],
            THRESHOLD: [known.images, test.images],
        }
        found = {}
        for name, (chosen_on, tested) in values.items():
            chosen = best_thresholds(chosen_on, known.labels)
            found[name] = threshold_labels(tested, chosen).to(torch.uint8)
        return found

    def _network(
        self, name: str, half: Tensor, energies: dict[str, GridCRF], draw: torch.Generator
    ) -> TwoPaths | Cascade | VolumeNet:
        depth, height, width = half.shape
        if name == VOLUME:
            return VolumeNet((4, depth, height, width), generator=draw)
        first = energies[TWO].network if name == CASCADE else None
        if isinstance(first, TwoPaths):
            return Cascade(first, draw)
        return TwoPaths((4, height, width), wide=0 if name == LOCAL else 160, generator=draw)

    def _label(self, energies: dict[str, GridCRF], brain: Hemispheres, first: int) -> dict[str, Any]:
        """The labels of the test scans, and the Dice of complete lesions in the half of the training."""
        test, near = (
            lesion_scans(half, count, first + more)
            for half, count, more in ((brain.right, self.tested, 1), (brain.left, self.validated, 3))
        )
        found: dict[str, Any] = {"test": {}, "near": {}}
        truth = self._slices(near).labels
        for name, energy in energies.items():
            energy.cpu()
            found["test"][name] = label_scans(energy, test.images, self.every).to(torch.uint8)
            found["near"][name] = lesion_row(label_scans(energy, near.images, self.every), truth)["complete"]
        return found

    def figures(self, run: Run, first: Left) -> None:
        truth = first.scans.labels
        rows = torch.arange(min(_SHOWN, len(truth)))
        place = (truth > 0).flatten(2).sum(dim=2).argmax(dim=1)[rows]
        images = first.scans.images[rows, :, place][:, _COLOURS].clamp(0, 1)
        outside = truth[rows, place] < 0
        shown = {name: each[rows, place].long().masked_fill(outside, -1) for name, each in first.labels.items()}
        names = {"truth": truth[rows, place], **shown}
        run.figure("labels", label_maps(images, names, TISSUES))
        run.figure("training", curves(first.losses, xlabel="step", ylabel="loss of a pixel"))

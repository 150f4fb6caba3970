"""Training of networks that label lesions: equal classes first, then the output layer at the true frequencies (V13).

Legend: B scans, D slices, H and W rows and columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from lowland.data.lesions import TISSUES, LesionScans, lesion_scan
from lowland.energies.grid_crf import GridCRF
from lowland.nn.two_paths import Windows
from lowland.shaping.base import Batch
from lowland.shaping.contrastive.likelihood import MaximumLikelihood
from lowland.training.fit import fit
from lowland.training.samples import Lazy
from lowland.training.schedules import falling, warm_cosine

EACH = 64
"""Pixels of a class in a window of the first phase, at most; in a volume twelve times as many."""
SIDE = 24
"""Rows and columns of a window."""
_VOLUME = 12
_CHECKPOINT = 40
"""Steps between checkpoints: tens of seconds."""


def stacked(scans: LesionScans) -> tuple[Tensor, Tensor]:
    """Images (B, C, D · H, W) and labels (B, D · H, W): slices below each other, as a `GridCRF` takes them."""
    return scans.images.flatten(2, 3), scans.labels.flatten(1, 2)


def equal_labels(labels: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Labels (B, ...) of which at most so many pixels of each class of an image are kept, at random; −1 elsewhere.

    >>> kept = equal_labels(torch.tensor([[0, 0, 0, 0, 1, -1]]), 1, torch.Generator().manual_seed(0))
    >>> int((kept == 0).sum()), int((kept == 1).sum()), int((kept == -1).sum())
    (1, 1, 4)
    """
    kept = torch.full_like(labels, -1)
    for image, chosen in zip(labels, kept, strict=True):
        order = torch.randperm(image.numel(), generator=generator)
        shuffled = image.flatten()[order]
        for label in range(int(image.max()) + 1):
            places = order[(shuffled == label).nonzero()[:most, 0]]
            chosen.view(-1)[places] = label
    return kept


class Phase(NamedTuple):
    """One phase of training: its name, which slices it sees, and how its labels and rate go."""

    name: str
    slices: str
    equal: bool
    first: int


_PHASES = (Phase("equal", "lesion", True, 0), Phase("true", "any", False, 500_000))


@dataclass(frozen=True)
class LesionTraining:
    """Trains an energy of a `TwoPaths`, a `Cascade` or a `VolumeNet` on lesions of which each is seen once.

    A network for slices sees windows of 24 × 24 pixels, with all that is around them. In the first phase they lie about
    a pixel of a lesion, and each class has as many pixels as the others, where there are so many. In the second they
    lie about any pixel of any slice, all their pixels count, and the output layer alone changes: it learns how rare
    lesions are, and the filters stay those that tell the classes apart. A network for volumes sees whole ones in both.
    Source: Havaei et al., "Brain tumor segmentation with deep neural networks" (2015), on training in two phases.

    Args:
        energy: trained in place.
        brain: half a brain, (D, H, W).
        steps: of the first phase.
        settling: of the second.
        batch: windows of a step; of volumes there is one.
        rate: highest learning rate of Adam; a tenth of it in the second phase.
        seed: of the lesions.
    """

    energy: GridCRF
    brain: Tensor
    steps: int
    settling: int
    batch: int = 4
    rate: float = 1e-3
    seed: int = 0

    @property
    def volume(self) -> bool:
        """Whether the network labels whole volumes."""
        return getattr(self.energy.network, "slices", 1) > 1

    def curve(self, folder: Path) -> dict[str, list[Any]]:
        """Train; returns "steps", and the "loss" there: −log p of a pixel, as if as many counted as can.

        Fewer pixels count where a class is small, or at the border of the brain; the loss there seems smaller.

        Args:
            folder: for checkpoints, from which a run that was killed goes on.
        """
        network: Any = self.energy.network
        energy = self.energy if self.volume else GridCRF(Windows(network, SIDE))
        free = [one for one in network.parameters() if one.requires_grad]
        found: dict[str, list[Any]] = {"steps": [], "loss": []}
        try:
            for phase, steps in zip(_PHASES, (self.steps, self.settling), strict=True):
                for one in () if phase.equal else free:
                    one.requires_grad_(False)
                network.output.requires_grad_(True)
                line = self._fit(energy, phase, steps, folder / phase.name)
                found["steps"] += [step + (0 if phase.equal else self.steps) for step in line["steps"]]
                found["loss"] += line["loss"]
        finally:
            for one in free:
                one.requires_grad_(True)
        return found

    def _fit(self, energy: GridCRF, phase: Phase, steps: int, folder: Path) -> dict[str, list[Any]]:
        batch, most = (1, _VOLUME * EACH) if self.volume else (self.batch, EACH)
        pixels = most * len(TISSUES) if phase.equal else (self.brain.numel() if self.volume else SIDE**2)
        first = self.seed * 1_000_003 + phase.first

        def draw(rows: Tensor) -> Batch:
            made = [self._scan(phase, most, first + row) for row in rows.tolist()]
            images, labels = (torch.cat(parts) for parts in zip(*made, strict=True))
            return Batch(energy.one_hot(labels), images)

        schedule = partial(warm_cosine if phase.equal else falling, steps)
        result = fit(
            energy, Lazy(batch * steps, draw, at_once=batch), MaximumLikelihood(), steps, batch,
            self.rate if phase.equal else self.rate / 10, schedule=schedule, validation=0.0, seed=self.seed,
            progress=False, log_every=max(1, steps // 30), run=folder, resume=True, checkpoint_every=_CHECKPOINT,
        )  # fmt: skip
        line = result.history["loss/energy"]
        return {"steps": list(line.steps), "loss": [value / pixels for value in line.values]}

    def _scan(self, phase: Phase, most: int, seed: int) -> tuple[Tensor, Tensor]:
        """A fresh lesion: a window around a pixel of it, or around any pixel of the brain, or the whole volume."""
        draw = torch.Generator().manual_seed(seed)
        image, labels = stacked(lesion_scan(self.brain, seed, "all" if self.volume else phase.slices))
        if not self.volume:
            image, labels = _window(image, labels, _margin(self.energy), phase.equal, draw)
        return image, equal_labels(labels, most, draw) if phase.equal else labels


def _window(image: Tensor, labels: Tensor, margin: int, lesion: bool, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """SIDE² pixels and all that they see, around a pixel of the lesion where there is one, or any of the brain."""
    places = (labels[0] > 0).nonzero() if lesion and bool((labels > 0).any()) else (labels[0] >= 0).nonzero()
    middle = places[int(torch.randint(len(places), (), generator=draw))]
    top, left = (middle + torch.randint(-SIDE // 3, SIDE // 3 + 1, (2,), generator=draw)).tolist()
    reach = SIDE + margin
    whole = functional.pad(image, (reach,) * 4)
    truth = functional.pad(labels, (reach,) * 4, value=-1)
    rows, columns = (slice(at + reach - SIDE // 2, at + reach + SIDE // 2) for at in (top, left))
    seen = [slice(part.start - margin, part.stop + margin) for part in (rows, columns)]
    return whole[:, :, seen[0], seen[1]], functional.pad(truth[:, rows, columns], (margin,) * 4, value=-1)


def _margin(energy: GridCRF) -> int:
    network: Any = energy.network
    return network.margin

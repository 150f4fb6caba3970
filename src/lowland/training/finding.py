"""Finders of things, trained on scenes that are fresh in every step (systems V6, V11).

Shape letters: B scenes, N boxes, S pixels along the side of a mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from lowland.data.pasted import PastedScenes, Scene
from lowland.energies.box_finder import BoxFinder
from lowland.energies.masks import Masks
from lowland.nn.boxes import sample_boxes
from lowland.nn.layers import evaluating
from lowland.shaping.base import Batch
from lowland.shaping.contrastive.likelihood import MaximumLikelihood
from lowland.shaping.regularised.minimum_energy import MinimumEnergy
from lowland.training.fit import FitResult, fit
from lowland.training.samples import Lazy
from lowland.training.schedules import warm_cosine

_MOVED = 0.1


def scene_batch(finder: BoxFinder, scenes: Sequence[Scene]) -> Batch:
    """Scenes as x, and their boxes written on the cells of a finder as y."""
    cells = finder.cells
    painted = [cells.paint(scene.boxes, scene.angles if cells.turned else None) for scene in scenes]
    y = {"heat": torch.stack([heat for heat, _ in painted]), "numbers": torch.stack([rest for _, rest in painted])}
    return Batch(y, torch.stack([scene.image for scene in scenes]))


def train_finder(
    finder: BoxFinder, scenes: PastedScenes, steps: int, batch: int = 16, rate: float = 2e-3, seed: int = 0,
    run: Path | None = None,
) -> FitResult:  # fmt: skip
    """Train a finder in place by `MinimumEnergy`; no scene is seen twice.

    Args:
        steps, batch: steps of so many scenes.
        rate: highest learning rate of Adam.
        seed: of the order of the scenes.
        run: folder to resume from.
    """

    def draw(rows: Tensor) -> Batch:
        return scene_batch(finder, [scenes.draw(row) for row in rows.tolist()])

    data = Lazy(steps * batch, draw, at_once=2)
    return fit(
        finder, data, MinimumEnergy(), steps, batch, rate, clip=10.0, schedule=partial(warm_cosine, steps),
        validation=0.0, seed=seed, progress=False, log_every=max(1, steps // 60), run=run, resume=run is not None,
    )  # fmt: skip


@torch.no_grad()
def inside_boxes(finder: BoxFinder, images: Tensor, boxes: Sequence[Tensor], size: int) -> Tensor:
    """What `Masks` sees of each box: the finder's finest maps and the image itself, (ΣN, F + C, S, S)."""
    images = images.to(next(finder.parameters()))
    with evaluating(finder):
        maps = finder.pyramid(images)[0]
    stride = finder.cells.strides[0]
    return torch.cat([sample_boxes(maps, boxes, size, stride, 1), sample_boxes(images, boxes, size, 1.0, 2)], dim=1)


def mask_batch(finder: BoxFinder, scenes: Sequence[Scene], size: int, seeds: Sequence[int]) -> Batch:
    """What is inside the boxes of the scenes as x, and their masks as y.

    Edges are moved at random, by a tenth of the box as standard deviation, since boxes that are found are not exact.

    Args:
        size: S.
        seeds: of the moves, one for each scene.
    """
    boxes = []
    for scene, seed in zip(scenes, seeds, strict=True):
        sizes = (scene.boxes[:, 2:] - scene.boxes[:, :2]).repeat(1, 2)
        moves = torch.randn(scene.boxes.shape, generator=torch.Generator().manual_seed(seed)).clamp(-2, 2)
        boxes.append((scene.boxes + _MOVED * sizes * moves).clamp(0, scene.image.shape[1]))
    x = inside_boxes(finder, torch.stack([scene.image for scene in scenes]), boxes, size)
    inside = [
        sample_boxes(scene.masks[:, None].float(), list(own[:, None]), size)
        for scene, own in zip(scenes, boxes, strict=True)
    ]
    return Batch((torch.cat(inside)[:, 0] > 0.5).float(), x)


def train_masks(
    masks: Masks, finder: BoxFinder, scenes: PastedScenes, steps: int, batch: int = 16, rate: float = 2e-3,
    seed: int = 0, run: Path | None = None, first: int = 0,
) -> FitResult:  # fmt: skip
    """Train the masks in the boxes of a trained finder, which stays as it is, by `MaximumLikelihood`.

    Args:
        steps, batch: steps of so many boxes, each from a scene of its own.
        rate, seed, run: see `train_finder`.
        first: number of the first scene, behind those of the finder if no scene shall be seen twice.
    """
    size = masks.domain("y").shape[0]

    def draw(rows: Tensor) -> Batch:
        numbers = rows.tolist()
        return mask_batch(finder, [_one(scenes.draw(first + row), row) for row in numbers], size, numbers)

    data = Lazy(steps * batch, draw, at_once=2)
    return fit(
        masks, data, MaximumLikelihood(), steps, batch, rate, schedule=partial(warm_cosine, steps), validation=0.0,
        seed=seed, progress=False, log_every=max(1, steps // 60), run=run, resume=run is not None,
    )  # fmt: skip


def _one(scene: Scene, row: int) -> Scene:
    """A scene with one of its things, so that a row of the data is a box."""
    chosen = slice(row % len(scene.boxes), row % len(scene.boxes) + 1)
    return scene._replace(boxes=scene.boxes[chosen], angles=scene.angles[chosen], masks=scene.masks[chosen])

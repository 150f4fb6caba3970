"""How well every pixel is labelled: accuracy and overlap, by confusions; and labels by place or by colour alone.

Legend: N images, H and W rows and columns, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from lowland.data.scenes import Scenes
from lowland.data.superpixels import piece_means
from lowland.energies.grid_crf import GridCRF
from lowland.errors import ShapeError
from lowland.evaluation.verdict import Verdict, verdict
from lowland.inference import infer
from lowland.nn.layers import evaluating
from lowland.solvers.mean_field import MeanField

POSITION, FOREST = "position", "forest"
"""The methods of `baseline_labels`."""
_AT_ONCE = 8
_FEW = 40
_CHANGE, _SWEEPS = 0.01, 20
"""Mean field stops where no share of a class changes by more: the likeliest class hardly ever does then."""
_FOREST_PIXELS, _TREES, _LEAF = 30_000, 40, 5


def confusions(labels: Tensor, truth: Tensor, classes: int) -> Tensor:
    """How many pixels of each true class (rows) got each label (columns), of each image, (N, K, K) int64.

    Pixels with a truth of −1 do not count.

    Raises:
        ShapeError: for labels of another shape, or outside 0 … K − 1.

    >>> confusions(torch.tensor([[[0, 1, 1]]]), torch.tensor([[[0, 0, -1]]]), 2)
    tensor([[[1, 1],
             [0, 0]]])
    """
    if labels.shape != truth.shape or (labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < classes):
        raise ShapeError(f"Labels must be (N, H, W) from 0 to {classes - 1}, as the truth {tuple(truth.shape)} is.")
    known = truth >= 0
    image = torch.arange(len(truth), device=truth.device)[:, None, None]
    place = (image * classes + truth) * classes + labels
    counts = torch.bincount(place[known], minlength=len(truth) * classes**2)
    return counts.reshape(len(truth), classes, classes)


def overlap(confusion: Tensor) -> Tensor:
    """Mean of TP / (TP + FP + FN) over the classes that are there or were said, (..., K, K) → (...).

    Called intersection over union, or Jaccard index.

    >>> overlap(torch.tensor([[3, 1], [0, 4]]))
    tensor(0.7750)
    """
    counts = confusion.double()
    right = counts.diagonal(dim1=-2, dim2=-1)
    union = counts.sum(dim=-1) + counts.sum(dim=-2) - right
    there = union > 0
    return ((right / union.clamp_min(1)).sum(dim=-1) / there.sum(dim=-1).clamp_min(1)).float()


def segmentation_row(confusion: Tensor) -> dict[str, float]:
    """Accuracies in percent from confusions (N, K, K) of N images.

    "pixels": share of right pixels. "classes": mean over the classes that are there of the share of their pixels that
    are right. "mIoU": `overlap`, of all images together. "mIoU of an image": the mean of that of each image
    with a labelled pixel.

    >>> segmentation_row(torch.tensor([[[3, 1], [0, 4]]]))["pixels"]
    87.5
    """
    total = confusion.sum(dim=0).double()
    of_class, right = total.sum(dim=1), total.diagonal()
    there = of_class > 0
    return {
        "pixels": 100 * float(right.sum() / total.sum().clamp_min(1)),
        "classes": 100 * float((right[there] / of_class[there]).mean()),
        "mIoU": 100 * float(overlap(total)),
        "mIoU of an image": 100 * float(overlap(confusion[_labelled(confusion)]).mean()),
    }


@torch.no_grad()
def scores_of(energy: GridCRF, images: Tensor) -> Tensor:
    """f(x) of all images, uint8 (N, 3, H, W) → (N, K, H, W)."""
    with evaluating(energy):
        return torch.cat([energy.network(part.float() / 255) for part in images.split(_AT_ONCE)])


def smoothed_labels(energy: GridCRF, images: Tensor, smoothness: float) -> Tensor:
    """The labels of least energy at a smoothness λ, (N, H, W); by mean field where λ > 0, which is approximate."""
    before, energy.smoothness, found = energy.smoothness, smoothness, []
    try:
        with evaluating(energy), torch.no_grad():
            for part in images.split(_AT_ONCE):
                solver = MeanField(tol=_CHANGE, max_steps=_SWEEPS) if smoothness else None
                found.append(energy.labels(infer(energy, x=part.float() / 255, over="y", solver=solver).value))
    finally:
        energy.smoothness = before
    return torch.cat(found)


def best_setting(method: Callable[[Scenes, float], Tensor], scenes: Scenes, choices: Sequence[float]) -> float:
    """The choice with the largest mIoU on validation scenes, the first of several.

    Args:
        method: (scenes, choice) → labels (N, H, W).
    """

    def score(choice: float) -> float:
        found = confusions(method(scenes, choice), scenes.labels, len(scenes.classes))
        return float(overlap(found.sum(dim=0)))

    return max(choices, key=score) if len(choices) > 1 else choices[0]


def piece_labels(scores: Tensor, pieces: Tensor) -> Tensor:
    """One label for each superpixel, that of the largest mean score, (N, H, W)."""
    return piece_means(scores, pieces).argmax(dim=1)


def position_labels(train: Scenes, count: int) -> Tensor:
    """The most frequent label of each place in the training images, (count, H, W): what needs no picture at all.

    Frequencies are blurred over a sixteenth of the image, so that few images suffice.
    """
    from scipy.ndimage import gaussian_filter

    frequency = torch.stack([(train.labels == number).sum(dim=0) for number in range(len(train.classes))], dim=2)
    reach = (train.shape[1] / 16, train.shape[2] / 16, 0)
    blurred = gaussian_filter(frequency.double().numpy(), reach, mode="nearest")
    return torch.from_numpy(blurred).argmax(dim=2).expand(count, -1, -1).contiguous()


def forest_labels(train: Scenes, images: Tensor, seed: int = 0) -> Tensor:
    """Labels by a random forest of 40 trees, from the colour of a pixel, the mean around it, and its place, (N, H, W).

    Args:
        train: of which 30,000 labelled pixels are drawn, as many of each image.
        images: uint8 (N, 3, H, W).
        seed: of the pixels and the forest.
    """
    from sklearn.ensemble import RandomForestClassifier

    draw, each = np.random.default_rng(seed), max(1, _FOREST_PIXELS // len(train.images))
    inputs, answers = [], []
    for image, labels in zip(train.images, train.labels.flatten(1).numpy(), strict=True):
        chosen = draw.permutation(np.flatnonzero(labels >= 0))[:each]
        inputs.append(_colours(image)[chosen])
        answers.append(labels[chosen])
    forest = RandomForestClassifier(_TREES, min_samples_leaf=_LEAF, random_state=seed)
    forest.fit(np.concatenate(inputs), np.concatenate(answers))
    found = [torch.from_numpy(forest.predict(_colours(image))).reshape(image.shape[1:]) for image in images]
    return torch.stack(found)


def _colours(image: Tensor) -> np.ndarray:
    """(H · W, 8): colour, colour around, row and column, of an image (3, H, W)."""
    from scipy.ndimage import gaussian_filter

    colours = image.movedim(0, 2).numpy().astype(np.float32)
    around = gaussian_filter(colours, (2, 2, 0))
    place = np.moveaxis(np.mgrid[: image.shape[1], : image.shape[2]], 0, 2)
    return np.concatenate([colours, around, place], axis=2).reshape(-1, 8)


def baseline_labels(train: Scenes, test: Scenes, seed: int = 0) -> dict[str, Tensor]:
    """The labels of test images by place alone and by a forest, uint8 (N, H, W) by method."""
    found = {POSITION: position_labels(train, len(test.images)), FOREST: forest_labels(train, test.images, seed)}
    return {name: each.to(torch.uint8) for name, each in found.items()}


def folds_of(count: int, seed: int) -> list[tuple[list[int], list[int]]]:
    """Rows to learn from and rows to test on: five folds, in which each image is tested once, of up to 40 images.

    Of more, the first of four folds alone: a quarter is tested by one training.

    >>> [len(test) for _, test in folds_of(7, seed=0)], [len(part) for part in folds_of(100, seed=0)[0]]
    ([2, 2, 1, 1, 1], [75, 25])
    """
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed)).tolist()
    many = count > _FEW
    parts = [sorted(order[number :: 4 if many else 5]) for number in range(1 if many else min(5, count))]
    return [(sorted(set(order) - set(part)), part) for part in parts]


def overlap_gain(first: Tensor, second: Tensor) -> Verdict:
    """How much more the mIoU of an image is with one method than with another, in points, from confusions (N, K, K).

    The interval for 95 % is over the images with a labelled pixel, in pairs; see `verdict`.
    """
    one, other = (100 * overlap(each[_labelled(first)]).double().numpy() for each in (first, second))
    return verdict(one, other)


def _labelled(confusion: Tensor) -> Tensor:
    """Which images have a pixel with a truth: without one there is nothing to overlap."""
    return confusion.sum(dim=(1, 2)) > 0

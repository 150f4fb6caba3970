"""Pictures of the recipe `classify`: energies of all answers, what was inferred, and what each answer wants to see."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from matplotlib.figure import Figure
from torch import Tensor

from lowland.data.images import Images
from lowland.energies.classifier import Classifier
from lowland.evaluation.classification import answer_slopes, confusion_counts, margin
from lowland.plots import confusion
from lowland.plots.answers import answer_bars, short_names
from lowland.plots.images import images_with_maps
from lowland.words import verbatim


def legend(data: Images) -> str:
    """What numbers stand for in the pictures."""
    names = zip(short_names(data.classes), data.classes, strict=True)
    return ", ".join(f"{short} {verbatim(name)}" for short, name in names if short != name)


def answers(data: Images, table: Tensor, names: Sequence[str]) -> Figure:
    """Energies of all answers, for test images from the surest to the most mistaken."""
    gap = margin(table, data.test_labels)
    order = gap.argsort()
    hard = [int(index) for index in order if gap[index] > 0][:2]
    chosen = [int(order[-1]), int(order[len(order) // 2]), *hard, int(order[1]), int(order[0])]
    return answer_bars(data.test[chosen], table[chosen], data.test_labels[chosen], names)


def mistakes(data: Images, table: Tensor, names: Sequence[str]) -> Figure:
    """What was inferred, by the right answer."""
    return confusion(confusion_counts(data.test_labels, table.argmin(dim=1), len(names)), names)


def wishes(data: Images, energy: Classifier, names: Sequence[str]) -> Figure:
    """The mean test image of each class above −∂E(x, y)/∂x for that answer."""
    means = torch.stack([data.test[data.test_labels == k].mean(dim=0) for k in range(len(names))])
    slopes = answer_slopes(energy, data.test.flatten(1)).reshape(means.shape)
    return images_with_maps(means, slopes, names)

"""Answers to images by their energies: how far each lies above the lowest one, and the images that are hardest."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from matplotlib.figure import Figure
from torch import Tensor

from lowland.errors import ShapeError
from lowland.evaluation.classification import margin
from lowland.plots.images import titled_images
from lowland.plots.style import BLUE, MUTED, ORANGE, PAPER, bare, figure, ruled


def answer_bars(images: Tensor, table: Tensor, labels: Tensor, names: Sequence[str]) -> Figure:
    """Each image above bars of E − min E, one for each answer; the right one is orange, the inferred one has a mark.

    Args:
        images: (N, 1, H, W), in [0, 1].
        table: (N, K) energies, such as those of `lowland.evaluation.classification.answer_energies`.
        labels: (N,), the right answers.
        names: of the K answers.

    Raises:
        ShapeError: for tensors that do not fit together.

    >>> import torch
    >>> drawn = answer_bars(torch.zeros(2, 1, 8, 8), torch.tensor([[0.0, 1.0], [2.0, 1.0]]), torch.tensor([0, 0]), "ab")
    >>> drawn.axes[1].get_title()
    'right a, inferred b'
    """
    if images.ndim != 4 or table.shape != (len(images), len(names)) or labels.shape != (len(images),):
        raise ShapeError(
            "Bars of answers need images (N, 1, H, W), energies (N, K) and labels (N,), not "
            f"{tuple(images.shape)}, {tuple(table.shape)} and {tuple(labels.shape)} for {len(names)} answers."
        )
    drawn, count = figure(1.4 * len(images), 3.1), len(names)
    panels = drawn.subplots(2, len(images), height_ratios=(1, 1.7), squeeze=False)
    above = table - table.min(dim=1, keepdim=True).values
    for column, (image, label) in enumerate(zip(images, labels.tolist(), strict=True)):
        answer = int(table[column].argmin())
        panels[0, column].imshow(image[0].numpy(), cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
        bare(panels[0, column], f"right {names[label]}, inferred {names[answer]}", 8)
        ax, colours = panels[1, column], [ORANGE if k == label else BLUE for k in range(count)]
        ruled(ax)
        ax.bar(range(count), above[column].tolist(), color=colours, width=0.7)
        ax.plot(answer, 0, "v", color=colours[answer], ms=6, mec=PAPER, mew=0.6, clip_on=False, zorder=5)
        ax.set(ylim=(0, float(above.max())), xticks=range(count))
        ax.tick_params(axis="x", labelsize=6.5, length=0, pad=3)
        if column:
            ax.set_yticklabels([])
        else:
            ax.set_ylabel("E − min E, nats", fontsize=8, color=MUTED)
    return drawn


def hardest_images(images: Tensor, table: Tensor, labels: Tensor, names: Sequence[str], count: int = 24) -> Figure:
    """The images whose most offending wrong answer comes closest to the right one, with both answers and the margin.

    A title is orange where the wrong answer lies below, so that the image is lost.

    Args:
        images, table, labels, names: see `answer_bars`.
        count: of images, the hardest first.

    >>> table, labels = torch.tensor([[0.0, 2.0], [1.0, 0.5]]), torch.tensor([0, 0])
    >>> hardest_images(torch.zeros(2, 1, 8, 8), table, labels, "ab").axes[0].get_title()
    'a → b  −0.5'
    """
    gap = margin(table, labels)
    wrong = table.scatter(1, labels[:, None], torch.inf).argmin(dim=1)
    chosen = gap.argsort()[:count].tolist()
    titles = [f"{names[int(labels[i])]} → {names[int(wrong[i])]}  {gap[i]:+.1f}".replace("-", "−") for i in chosen]
    lost = [place for place, index in enumerate(chosen) if gap[index] < 0]
    return titled_images(images[chosen], titles, marked=lost)


def short_names(classes: Sequence[str]) -> list[str]:
    """Names of classes for small pictures: their numbers where one is longer than two letters.

    >>> short_names(["0", "1"]), short_names(["cat", "ox"])
    (['0', '1'], ['0', '1'])
    """
    return [str(k) for k in range(len(classes))] if max(map(len, classes)) > 2 else list(classes)

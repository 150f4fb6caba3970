"""Pictures of the recipe `classify`: energies of all answers, training curves, hardest images, wishes of answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from torch import Tensor

from lowland.data.images import Images
from lowland.energies.classifier import Classifier
from lowland.plots import curves
from lowland.plots.images import titled_images
from lowland.plots.style import BLUE, MUTED, ORANGE, PAPER, SIGNED, bare, figure, ruled
from lowland.words import verbatim

SHOWN = 24
"""Test images on the sheet of the hardest ones."""


def margin(table: Tensor, labels: Tensor) -> Tensor:
    """Energy of the most offending wrong answer less that of the right one, (N,): negative where the image is lost."""
    right = table.gather(1, labels[:, None])[:, 0]
    return table.scatter(1, labels[:, None], torch.inf).min(dim=1).values - right


def names(data: Images) -> list[str]:
    """The classes as they stand in pictures: by number where their names are long."""
    return [str(k) if _long(data) else name for k, name in enumerate(data.classes)]


def legend(data: Images) -> str:
    """What the numbers mean, where `names` gives numbers."""
    return ", ".join(f"{k} {verbatim(name)}" for k, name in enumerate(data.classes)) if _long(data) else ""


def _long(data: Images) -> bool:
    return max(map(len, data.classes)) > 2


def answers(data: Images, table: Tensor) -> Figure:
    """Energies of all answers, for test images from the surest to the most mistaken."""
    gap = margin(table, data.test_labels)
    order = gap.argsort()
    hard = [int(index) for index in order if gap[index] > 0][:2]
    chosen = [int(order[-1]), int(order[len(order) // 2]), *hard, int(order[1]), int(order[0])]
    drawn, words, count = figure(8.4, 3.1), names(data), table.shape[1]
    panels = drawn.subplots(2, len(chosen), height_ratios=(1, 1.7), squeeze=False)
    above = table - table.min(dim=1, keepdim=True).values
    for column, index in enumerate(chosen):
        label, answer = int(data.test_labels[index]), int(table[index].argmin())
        panels[0, column].imshow(data.test[index, 0].numpy(), cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
        bare(panels[0, column], f"right {words[label]}, inferred {words[answer]}", 8)
        ax, colours = panels[1, column], [ORANGE if k == label else BLUE for k in range(count)]
        ruled(ax)
        ax.bar(range(count), above[index].tolist(), color=colours, width=0.7)
        ax.plot(answer, 0, "v", color=colours[answer], ms=6, mec=PAPER, mew=0.6, clip_on=False, zorder=5)
        ax.set(ylim=(0, float(above[chosen].max())), xticks=range(count))
        ax.tick_params(axis="x", labelsize=6.5, length=0, pad=3)
        if column:
            ax.set_yticklabels([])
        else:
            ax.set_ylabel("E − min E, nats", fontsize=8, color=MUTED)
    return drawn


def validation(errors: Mapping[str, Sequence[float]], steps: Sequence[int]) -> Figure:
    """Errors in % against training steps, by method."""
    lines = {method: (steps, values) for method, values in errors.items()}
    drawn = curves(lines, title="Validation images", xlabel="training steps", ylabel="error, %", log="xy")
    ax = drawn.axes[0]
    ax.xaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_minor_locator(NullLocator())
    low, high = ax.get_ylim()
    ticks = [tick for tick in (0.5, 1, 2, 5, 10, 20, 50) if low <= tick <= high]
    ax.set_xticks(list(steps), [str(step) for step in steps])
    ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    return drawn


def offending(data: Images, table: Tensor) -> Figure:
    """The test images whose most offending wrong answer comes closest to the right one, or lies below it."""
    gap, words = margin(table, data.test_labels), names(data)
    wrong = table.scatter(1, data.test_labels[:, None], torch.inf).argmin(dim=1)
    chosen = gap.argsort()[:SHOWN].tolist()
    titles = [f"{words[int(data.test_labels[i])]} → {words[int(wrong[i])]}  {gap[i]:+.1f}" for i in chosen]
    lost = [place for place, index in enumerate(chosen) if gap[index] < 0]
    return titled_images(data.test[chosen], [title.replace("-", "−") for title in titles], marked=lost)


def counts(data: Images, table: Tensor) -> Tensor:
    """(K, K): how often each answer was inferred for each right one."""
    size = table.shape[1]
    return torch.bincount(size * data.test_labels + table.argmin(dim=1), minlength=size**2).reshape(size, size)


def wishes(data: Images, energy: Classifier) -> Figure:
    """The mean test image of each class above −∂E(x, y)/∂x for that answer."""
    x = data.test.flatten(1).requires_grad_()
    table = -energy.cpu().encode(x)
    slopes = [torch.autograd.grad(table[:, k].sum(), x, retain_graph=True)[0] for k in range(table.shape[1])]
    drawn = figure(8.4, 1.95)
    panels = drawn.subplots(2, len(slopes), squeeze=False)
    for k, slope in enumerate(slopes):
        mean, wish = data.test[data.test_labels == k].mean(dim=0)[0], -slope.mean(dim=0).reshape(data.shape[1:])
        size = float(wish.abs().max())
        panels[0, k].imshow(mean.numpy(), cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
        panels[1, k].imshow(wish.numpy(), cmap=SIGNED, vmin=-size, vmax=size, interpolation="nearest")
        bare(panels[0, k], names(data)[k], 8)
        bare(panels[1, k])
    return drawn

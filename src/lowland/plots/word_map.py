"""Words as points of a plane."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional

from lowland.errors import OptionError
from lowland.plots.style import FAMILIES, bare, figure
from lowland.words import plotted


def word_map(groups: Mapping[str, Mapping[str, Tensor]]) -> Figure:
    """Words where the first two principal components of their unit vectors put them, a colour for each group.

    Args:
        groups: vectors (D,) by word, by group; the word after which a group is named is bold.

    Raises:
        OptionError: for fewer than two words.

    >>> drawn = word_map({"cat": {"cat": torch.tensor([1.0, 0.0]), "dog": torch.tensor([0.0, 1.0])}})
    >>> [text.get_text() for text in drawn.axes[0].texts]
    ['cat', 'dog']
    """
    placed = [(group, word, vector) for group, words in groups.items() for word, vector in words.items()]
    if len(placed) < 2:
        raise OptionError(f"A map of words needs two at least, but there are {len(placed)}.")
    unit = functional.normalize(torch.stack([vector.detach().cpu().double() for *_, vector in placed]), dim=1)
    centred = unit - unit.mean(dim=0)
    plane = (centred @ torch.linalg.svd(centred, full_matrices=False).Vh[:2].T).numpy()
    drawn = figure(7.4, 5.2)
    ax = drawn.add_subplot()
    colours = {group: FAMILIES[place % len(FAMILIES)] for place, group in enumerate(groups)}
    for (group, word, _), (x, y) in zip(placed, plane, strict=True):
        ax.text(
            x, y, plotted(word), color=colours[group], ha="center", va="center",
            fontsize=10 if word == group else 8, fontweight="bold" if word == group else "normal",
        )  # fmt: skip
    room = 0.08 * (plane.max(axis=0) - plane.min(axis=0)) + 1e-6
    (left, low), (right, high) = plane.min(axis=0) - room, plane.max(axis=0) + room
    ax.set_xlim(left, right)
    ax.set_ylim(low, high)
    bare(ax, None, 10)
    return drawn

"""Voxels in space, coloured by their label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor

from lowland.errors import ShapeError
from lowland.plots.label_maps import label_colour
from lowland.plots.style import INK, figure, plotted


def voxel_panels(coordinates: Tensor, rows: Mapping[str, Tensor], classes: Sequence[str], side: int) -> Figure:
    """Scenes below each other, and each way to label their voxels beside the others.

    Args:
        coordinates: (N, 4) the scene, x, y and z.
        rows: by title, a label of each voxel, (N,).
        classes: names of the labels.
        side: voxels along a side.

    Raises:
        ShapeError: for labels that are not (N,).

    >>> import torch
    >>> places = torch.tensor([[0, 0, 1, 2], [1, 3, 1, 2]])
    >>> len(voxel_panels(places, {"truth": torch.tensor([0, 1])}, ["chair", "lamp"], 4).axes)
    2
    """
    if any(labels.shape != coordinates.shape[:1] for labels in rows.values()):
        raise ShapeError(f"Each way to label needs one label for each of {len(coordinates)} voxels.")
    scenes = coordinates[:, 0].unique()
    drawn = figure(2.4 * len(rows), 2.3 * len(scenes) + 0.4)
    for row, scene in enumerate(scenes):
        own = coordinates[:, 0] == scene
        x, y, z = coordinates[own, 1:].unbind(dim=1)
        for column, (title, labels) in enumerate(rows.items()):
            ax: Any = drawn.add_subplot(len(scenes), len(rows), row * len(rows) + column + 1, projection="3d")
            colours = [label_colour(label) for label in labels[own].tolist()]
            ax.scatter(x, y, z, c=colours, s=(100 / side) ** 2, marker="s", linewidths=0, depthshade=True)
            ax.set(xlim=(0, side), ylim=(0, side), zlim=(0, side), xticks=[], yticks=[], zticks=[])
            ax.set_box_aspect((1, 1, 1), zoom=1.2)
            ax.view_init(elev=25, azim=-60)
            if row == 0:
                ax.set_title(plotted(title), fontsize=9, color=INK)
    handles = [Patch(color=label_colour(number), label=plotted(name)) for number, name in enumerate(classes)]
    drawn.legend(handles=handles, loc="outside lower center", ncols=min(8, len(handles)), fontsize=8, frameon=False)
    return drawn

"""Images with their nearest neighbours, one row each."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor, nn

from lowland.data.images import Images
from lowland.errors import ShapeError
from lowland.evaluation.frozen import labelled
from lowland.evaluation.neighbours import nearest_neighbours
from lowland.evaluation.probe import Labelled
from lowland.evaluation.representations import represent
from lowland.plots.style import ORANGE, bare, figure

_EDGE, _WIDTH = 2, 4.0


def retrieval(queries: Tensor, neighbours: Tensor, wrong: Tensor | None = None) -> Figure:
    """One row per query: the image, a gap, and its neighbours, in their true brightness.

    Args:
        queries: (M, C, H, W) in [0, 1], with one or three channels.
        neighbours: (M, k, C, H, W).
        wrong: (M, k) bool; these get an orange frame.

    Raises:
        ShapeError: for tensors that do not fit together.

    >>> drawn = retrieval(torch.rand(3, 1, 8, 8), torch.rand(3, 2, 1, 8, 8), torch.eye(3, 2) > 0)
    >>> len(drawn.axes[0].patches)
    2
    """
    if queries.ndim != 4 or queries.shape[1] not in (1, 3) or neighbours.shape[2:] != queries.shape[1:]:
        raise ShapeError(
            "A retrieval sheet needs queries (M, C, H, W) with 1 or 3 channels and neighbours (M, k, C, H, W), not "
            f"{tuple(queries.shape)} and {tuple(neighbours.shape)}."
        )
    (count, channels, height, width), found = queries.shape, neighbours.shape[1]
    tall, wide, gap = height + 2 * _EDGE, width + 2 * _EDGE, width // 2
    sheet = torch.ones(count * tall, (1 + found) * wide + gap, channels)
    drawn = figure(_WIDTH, _WIDTH * sheet.shape[0] / sheet.shape[1])
    ax = drawn.add_subplot()
    for row in range(count):
        for column, tile in enumerate((queries[row], *neighbours[row])):
            top, left = row * tall + _EDGE, column * wide + _EDGE + (gap if column else 0)
            pixels = tile.detach().float().cpu().clamp(0, 1)
            sheet[top : top + height, left : left + width] = pixels.permute(1, 2, 0)
            if column and wrong is not None and bool(wrong[row, column - 1]):
                corner = (left - 1.5, top - 1.5)
                ax.add_patch(Rectangle(corner, width + 2, height + 2, fill=False, edgecolor=ORANGE, linewidth=1.6))
    ax.imshow(sheet.expand(-1, -1, 3).numpy(), interpolation="nearest")
    bare(ax)
    ax.axis("off")
    return drawn


def labelled_retrieval(queries: Labelled, bank: Labelled, place: Tensor) -> Figure:
    """The same of labelled images: a frame has every neighbour of another class than its query.

    Args:
        queries, bank: images and labels.
        place: (M, k), where in the bank the neighbours of each query are, such as `nearest_neighbours` finds them.

    >>> images, labels = torch.rand(4, 1, 8, 8), torch.tensor([0, 0, 1, 1])
    >>> drawn = labelled_retrieval((images[:1], labels[:1]), (images, labels), torch.tensor([[1, 2]]))
    >>> len(drawn.axes[0].patches)
    1
    """
    return retrieval(queries[0], bank[0][place], bank[1][place] != queries[1][:, None])


def nearest_images(images: Images, encoder: nn.Module, count: int = 8, k: int = 4, most: int = 2000) -> Figure:
    """The first test images with the training images nearest to them by an encoder, as `labelled_retrieval`.

    Args:
        images: with labels.
        encoder: (B, *shape) → (B, D).
        count: test images.
        k: neighbours of each.
        most: training images that are searched.

    >>> from lowland.data import digits
    >>> nearest_images(digits(), nn.Flatten(), count=2).axes[0].images[0].get_array().shape
    (24, 64, 3)
    """
    queries = images.test[:count], images.test_labels[:count]
    place = nearest_neighbours(represent(encoder, queries[0]), represent(encoder, images.train[:most]), k)[1]
    return labelled_retrieval(queries, labelled(images, "train"), place)

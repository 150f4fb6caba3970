"""Images with boxes around what was found in them, and heat maps of where it might be."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from lowland.errors import ShapeError
from lowland.plots.style import BLUE, ORANGE, PAPER, bare, figure

_TILE = 1.55


def found_boxes(
    images: Sequence[Tensor],
    boxes: Sequence[Tensor],
    right: Sequence[Sequence[bool]],
    missed: Sequence[Tensor] = (),
    *,
    masks: Sequence[Tensor] = (),
    columns: int = 4,
) -> Figure:
    """Images with the boxes that were found: blue where right, orange where not, and dotted white where one was missed.

    Args:
        images: (1, H, W) or (3, H, W), 0 is black and 1 is white.
        boxes: of each image, (N, 4) in pixels.
        right: of each image, whether each of its boxes is right.
        missed: of each image, the boxes that should have been found.
        masks: of each image, values in [0, 1] of the pixels of each box, (N, H, W), drawn at a half.
        columns: of the grid.

    Raises:
        ShapeError: for different numbers of images, boxes and judgements, or if there are none.

    >>> import torch
    >>> drawn = found_boxes([torch.rand(3, 8, 8)], [torch.tensor([[1.0, 1, 4, 5]])], [[True]])
    >>> len(drawn.axes[0].patches)
    1
    """
    if not len(images) == len(boxes) == len(right) or not images:
        raise ShapeError(
            f"Each image needs boxes and whether they are right, but there are {len(images)} images, {len(boxes)} sets "
            f"of boxes and {len(right)} of judgements."
        )
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    drawn = figure(_TILE * columns, _TILE * rows, layout="compressed")
    panels = drawn.subplots(rows, columns, squeeze=False).flatten()
    for number, (ax, image) in enumerate(zip(panels, images, strict=False)):
        _show(ax, image)
        for box in missed[number].tolist() if missed else []:
            _frame(ax, box, PAPER, ":")
        for box, good in zip(boxes[number].tolist(), right[number], strict=True):
            _frame(ax, box, BLUE if good else ORANGE, "-")
        for mask, good in zip(masks[number], right[number], strict=True) if masks else ():
            if float(mask.max()) > 0.5:
                ax.contour(mask.numpy(), levels=[0.5], colors=[BLUE if good else ORANGE], linewidths=0.8)
    for ax in panels[len(images) :]:
        ax.axis("off")
    return drawn


def heat_maps(images: Sequence[Tensor], maps: Sequence[Sequence[Tensor]], strides: Sequence[int]) -> Figure:
    """Each image, and beside it its heat at each scale: dark where a centre is likely.

    Args:
        images: (1, H, W) or (3, H, W).
        maps: of each image the heat (h, w) of each scale, in [0, 1].
        strides: pixels of a cell of each scale, for the titles.

    Raises:
        ShapeError: for images without a map of each scale, or if there are none.

    >>> import torch
    >>> len(heat_maps([torch.rand(1, 8, 8)], [[torch.rand(4, 4), torch.rand(2, 2)]], [2, 4]).axes)
    3
    """
    if len(images) != len(maps) or not images or any(len(own) != len(strides) for own in maps):
        raise ShapeError("Each image needs one map of each scale.")
    across = 1 + len(strides)
    drawn = figure(_TILE * across, _TILE * len(images) + 0.2, layout="compressed")
    panels = drawn.subplots(len(images), across, squeeze=False)
    for row, (image, own) in enumerate(zip(images, maps, strict=True)):
        _show(panels[row, 0], image)
        for ax, heat, stride in zip(panels[row, 1:], own, strides, strict=True):
            ax.imshow(heat.numpy(), cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
            bare(ax, f"cells of {stride} pixels" if row == 0 else None, size=8)
    return drawn


def _show(ax: Axes, image: Tensor) -> None:
    pixels = image.detach().cpu().clamp(0, 1).permute(1, 2, 0).numpy()
    ax.imshow(pixels[..., 0] if len(image) == 1 else pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    bare(ax)


def _frame(ax: Axes, box: Sequence[float], colour: str, line: str) -> None:
    left, top, right, bottom = box
    # The middle of the first pixel is 0 on the axes.
    ax.add_patch(Rectangle((left - 0.5, top - 0.5), right - left, bottom - top, fill=False, ec=colour, ls=line, lw=1.3))

"""Grids of small images: dictionaries, codebooks, digits, reconstructions."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from lowland.errors import ShapeError
from lowland.plots.style import FAINT, INK, ORANGE, SIGNED, bare, columns_for, figure
from lowland.words import plotted


def images(
    tiles: Tensor,
    shape: tuple[int, int] | None = None,
    *,
    columns: int | None = None,
    signed: bool | None = None,
    each: bool | None = None,
    title: str | None = None,
) -> Figure:
    """Images side by side on one sheet: dark on white, or for signed values blue below zero and orange above.

    Args:
        tiles: (N, H, W), (N, 1, H, W), or flat (N, H · W). Atoms are the columns of a dictionary: pass its transpose.
        shape: (H, W) of flat tiles; by default they are assumed square.
        columns: by default about as many as rows.
        signed: whether values are signed; by default whether any is negative.
        each: scale each tile by its own largest value instead of a common one; by default for signed tiles, whose sign
            and scale are often arbitrary.
        title: above the sheet.

    Raises:
        ShapeError: for tiles that are not images.

    >>> images(torch.zeros(10, 64)).axes[0].get_images()[0].get_array().shape
    (26, 35)
    """
    tiles = _as_tiles(tiles, shape)
    signed = bool((tiles < 0).any()) if signed is None else signed
    each = signed if each is None else each
    count, height, width = tiles.shape
    top = torch.nan_to_num(tiles.abs() if signed else tiles).flatten(1).amax(dim=1).clamp_min(1e-12)
    tiles = tiles / (top[:, None, None] if each else top.max())
    columns = columns or columns_for(count, ratio=1.3)
    rows = math.ceil(count / columns)
    sheet = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1), np.nan)
    for index, tile in enumerate(tiles.numpy()):
        row, column = divmod(index, columns)
        sheet[row * (height + 1) :, column * (width + 1) :][:height, :width] = tile
    across = min(9.0, max(2.0, 0.62 * columns * width / height))
    drawn = figure(across, across * sheet.shape[0] / sheet.shape[1] + (0.35 if title else 0.05))
    ax = drawn.add_subplot()
    colours: str | Colormap = SIGNED if signed else "gray_r"
    ax.imshow(
        np.ma.masked_invalid(sheet), cmap=colours, norm=Normalize(-1 if signed else 0, 1), interpolation="nearest"
    )
    bare(ax)
    for spine in ax.spines.values():
        spine.set_visible(False)
    if title:
        ax.set_title(plotted(title), fontsize=10, color=INK, loc="left", pad=6)
    return drawn


def _as_tiles(tiles: Tensor, shape: tuple[int, int] | None) -> Tensor:
    tiles = tiles.detach().double().cpu()
    if tiles.ndim == 4 and tiles.shape[1] == 1:
        tiles = tiles[:, 0]
    if tiles.ndim == 2:
        side = math.isqrt(tiles.shape[1])
        height, width = shape or (side, side)
        if height * width == tiles.shape[1]:
            tiles = tiles.reshape(-1, height, width)
    if tiles.ndim != 3 or not tiles.numel():
        raise ShapeError(
            f"Images must have shape (N, H, W), (N, 1, H, W) or (N, H · W), not {tuple(tiles.shape)}. "
            "For flat images that are not square give shape=(H, W)."
        )
    return tiles


def image_rows(
    rows: Mapping[str, Tensor],
    shape: tuple[int, int] | None = None,
    *,
    signed: bool = True,
    each: bool = True,
    ruled: bool = False,
    boxes: Mapping[str, tuple[int, int, int, int]] | None = None,
) -> Figure:
    """Images in named rows, such as patches above their reconstructions.

    Args:
        rows: (N, H · W) or (N, H, W) by name, with the same N; tiles of NaN stay empty.
        shape: (H, W) of flat images; by default they are assumed square.
        signed: whether values may be negative, see `images`.
        each: whether each tile has its own scale.
        ruled: draw lines between tiles, for images with white edges.
        boxes: a part of each image of a row, by the row's name: first row and column, height and width in pixels. It
            is framed, or filled in grey where the row has pixels of NaN.

    >>> len(image_rows({"patch": torch.ones(3, 16), "decoded": torch.ones(3, 16)}).axes[0].texts)
    2
    """
    tiles = torch.cat([_as_tiles(row.cpu(), shape) for row in rows.values()])
    drawn = images(tiles, columns=len(next(iter(rows.values()))), signed=signed, each=each)
    if ruled:
        drawn.axes[0].set_facecolor(FAINT)
    for index, name in enumerate(rows):
        place = index * (tiles.shape[1] + 1) + tiles.shape[1] / 2 - 0.5
        drawn.axes[0].text(-1.5, place, plotted(name), ha="right", va="center", fontsize=8.5, color=INK)
        if boxes and name in boxes:
            _boxes(drawn.axes[0], boxes[name], index, tiles.shape, rows[name])
    return drawn


def _boxes(ax: Axes, box: tuple[int, int, int, int], row: int, shape: Sequence[int], images: Tensor) -> None:
    """The same part of all images of a row."""
    top, left, height, width = box
    fill, edge = (FAINT, "none") if bool(images.isnan().any()) else ("none", ORANGE)
    for column in range(len(images)):
        corner = (column * (shape[2] + 1) + left - 0.5, row * (shape[1] + 1) + top - 0.5)
        ax.add_patch(Rectangle(corner, width, height, facecolor=fill, edgecolor=edge, linewidth=0.9))


def titled_images(tiles: Tensor, titles: Sequence[str], *, marked: Collection[int] = (), columns: int = 8) -> Figure:
    """Images of grey levels in [0, 1], each with a title above it.

    Args:
        tiles: (N, H, W), (N, 1, H, W) or flat (N, H · W).
        titles: one per image.
        marked: indices of the images with an orange title.
        columns: images per row.

    >>> drawn = titled_images(torch.zeros(3, 16), ["one", "two", "three"], marked=[1])
    >>> [ax.get_title() for ax in drawn.axes[:3]]
    ['one', 'two', 'three']
    """
    tiles = _as_tiles(tiles, None)
    rows = math.ceil(len(tiles) / columns)
    drawn = figure(0.9 * columns, 1.12 * rows)
    panels = drawn.subplots(rows, columns, squeeze=False).flatten()
    for index, (ax, tile, title) in enumerate(zip(panels, tiles.numpy(), titles, strict=False)):
        ax.imshow(tile, cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
        bare(ax)
        ax.set_title(plotted(title), fontsize=7.5, color=ORANGE if index in marked else INK, pad=3)
    for ax in panels[len(tiles) :]:
        ax.axis("off")
    return drawn


def images_with_maps(tiles: Tensor, maps: Tensor, titles: Sequence[str]) -> Figure:
    """Images of grey levels in [0, 1], each with its title, above signed maps, each on its own scale about zero.

    Such as images above what changes an output: blue where values are negative, orange where they are positive.

    Args:
        tiles, maps: (N, H, W), (N, 1, H, W) or flat (N, H · W).
        titles: one for each image.

    >>> drawn = images_with_maps(torch.zeros(2, 16), torch.ones(2, 16), ["one", "two"])
    >>> [ax.get_title() for ax in drawn.axes]
    ['one', 'two', '', '']
    """
    tiles, maps = _as_tiles(tiles, None), _as_tiles(maps, None)
    drawn = figure(0.84 * len(tiles), 1.95)
    panels = drawn.subplots(2, len(tiles), squeeze=False)
    for column, (tile, signed, title) in enumerate(zip(tiles, maps, titles, strict=True)):
        size = float(signed.abs().max())
        panels[0, column].imshow(tile.numpy(), cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
        panels[1, column].imshow(signed.numpy(), cmap=SIGNED, vmin=-size, vmax=size, interpolation="nearest")
        bare(panels[0, column], title, 8)
        bare(panels[1, column])
    return drawn

"""A lattice of pieces: which parts of a line may be read as what, how likely that is, and the path that was chosen."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from torch import Tensor

from lowland.errors import ShapeError
from lowland.plots.style import BLUE, FAINT, INK, ORANGE, bare, figure

_WIDTH, _SHARE = 6.4, 0.02


def piece_lattices(
    images: Sequence[Tensor],
    cuts: Sequence[Tensor],
    shares: Tensor,
    paths: Sequence[Sequence[tuple[int, int, str]]],
    alphabet: str,
) -> Figure:
    """Lines below their lattices: an arc for each piece that at least 2 % of all paths use, and its best letter.

    The arcs span the piece's columns, the bolder the more likely; those of the best path are blue, with their letters
    below the line, others orange.

    Args:
        images: lines (H, W).
        cuts: (C + 1,) columns of each.
        shares: (B, C, L, K), see `Lattice.shares`.
        paths: for each line, the (last cell, cells, letter) of the pieces that were chosen.
        alphabet: letter k is its k-th character.

    Raises:
        ShapeError: for different numbers of lines, cuts, shares and paths.

    >>> import torch
    >>> shares = torch.zeros(1, 2, 1, 2)
    >>> shares[0, 0, 0, 1], shares[0, 1, 0, 0] = 1.0, 0.9
    >>> drawn = piece_lattices(
    ...     [torch.rand(8, 20)], [torch.tensor([2, 10, 18])], shares, [[(0, 1, "b"), (1, 1, "a")]], "ab"
    ... )
    >>> [text.get_text() for text in drawn.axes[0].texts]
    ['b', 'a', 'b', 'a']
    """
    if not len(images) == len(cuts) == len(shares) == len(paths) or not images:
        raise ShapeError(
            f"Each line needs cuts, shares and a path, but there are {len(images)} lines, {len(cuts)} cuts, "
            f"{len(shares)} shares and {len(paths)} paths."
        )
    drawn = figure(_WIDTH, 2.0 * len(images))
    panels = drawn.subplots(len(images), 1, squeeze=False)[:, 0]
    for ax, image, edges, share, path in zip(panels, images, cuts, shares, paths, strict=True):
        height, width = image.shape
        ax.imshow(1 - image.cpu().numpy(), cmap="gray", vmin=0, vmax=1, extent=(0, width, height, 0), aspect="equal")
        columns = edges.tolist()
        chosen = {(end, size): letter for end, size, letter in path}
        total, best = share.sum(dim=2), share.argmax(dim=2)
        for end, piece in (total >= _SHARE).nonzero().tolist():
            left, right, likely = columns[end - piece], columns[end + 1], min(1.0, float(total[end, piece]))
            letter = chosen.get((end, piece + 1), "")
            colour, middle, top = BLUE if letter else ORANGE, (left + right) / 2, -3 - 0.5 * (right - left)
            ax.plot([left, middle, right], [-2, top, -2], color=colour, lw=0.5 + 2 * likely, alpha=0.3 + 0.7 * likely)
            letter = letter or alphabet[int(best[end, piece])]
            ax.text(middle, top - 1, letter, ha="center", va="bottom", fontsize=7, color=colour)
        for column in columns:
            ax.axvline(column, ymax=0.5, color=FAINT, lw=0.4)
        for end, size, letter in path:
            middle = (columns[end + 1 - size] + columns[end + 1]) / 2
            ax.text(middle, height + 3, letter, ha="center", va="top", fontsize=9, color=INK)
        ax.set_xlim(0, width)
        ax.set_ylim(height + 12, -24)
        bare(ax)
    return drawn

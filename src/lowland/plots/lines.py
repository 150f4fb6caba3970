"""Lines of handwriting as a reader sees them: where they may be cut, what was read, and how sure it is."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.figure import Figure
from torch import Tensor

from lowland.errors import DomainError, ShapeError
from lowland.plots.style import BLUE, INK, ORANGE, bare, figure
from lowland.words import plotted

_WIDE, _HIGH = 3.6, 0.95


def lines_with_cuts(
    images: Sequence[Tensor],
    cuts: Sequence[Tensor],
    texts: Sequence[str] = (),
    confidence: Tensor | None = None,
    *,
    truths: Sequence[str] = (),
    columns: int = 2,
) -> Figure:
    """Each line with its cuts, and below it the text that was read and the confidence; orange where it is wrong.

    Args:
        images: lines (H, W), each with its own W, with grey levels from 0 for paper to 1 for ink. All are drawn at the
            same scale.
        cuts: the columns of each line, such as `lowland.data.cuts.cuts` finds them, or only those that were used.
        texts: what was read in each; none if nothing was read yet.
        confidence: (N,) from 0 to 1, in the texts.
        truths: what each line says. A wrong text is followed by the right one.
        columns: lines side by side.

    Raises:
        ShapeError: for lines that are not images, or numbers of cuts, texts, truths or confidences other than that of
            the lines.
        DomainError: for a confidence outside [0, 1].

    >>> import torch
    >>> lines, cuts = [torch.rand(32, 40), torch.rand(32, 60)], [torch.tensor([3, 20, 36]), torch.tensor([4, 50])]
    >>> drawn = lines_with_cuts(lines, cuts, ["12", "7"], torch.tensor([0.991, 0.4]), truths=["12", "1"])
    >>> [ax.get_xlabel() for ax in drawn.axes]
    ['12  99 %', '7, not 1  40 %']
    """
    known = [len(part) for part in (texts, truths, () if confidence is None else confidence) if len(part)]
    if not images or any(image.ndim != 2 for image in images) or {len(cuts), *known} != {len(images)}:
        raise ShapeError(
            "Lines must be images (H, W), one or more, with cuts, texts and confidences for each, not "
            f"{len(images)} lines {[tuple(image.shape) for image in images[:4]]} with {len(cuts)} and {known}."
        )
    if confidence is not None and not bool(((confidence >= 0) & (confidence <= 1)).all()):
        raise DomainError("A confidence must be a probability from 0 to 1: take exp of a log-probability.")
    rows, widest = math.ceil(len(images) / columns), max(image.shape[1] for image in images)
    drawn = figure(_WIDE * columns, _HIGH * rows)
    panels = drawn.subplots(rows, columns, squeeze=False).flatten()
    for place, (ax, image, edges) in enumerate(zip(panels, images, cuts, strict=False)):
        height, width = image.shape
        ax.imshow(image.detach().cpu().numpy(), cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
        # Column c begins half a pixel left of the middle of pixel c, which matplotlib draws at c.
        ax.vlines(edges.cpu() - 0.5, -0.5, height - 0.5, color=BLUE, linewidth=0.7)
        spare = (widest - width) / 2
        ax.set(xlim=(-0.5 - spare, width - 0.5 + spare), ylim=(height - 0.5, -0.5))
        bare(ax)
        for spine in ax.spines.values():
            spine.set_visible(False)
        wrong = bool(texts and truths) and texts[place] != truths[place]
        words = f"{texts[place]}, not {truths[place]}" if wrong else texts[place] if texts else ""
        words += "" if confidence is None else f"  {100 * float(confidence[place]):.0f} %"
        ax.set_xlabel(plotted(words), fontsize=8, color=ORANGE if wrong else INK, labelpad=2)
    for ax in panels[len(images) :]:
        ax.axis("off")
    return drawn

"""Figures and moving pictures as files."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lowland.errors import OptionError, UnsupportedError
from lowland.reports.store import write_bytes


def save_figure(path: Path, figure: Any, format: str = "png", dpi: int = 160) -> Path:  # noqa: A002
    """Save a figure of matplotlib (as PNG or SVG) or plotly (as a piece of HTML); returns its path."""
    if format not in ("png", "svg"):
        raise OptionError(f"A figure is saved as png or svg, not as {format!r}.")
    if hasattr(figure, "to_html"):
        # plotly.js itself is put into the page once, by the page.
        piece = figure.to_html(full_html=False, include_plotlyjs=False)
        target = path.with_name(path.name + ".html")
        write_bytes(target, piece.encode())
        return target
    if not hasattr(figure, "savefig"):
        raise UnsupportedError(f"A figure of matplotlib or plotly is needed, but this is a {type(figure).__name__}.")
    content = io.BytesIO()
    figure.savefig(content, format=format, dpi=dpi, bbox_inches="tight", facecolor="white")
    _close(figure)
    target = path.with_name(f"{path.name}.{format}")
    write_bytes(target, content.getvalue())
    return target


def save_animation(path: Path, figure: Any, draw: Callable[[int], Any], frames: int, fps: int, dpi: int) -> None:
    """Save an animated PNG of a matplotlib figure; `draw(i)` changes the figure to its i-th frame."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    if frames < 1:
        raise OptionError(f"An animation needs at least 1 frame, but frames is {frames}.")
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    images = []
    for index in range(frames):
        draw(index)
        canvas.draw()
        images.append(Image.fromarray(np.asarray(canvas.buffer_rgba()).copy()).convert("RGB"))
    content = io.BytesIO()
    images[0].save(
        content,
        format="PNG",
        save_all=True,
        append_images=images[1:],
        duration=round(1000 / fps),
        loop=0,
        optimize=True,
    )
    _close(figure)
    write_bytes(path, content.getvalue())


def _close(figure: Any) -> None:
    """Let pyplot forget the figure, where it was made by pyplot."""
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close(figure)

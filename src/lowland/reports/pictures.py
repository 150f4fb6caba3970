"""Figures as files."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

from lowland.errors import OptionError, UnsupportedError
from lowland.files import write_atomically

_ENCODED = {b"GIF8": ".gif", b"\x89PNG": ".png"}


def check_figure(name: str, figure: Any, format: str = "png") -> None:  # noqa: A002  matplotlib's name
    """Raise unless `save_figure` takes it: what a recipe gets wrong is said at once, and is not a picture that failed.

    Raises:
        OptionError: for another format than png or svg.
        UnsupportedError: for what is no figure.
    """
    if format not in ("png", "svg"):
        raise OptionError(f"A figure is saved as png or svg, not as {format!r}.")
    if isinstance(figure, bytes) and figure[:4] not in _ENCODED:
        raise UnsupportedError(f"{name}: these bytes are neither a PNG nor a GIF.")
    if not isinstance(figure, bytes) and not hasattr(figure, "to_json") and not hasattr(figure, "savefig"):
        kind = type(figure).__name__
        raise UnsupportedError(
            f"{name} must be a figure of matplotlib or plotly, or a PNG or GIF as bytes, not {kind}."
        )


def save_figure(path: Path, figure: Any, format: str = "png", dpi: int = 160) -> Path:  # noqa: A002  matplotlib's name
    """Save a figure under `path` with a suffix, and return where.

    Args:
        figure: of matplotlib (saved as PNG or SVG) or plotly (as its own JSON), or the bytes of a PNG or GIF file.

    Raises:
        OptionError, UnsupportedError: see `check_figure`.
    """
    check_figure(path.name, figure, format)
    if isinstance(figure, bytes):
        suffix, content = _ENCODED[figure[:4]], figure
    elif hasattr(figure, "to_json"):
        # Not as HTML: a page takes over numbers and words of a run from elsewhere, and no code.
        suffix, content = ".json", figure.to_json().encode()
    else:
        buffer = io.BytesIO()
        dates = {"Software": None} if format == "png" else {"Date": None, "Creator": None}
        figure.savefig(buffer, format=format, dpi=dpi, bbox_inches="tight", facecolor="white", metadata=dates)
        suffix, content = f".{format}", buffer.getvalue()
        if "matplotlib.pyplot" in sys.modules:
            sys.modules["matplotlib.pyplot"].close(figure)
    target = path.with_name(path.name + suffix)
    write_atomically(target, content)
    return target

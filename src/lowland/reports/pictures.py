"""Figures as files."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

from lowland.errors import OptionError, UnsupportedError
from lowland.files import write_atomically

_ENCODED = {b"GIF8": ".gif", b"\x89PNG": ".png"}


def save_figure(path: Path, figure: Any, format: str = "png", dpi: int = 160) -> Path:  # noqa: A002  matplotlib's name
    """Save a figure under `path` with a suffix, and return where.

    Args:
        figure: of matplotlib (saved as PNG or SVG) or plotly (as its own JSON), or the bytes of a PNG or GIF file.

    Raises:
        UnsupportedError: for anything else.
    """
    if format not in ("png", "svg"):
        raise OptionError(f"A figure is saved as png or svg, not as {format!r}.")
    if isinstance(figure, bytes):
        if figure[:4] not in _ENCODED:
            raise UnsupportedError(f"{path.name}: these bytes are neither a PNG nor a GIF.")
        suffix, content = _ENCODED[figure[:4]], figure
    elif hasattr(figure, "to_json"):
        # Not as HTML: a page takes over numbers and words of a run from elsewhere, and no code.
        suffix, content = ".json", figure.to_json().encode()
    elif hasattr(figure, "savefig"):
        buffer = io.BytesIO()
        dates = {"Software": None} if format == "png" else {"Date": None, "Creator": None}
        figure.savefig(buffer, format=format, dpi=dpi, bbox_inches="tight", facecolor="white", metadata=dates)
        suffix, content = f".{format}", buffer.getvalue()
        if "matplotlib.pyplot" in sys.modules:
            sys.modules["matplotlib.pyplot"].close(figure)
    else:
        kind = type(figure).__name__
        raise UnsupportedError(
            f"{path.name} must be a figure of matplotlib or plotly, or a PNG or GIF as bytes, not {kind}."
        )
    target = path.with_name(path.name + suffix)
    write_atomically(target, content)
    return target

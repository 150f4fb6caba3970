"""The progress bar of `fit`."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from tqdm import tqdm


class Bar:
    """A bar on standard error with the steps taken, their rate, and the newest numbers that were read.

    Args:
        first, last: steps taken before this call, and in total.
        show: False shows nothing.
    """

    def __init__(self, first: int, last: int, show: bool) -> None:
        self._bar = tqdm(total=last, initial=first, file=sys.stderr, dynamic_ncols=True) if show else None
        self._shown: Mapping[str, float] = {}

    def advance(self, step: int, latest: Mapping[str, float]) -> None:
        """Count one step; `latest` are the numbers to show."""
        if self._bar is None:
            return
        if latest is not self._shown:
            self._shown = latest
            self._bar.set_postfix(
                {"step": step, **{name: f"{value:.4g}" for name, value in latest.items()}}, refresh=False
            )
        self._bar.update()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()

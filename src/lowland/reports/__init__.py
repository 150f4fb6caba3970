"""Runs and their pages: figures, tables and films in one HTML file that asks nothing of the network."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lowland.reports.page import render
    from lowland.reports.run import Run

__all__ = ["Run", "render"]


def __getattr__(name: str) -> Any:
    # A list of results needs neither, and both bring torch.
    if name not in __all__:
        raise AttributeError(f"module 'lowland.reports' has no attribute {name!r}")
    return getattr(importlib.import_module(f"lowland.reports.{'run' if name == 'Run' else 'page'}"), name)

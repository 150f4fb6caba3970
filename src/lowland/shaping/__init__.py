"""Shapings: training methods, in seven families. Everything registered here is an attribute of the package."""

from __future__ import annotations

from typing import Any

from lowland.registry import expose
from lowland.shaping.base import Batch, Losses, Shaping, ShapingCase

__all__ = ["Batch", "Losses", "Shaping", "ShapingCase"]
_registered, _names = expose(__name__)


def __getattr__(name: str) -> Any:
    return _registered(name)


def __dir__() -> list[str]:
    return sorted({*__all__, *_names()})

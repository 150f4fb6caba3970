"""Training by several workers that meet now and then: rules, a centre for them, links, and when they are stable."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lowland.training.averaging.callback import Averaging
    from lowland.training.averaging.centre import Centre
    from lowland.training.averaging.link import Link
    from lowland.training.averaging.rules import Downpour, Elastic, Outer, Rule
    from lowland.training.averaging.stability import largest_rate, radii
    from lowland.training.averaging.together import Together

_NAMES = {
    "Averaging": "callback",
    "Centre": "centre",
    "Downpour": "rules",
    "Elastic": "rules",
    "Link": "link",
    "Outer": "rules",
    "Rule": "rules",
    "Together": "together",
    "largest_rate": "stability",
    "radii": "stability",
}
__all__ = [
    "Averaging",
    "Centre",
    "Downpour",
    "Elastic",
    "Link",
    "Outer",
    "Rule",
    "Together",
    "largest_rate",
    "radii",
]


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(f"lowland.training.averaging.{_NAMES[name]}"), name)
    raise AttributeError(f"module 'lowland.training.averaging' has no attribute {name!r}")

"""Settings of 36 training methods for vectors, points in the plane or small images, by the seven strategies.

Energy, shaping and plan of each method are in `contrastive.py` and `regularised.py`, its words in `methods.toml`.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from lowland.errors import OptionError
from lowland.systems import tomllib
from lowland.training.vector_methods.base import Case, Plan, VectorMethod
from lowland.training.vector_methods.contrastive import CONTRASTIVE
from lowland.training.vector_methods.regularised import REGULARISED

__all__ = ["FAMILIES", "VECTOR_METHODS", "Case", "Family", "Plan", "VectorMethod"]


class Family(NamedTuple):
    """One of the seven strategies."""

    title: str
    text: str


_WORDS = tomllib.loads(Path(__file__).with_name("methods.toml").read_text(encoding="utf-8"))
FAMILIES = {name: Family(**words) for name, words in _WORDS["families"].items()}


def _collected() -> dict[str, VectorMethod]:
    methods, words = {method.name: method for method in (*CONTRASTIVE, *REGULARISED)}, _WORDS["methods"]
    if stray := set(methods) ^ set(words):
        raise OptionError(f"Methods and their words in methods.toml do not match: {', '.join(sorted(stray))}.")
    found = [replace(method, **words[name]) for name, method in methods.items()]
    return {method.name: method for method in sorted(found, key=lambda m: list(FAMILIES).index(m.family))}


VECTOR_METHODS = _collected()
"""By name: contrastive methods first, the methods of a family together."""

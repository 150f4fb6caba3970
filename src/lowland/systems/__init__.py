"""The systems that Lowland implements, or will, with their published figures, read from `systems.toml`."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from lowland.errors import OptionError, nearest

# By name, because type checkers know only the one of the two that suits the Python version that they assume.
tomllib = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")


@dataclass(frozen=True)
class Published:
    """A figure that was published for a system.

    Args:
        key: its name within the system, for citing it.
        claim: the method or setting that reached it.
        figure: the number.
        unit: what the number measures, with its unit.
        source: where it was published.
        checked: whether we read it in its source; only then does `published` return it.
    """

    key: str
    claim: str
    figure: float
    unit: str
    source: str
    checked: bool


@dataclass(frozen=True)
class System:
    """A system: its id, the section of the list, a title, one sentence, its sources, its published figures."""

    id: str
    section: str
    title: str
    what: str
    source: tuple[str, ...]
    published: tuple[Published, ...] = ()


@cache
def load_systems() -> dict[str, System]:
    """All systems by id, in the order of the list.

    >>> system = load_systems()["V3"]
    >>> system.title, system.section
    ('LeNet-5', 'ConvNets and structured prediction')
    >>> system.published[2].key, system.published[2].figure, system.published[2].unit
    ('plain', 0.95, '% error, MNIST')
    """
    systems: dict[str, System] = {}
    for entry in _parsed()["system"]:
        published = tuple(Published(**figure) for figure in entry.get("published", ()))
        systems[entry["id"]] = System(**{**entry, "source": tuple(entry["source"]), "published": published})
    return systems


def system(name: str) -> System:
    """One system; an unknown id raises an OptionError that suggests the nearest."""
    known = load_systems()
    if name not in known:
        raise OptionError(f"There is no system {name!r}. {nearest(name, known)}")
    return known[name]


def published(name: str, key: str) -> float | None:
    """A figure that may be printed as published: one that we read in its source. None for one at second hand.

    Args:
        name: id of the system.
        key: of the figure.

    Raises:
        OptionError: if there is no such system or figure.

    >>> published("V3", "plain"), published("W8", "human/pct-success")
    (0.95, None)
    """
    figures = {figure.key: figure for figure in system(name).published}
    if key not in figures:
        raise OptionError(f"The system {name} has no published figure {key!r}. {nearest(key, figures)}")
    return figures[key].figure if figures[key].checked else None


def load_sources() -> dict[str, str]:
    """What the short names in `System.source` stand for.

    >>> load_sources()["T3"]
    'Yann LeCun, The Deep Learning – Applied Math Connection, 2020'
    """
    return dict(_parsed()["sources"])


@cache
def _parsed() -> dict[str, Any]:
    text = resources.files("lowland.systems").joinpath("systems.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)

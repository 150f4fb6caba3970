"""The systems that Lowland sets out to implement, read from `rows.toml` beside this file; imports nothing heavy."""

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
        claim: the method or setting that reached it.
        figure: the number.
        unit: what the number measures, with its unit.
        source: where it was published.
        checked: whether it was read in its source; only then `published` gives it to be printed.
    """

    claim: str
    figure: float
    unit: str
    source: str
    checked: bool


@dataclass(frozen=True)
class Row:
    """A system: its id, the section of the list, a title, one sentence, where it comes from, its published figures."""

    id: str
    section: str
    title: str
    what: str
    source: tuple[str, ...]
    published: tuple[Published, ...] = ()


def load_rows() -> dict[str, Row]:
    """All systems by id, in the order of the list.

    >>> row = load_rows()["V3"]
    >>> row.title, row.section
    ('LeNet-5', 'ConvNets and structured prediction')
    >>> row.published[2].claim, row.published[2].figure, row.published[2].unit
    ('plain', 0.95, '% error, MNIST')
    """
    rows: dict[str, Row] = {}
    for entry in _parsed()["row"]:
        published = tuple(Published(**figure) for figure in entry.get("published", ()))
        rows[entry["id"]] = Row(**{**entry, "source": tuple(entry["source"]), "published": published})
    return rows


def published(row: str, claim: str, unit: str) -> float | None:
    """A figure that may be printed as published: one that was read in its source. None for one of second hand.

    Args:
        row: id of the system.
        claim: of the figure.
        unit: how the figure's unit begins.

    Raises:
        OptionError: if the row has no such figure.

    >>> published("V3", "plain", "% error"), published("W8", "human", "% success")
    (0.95, None)
    """
    figures = {figure.claim: figure for figure in load_rows()[row].published if figure.unit.startswith(unit)}
    if claim not in figures:
        raise OptionError(f"{row} has no figure in {unit} of {claim!r}. {nearest(claim, figures)}")
    return figures[claim].figure if figures[claim].checked else None


def load_sources() -> dict[str, str]:
    """What the short names in `Row.source` stand for.

    >>> load_sources()["T3"]
    'Yann LeCun, The Deep Learning – Applied Math Connection, 2020'
    """
    return dict(_parsed()["sources"])


@cache
def _parsed() -> dict[str, Any]:
    return tomllib.loads(resources.files("lowland").joinpath("rows.toml").read_text(encoding="utf-8"))

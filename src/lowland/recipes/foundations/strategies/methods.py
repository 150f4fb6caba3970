"""The methods of the comparison: rows of Python with the words of `methods.toml`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from lowland.errors import OptionError
from lowland.recipes.foundations.strategies.contrastive import CONTRASTIVE
from lowland.recipes.foundations.strategies.regularised import REGULARISED
from lowland.recipes.foundations.strategies.rows import Row
from lowland.systems import tomllib


@dataclass(frozen=True)
class Method(Row):
    """One method of the comparison.

    Args:
        family: of the seven strategies.
        title: on the page.
        paper: author and year.
        text: what it does to the landscape.
        shows: what its pictures are.
        limit: why it may fail on images.
    """

    family: str = ""
    title: str = ""
    paper: str = ""
    text: str = ""
    shows: str = ""
    limit: str = ""


class Family(NamedTuple):
    """One of the seven strategies."""

    title: str
    text: str


_WORDS = tomllib.loads(Path(__file__).with_name("methods.toml").read_text(encoding="utf-8"))
FAMILIES = {name: Family(**words) for name, words in _WORDS["families"].items()}


def collect() -> dict[str, Method]:
    """All methods by name, contrastive ones first, each family together.

    Raises:
        OptionError: if a method has no words, or words no method.
    """
    rows, words = {row.name: row for row in (*CONTRASTIVE, *REGULARISED)}, _WORDS["methods"]
    if stray := set(rows) ^ set(words):
        raise OptionError(f"Methods and their words in methods.toml do not match: {', '.join(sorted(stray))}.")
    methods = [Method(**vars(row), **words[name]) for name, row in rows.items()]
    return {method.name: method for method in sorted(methods, key=lambda m: list(FAMILIES).index(m.family))}

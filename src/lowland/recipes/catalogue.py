"""What recipes there are, read from the heads of their pages: no recipe is imported, so that `lowland list` is fast."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from lowland.errors import OptionError, nearest
from lowland.registry import plugins
from lowland.reports.head import Head, read_page

USUAL = "cpu"
"""The preset of a recipe's own defaults."""


@dataclass(frozen=True)
class Entry:
    """One recipe.

    Args:
        name: as in `lowland run NAME`.
        page: its `page.md`.
        module: import path of its `recipe.py`.
        head: of its page: title, what it shows, systems, minutes.
    """

    name: str
    page: Path
    module: str
    head: Head

    def record(self, preset: str = USUAL) -> Path:
        """Where its figures on record are kept, if there are any: each preset has a record of its own."""
        return self.page.with_name("record.json" if preset == USUAL else f"record-{preset}.json")

    @property
    def recorded(self) -> list[str]:
        """The presets that have figures on record, the usual one first."""
        others = sorted(path.stem.removeprefix("record-") for path in self.page.parent.glob("record-*.json"))
        return [preset for preset in (USUAL, *others) if self.record(preset).is_file()]


def catalogue() -> dict[str, Entry]:
    """All recipes by name in alphabetical order, those of plugins included (see `lowland.registry`).

    Raises:
        OptionError: if two recipes share a name, a folder lacks `recipe.py` or `page.md`, or a head cannot be read.

    >>> catalogue()["ellipse"].head.systems
    ('E1', 'E3', 'E4', 'E5')
    """
    found: dict[str, Entry] = {}
    for package in ["lowland.recipes", *plugins()]:
        for entry in _entries(package):
            if entry.name in found:
                places = f"{found[entry.name].page.parent} and {entry.page.parent}"
                raise OptionError(f"Two recipes are called {entry.name!r}: {places}. Rename one folder.")
            found[entry.name] = entry
    return dict(sorted(found.items()))


def find(name: str) -> Entry:
    """One recipe; an unknown name raises an OptionError with the nearest one suggested."""
    known = catalogue()
    if name not in known:
        raise OptionError(f"There is no recipe called {name!r}. {nearest(name, known)}")
    return known[name]


def _entries(package: str) -> list[Entry]:
    """The recipes below a package, whose folders need no `__init__.py`."""
    spec = importlib.util.find_spec(package)
    entries = []
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for page in Path(folder).rglob("page.md"):
            if not (beside := page.with_name("recipe.py")).is_file():
                raise OptionError(f"{beside} is missing: a recipe is a folder with recipe.py and page.md.")
        for path in sorted(Path(folder).rglob("recipe.py")):
            module = ".".join([package, *path.relative_to(folder).with_suffix("").parts])
            page = path.with_name("page.md")
            entries.append(Entry(path.parent.name.replace("_", "-"), page, module, read_page(page)[0]))
    return entries

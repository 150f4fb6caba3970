"""What recipes there are, read from the heads of their pages: no recipe is imported, so that `lowland list` is fast."""

from __future__ import annotations

import ast
import importlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from lowland.bounded import read_bytes
from lowland.errors import OptionError, nearest
from lowland.registry import plugins
from lowland.reports.head import read_page


@dataclass(frozen=True)
class Entry:
    """One recipe.

    Args:
        name: as in `lowland run NAME`.
        shows: one sentence: what the recipe shows.
        rows: ids of the systems that it serves, such as "E4".
        minutes: on two processor cores, with the preset `cpu`.
        title: heading of its page.
        module, cls: where it is.
        page: its `page.md`.
    """

    name: str
    shows: str
    rows: tuple[str, ...] = ()
    minutes: float = 1
    title: str = ""
    module: str = ""
    cls: str = ""
    page: Path | None = None

    @property
    def record(self) -> Path | None:
        """Where its recorded figures are."""
        return None if self.page is None else self.page.with_name("record.json")


def catalogue() -> dict[str, Entry]:
    """All recipes by name in alphabetical order, those of plugins included (see `lowland.registry`).

    Raises:
        OptionError: if two recipes share a name, a folder lacks `recipe.py` or `page.md`, or a head cannot be read.

    >>> catalogue()["ellipse"].rows
    ('E1', 'E3', 'E4', 'E5')
    """
    found: dict[str, Entry] = {}
    for package in ["lowland.recipes", *plugins()]:
        for module, path in _files(package):
            for entry in _folder(module, path) if path.name == "recipe.py" else _entries(module, path):
                if entry.name in found:
                    places = [one.page.parent if one.page else one.module for one in (found[entry.name], entry)]
                    raise OptionError(
                        f"Two recipes are called {entry.name!r}: {places[0]} and {places[1]}. Rename one folder."
                    )
                found[entry.name] = entry
    return dict(sorted(found.items()))


def find(name: str) -> Entry:
    """One recipe; an unknown name raises an OptionError with the nearest one suggested."""
    known = catalogue()
    if name not in known:
        raise OptionError(f"There is no recipe called {name!r}. {nearest(name, known)}")
    return known[name]


def _files(package: str) -> list[tuple[str, Path]]:
    """Import path and file of every module of a package, whose folders need no `__init__.py`."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        return []
    if spec.submodule_search_locations is None:
        return [(package, Path(spec.origin))] if spec.origin else []
    files = []
    for folder in spec.submodule_search_locations:
        for page in Path(folder).rglob("page.md"):
            if not (beside := page.with_name("recipe.py")).is_file():
                raise OptionError(f"{beside} is missing: a recipe is a folder with recipe.py and page.md.")
        for path in sorted(Path(folder).rglob("*.py")):
            parts = [part for part in path.relative_to(folder).with_suffix("").parts if part != "__init__"]
            files.append((".".join([package, *parts]), path))
    return files


def _folder(module: str, path: Path) -> list[Entry]:
    """The recipe of a folder, as the head of its page has it."""
    page = path.with_name("page.md")
    head, _ = read_page(page)
    name = path.parent.name.replace("_", "-")
    return [Entry(name, head.shows, head.systems, head.minutes, head.title, module, "", page)]


def _entries(module: str, path: Path) -> list[Entry]:
    try:
        text = read_bytes(path, OptionError).decode("utf-8-sig")
        tree = ast.parse(text, str(path)) if "@recipe(" in text else ast.Module([], [])
    except (ValueError, SyntaxError, RecursionError) as error:
        if isinstance(error, OptionError):
            raise
        raise OptionError(f"The module {module} in LOWLAND_PLUGINS is not Python that can be read ({error}).") from None
    entries = []
    for node in ast.walk(tree):
        for decorator in node.decorator_list if isinstance(node, ast.ClassDef) else ():
            if (
                isinstance(decorator, ast.Call)
                and isinstance(decorator.func, ast.Name)
                and decorator.func.id == "recipe"
            ):
                assert isinstance(node, ast.ClassDef)
                entries.append(_entry(module, node.name, decorator))
    return entries


def _entry(module: str, cls: str, decorator: ast.Call) -> Entry:
    try:
        (name,) = [ast.literal_eval(argument) for argument in decorator.args]
        options = {option.arg: ast.literal_eval(option.value) for option in decorator.keywords if option.arg}
        return Entry(name, module=module, cls=cls, **options)
    except (ValueError, TypeError) as error:
        raise OptionError(
            f"@recipe of {module}.{cls} must be one name and literal options shows, rows, minutes and title: {error}."
        ) from None

"""One registry for energies, solvers, shapings, worlds and encoders. Recipes have a catalogue: `lowland.recipes`.

A decorator above the class is all it takes: conformance tests, the tables of the documentation and the command line
find it here. The registry knows no package. `lowland/__init__.py` says with `search` which of ours to look through. A
package of your own joins in by an entry point of the group `lowland.plugins`, by the environment variable
`LOWLAND_PLUGINS` (names of modules, or paths of files and folders, separated by commas), or by `scan(name)`.
`lowland check` runs the conformance tests on what it registers.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import pkgutil
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from lowland.errors import LowlandError, OptionError, nearest

GROUP = "lowland.plugins"
"""Entry points by which an installed package joins in: each names a module."""
T = TypeVar("T")
_packages: dict[str, list[str]] = {}
_registered: dict[str, dict[str, type]] = {}


def search(kind: str, *packages: str) -> None:
    """Look for classes of this kind in these packages as well, from the next time that all of them are asked for.

    >>> search("energy", "lowland.energies")
    """
    known = _packages.setdefault(kind, [])
    known += [package for package in packages if package not in known]
    _registered.setdefault(kind, {})


def _of_kind(kind: str) -> dict[str, type]:
    if kind not in _registered:
        raise OptionError(f"There is no registry of kind {kind!r}. {nearest(kind, _registered)}")
    return _registered[kind]


def register(kind: str) -> Callable[[type[T]], type[T]]:
    """Class decorator: enters the class under its own name.

    Args:
        kind: "energy", "solver", "shaping", "world" or "encoder".

    Raises:
        OptionError: if there is no such kind, or another class already has this name.
    """
    known = _of_kind(kind)

    def enter(cls: type[T]) -> type[T]:
        other = known.get(cls.__name__)
        if other is not None and (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
            raise OptionError(f"Two {kind} classes are called {cls.__name__}: {other.__module__} and {cls.__module__}.")
        known[cls.__name__] = cls
        return cls

    return enter


def scan(package_name: str) -> None:
    """Import every module of a package, so that its decorators run. An import error is never swallowed."""
    package = importlib.import_module(package_name)
    for module in pkgutil.walk_packages(getattr(package, "__path__", []), prefix=f"{package_name}."):
        importlib.import_module(module.name)


@contextmanager
def importing(plugin: str) -> Iterator[None]:
    """Inside the block, an error in the code of a plugin becomes an OptionError that names its file and line."""
    try:
        yield
    except LowlandError:
        raise
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        file, line = (
            (error.filename, error.lineno) if isinstance(error, SyntaxError) else (where.filename, where.lineno)
        )
        what = error.msg if isinstance(error, SyntaxError) else f"{error}".rstrip(".")
        raise OptionError(
            f"{plugin} cannot be imported: {type(error).__name__} in {Path(file or plugin).name}, line {line}: {what}."
        ) from error


def plugins() -> list[str]:
    """The module names of all plugins: those in `LOWLAND_PLUGINS`, then installed packages with an entry point.

    Raises:
        OptionError: for a plugin that is not there.
    """
    named = [locate(name.strip()) for name in os.environ.get("LOWLAND_PLUGINS", "").split(",") if name.strip()]
    installed = _installed(tuple(sys.path))
    for name, distribution in installed.items():
        if _spec(name) is None:
            raise OptionError(
                f"The package {distribution} has an entry point of the group {GROUP} for the module {name!r}, which "
                "cannot be imported: reinstall or remove the package."
            )
    return list(dict.fromkeys([*named, *installed]))


@cache
def _installed(_path: tuple[str, ...]) -> dict[str, str]:
    """The modules that entry points name, each with its distribution; read once for each value of `sys.path`."""
    found = importlib.metadata.entry_points(group=GROUP)
    return {one.module: one.dist.name if one.dist else one.name for one in found}


def locate(plugin: str) -> str:
    """The module name of a plugin that is given by that name, or by the path of its file or folder.

    A folder needs no `__init__.py`. The folder around it is put at the end of `sys.path`, so that it hides nothing.

    Raises:
        OptionError: if there is no such module, file or folder, or the name belongs to another module.
    """
    path = Path(plugin)
    if path.suffix != ".py" and len(path.parts) == 1 and not path.is_dir():
        if _spec(plugin) is not None:
            return plugin
        path = path.with_name(f"{path.name}.py")
    if not plugin or not path.exists():
        raise OptionError(
            f"There is no plugin {plugin!r}: neither a module that can be imported, nor a file or folder of that name."
        )
    path = path.resolve()
    if not path.stem.isidentifier():
        raise OptionError(f"{path.name} cannot be imported under that name: use letters, digits and underscores.")
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
        importlib.invalidate_caches()
    spec = _spec(path.stem)
    found = [] if spec is None else [spec.origin, *(spec.submodule_search_locations or ())]
    if path not in [Path(place).resolve() for place in found if place]:
        raise OptionError(f"{path.name} has the name of another module, {path.stem}: rename the file or folder.")
    return path.stem


def _spec(name: str) -> Any:
    try:
        return importlib.util.find_spec(name)
    except (ModuleNotFoundError, ValueError):  # a parent that is missing; no name at all
        return None


def registered(kind: str) -> dict[str, type]:
    """All classes of one kind by name, in alphabetical order, plugins included.

    >>> "SparseCoding" in registered("energy")
    True

    Raises:
        OptionError: if there is no such kind.
    """
    known = _of_kind(kind)
    for package in (*_packages[kind], *plugins()):
        scan(package)
    return dict(sorted(known.items()))


def find(kind: str, name: str) -> type:
    """The class registered under a name. One that is imported already is returned without a search for others.

    Raises:
        OptionError: for an unknown kind or name, with the nearest one.
    """
    if (cls := _of_kind(kind).get(name)) is not None:
        return cls
    known = registered(kind)
    if name not in known:
        raise OptionError(f"There is no {kind} called {name!r}. {nearest(name, known)}")
    return known[name]


def expose(package_name: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package: every class registered in one of its modules is an attribute of it."""

    def here() -> dict[str, type]:
        classes = (cls for kind in _registered.values() for cls in kind.values())
        return {cls.__name__: cls for cls in classes if cls.__module__.startswith(f"{package_name}.")}

    def everything() -> dict[str, type]:
        scan(package_name)
        return here()

    def lookup(name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"module {package_name!r} has no attribute {name!r}")
        if name in (imported := here()):
            return imported[name]  # without importing the other modules
        try:
            return importlib.import_module(f"{package_name}.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"{package_name}.{name}":
                raise
        known = everything()
        if name not in known:
            raise AttributeError(f"{package_name} has no class {name!r}. {nearest(name, known)}")
        return known[name]

    return lookup, lambda: sorted(everything())

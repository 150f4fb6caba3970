"""One registry for energies, solvers, shapings, worlds and recipes: a decorator in the file itself is all it needs.

Conformance tests, docs tables and the command line read it; nothing is listed by hand. Packages outside Lowland join in
by being named in the environment variable `LOWLAND_PLUGINS` (module names, or paths of files and folders, separated by
commas), or by `registry.scan(name)`. `lowland check` runs the conformance tests on what such a package registers.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import pkgutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from lowland.errors import OptionError, nearest

T = TypeVar("T")
_PACKAGES = {
    "energy": ("lowland.energies", "lowland.worlds", "lowland.planning"),
    "solver": ("lowland.solvers",),
    "shaping": ("lowland.shaping", "lowland.worlds", "lowland.planning"),
    "world": ("lowland.worlds",),
    "encoder": ("lowland.nn.encoders",),
    "recipe": ("lowland.recipes",),
}
_registered: dict[str, dict[str, type]] = {kind: {} for kind in _PACKAGES}


def register(kind: str) -> Callable[[type[T]], type[T]]:
    """Class decorator: enters the class under its own name.

    Args:
        kind: "energy", "solver", "shaping", "world", "encoder" or "recipe".

    Raises:
        OptionError: if the kind is unknown, or another class of that name is already registered.
    """
    if kind not in _PACKAGES:
        raise OptionError(f"There is no registry of kind {kind!r}. {nearest(kind, _PACKAGES)}")

    def enter(cls: type[T]) -> type[T]:
        other = _registered[kind].get(cls.__name__)
        if other is not None and (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
            raise OptionError(f"Two {kind} classes are called {cls.__name__}: {other.__module__} and {cls.__module__}.")
        _registered[kind][cls.__name__] = cls
        return cls

    return enter


def register_environments() -> None:
    """Make the environments known to Gymnasium, which since its version 1.0 asks no entry points of packages."""
    import gymnasium

    name = "lowland/TrafficReplay-v0"
    if name not in gymnasium.registry:
        place = "lowland.envs.traffic:TrafficReplay"
        gymnasium.register(name, entry_point=place, vector_entry_point=f"{place}Vector")


def scan(package_name: str) -> None:
    """Import every module below a package, so that its decorators run. An import error is never swallowed."""
    package = importlib.import_module(package_name)
    for module in pkgutil.walk_packages(getattr(package, "__path__", []), prefix=f"{package_name}."):
        importlib.import_module(module.name)


def plugins() -> list[str]:
    """The module names of the packages in `LOWLAND_PLUGINS`."""
    return [locate(name.strip()) for name in os.environ.get("LOWLAND_PLUGINS", "").split(",") if name.strip()]


def locate(plugin: str) -> str:
    """The module name of a plugin that is given by that name, or by the path of its file or folder.

    The folder that a path lies in is put at the end of `sys.path`, so that it hides nothing.

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
        raise OptionError(f"{path.name} has the name of another module, {path.stem}: rename the file.")
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
    """
    if kind not in _PACKAGES:
        raise OptionError(f"There is no registry of kind {kind!r}. {nearest(kind, _PACKAGES)}")
    for package in (*_PACKAGES[kind], *plugins()):
        scan(package)
    return dict(sorted(_registered[kind].items()))


def find(kind: str, name: str) -> type:
    """The class registered under a name; an unknown name raises with the nearest one suggested."""
    known = registered(kind)
    if name not in known:
        raise OptionError(f"There is no {kind} called {name!r}. {nearest(name, known)}")
    return known[name]


def expose(kind: str, module_name: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package, so that all that is registered below it is an attribute of it."""

    def lookup(name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"module {module_name!r} has no attribute {name!r}")
        if name in _registered[kind]:
            return _registered[kind][name]  # no walk through the package for what is known
        try:
            return importlib.import_module(f"{module_name}.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"{module_name}.{name}":
                raise
        known = registered(kind)
        if name not in known:
            raise AttributeError(f"There is no {kind} called {name!r}. {nearest(name, known)}")
        return known[name]

    def names() -> list[str]:
        return list(registered(kind))

    return lookup, names

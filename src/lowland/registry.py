"""One registry for energies, solvers, shapings, worlds and recipes: a decorator in the file itself is all it needs.

Conformance tests, docs tables and the command line read it; nothing is listed by hand. Packages outside Lowland join in
by being named in the environment variable `LOWLAND_PLUGINS` (comma-separated module names), or by
`registry.scan(name)`.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
from collections.abc import Callable
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


def registered(kind: str) -> dict[str, type]:
    """All classes of one kind by name, in alphabetical order, plugins included.

    >>> "SparseCoding" in registered("energy")
    True
    """
    if kind not in _PACKAGES:
        raise OptionError(f"There is no registry of kind {kind!r}. {nearest(kind, _PACKAGES)}")
    plugins = [name.strip() for name in os.environ.get("LOWLAND_PLUGINS", "").split(",") if name]
    for package in (*_PACKAGES[kind], *plugins):
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

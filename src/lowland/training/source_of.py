"""Bundles the source of classes, with everything of Lowland that they use, into one self-contained file."""

from __future__ import annotations

import ast
import builtins
import functools
import inspect
import sys
from types import ModuleType
from typing import Any

from lowland.errors import UnsupportedError

_PACKAGE = "lowland"


class _Bundle:
    """Definitions in dependency order, and the imports from other packages."""

    def __init__(self) -> None:
        self.imports: set[str] = set()
        self.texts: list[str] = []
        self.owners: dict[str, str] = {}
        self.done: set[tuple[str, int]] = set()
        self.read = functools.cache(_names)

    def add(self, module: ModuleType, name: str) -> None:
        """Add what a module calls by this name, and everything that it uses."""
        definitions, imported = self.read(module)
        if name in imported:
            source, original, line = imported[name]
            if source.split(".")[0] != _PACKAGE:
                self.imports.add(line)
            elif source != f"{_PACKAGE}.registry":
                if original != name:
                    raise UnsupportedError(f"{module.__name__} renames {original} as {name}, so it cannot be bundled.")
                self.add(sys.modules[source], original)
            return
        if name not in definitions or name == "register":
            return
        owner = self.owners.setdefault(name, module.__name__)
        if owner != module.__name__:
            raise UnsupportedError(
                f"Two things that an encoder uses are called {name}: in {owner} and {module.__name__}."
            )
        node = definitions[name]
        place = (module.__name__, node.lineno)
        if place in self.done:
            return
        self.done.add(place)
        needed = sorted(_used(node) - {name})
        # A class may name its subclasses in a method, and must still be defined before them.
        heirs = [used for used in needed if _inherits(definitions.get(used), name)]
        for used in needed:
            if used not in heirs:
                self.add(module, used)
        self.texts.append(_text(module, node))
        for used in heirs:
            self.add(module, used)


def source_of(*kinds: Any) -> str:
    """Code that defines these classes and functions without importing Lowland.

    Raises:
        UnsupportedError: if two things in different files share a name, or a source is not available.

    >>> from lowland.nn.encoders.perceptron import Perceptron
    >>> code = source_of(Perceptron)
    >>> "def mlp" in code, "from lowland" in code.split("class Perceptron")[0]
    (True, False)
    """
    bundle = _Bundle()
    for kind in kinds:
        bundle.add(sys.modules[kind.__module__], kind.__name__)
    return "\n".join(sorted(bundle.imports)) + "\n\n\n" + "\n\n\n".join(bundle.texts) + "\n"


def _names(module: ModuleType) -> tuple[dict[str, ast.stmt], dict[str, tuple[str, str, str]]]:
    """A module's statements by the names they define, and its imports: (module, name there, line) by name."""
    try:
        tree = ast.parse(inspect.getsource(module))
    except (OSError, TypeError) as error:
        raise UnsupportedError(f"The source of {module.__name__} is not available: {error}.") from error
    definitions: dict[str, ast.stmt] = {}
    imported: dict[str, tuple[str, str, str]] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            definitions[node.name] = node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = {part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)}
            definitions |= dict.fromkeys(names, node)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                single = ast.unparse(_single(node, alias))
                source = node.module or "" if isinstance(node, ast.ImportFrom) else alias.name
                bound = alias.asname or (alias.name if isinstance(node, ast.ImportFrom) else alias.name.split(".")[0])
                imported[bound] = (source, alias.name, single)
    return definitions, imported


def _single(node: ast.Import | ast.ImportFrom, alias: ast.alias) -> ast.stmt:
    if isinstance(node, ast.Import):
        return ast.Import(names=[alias])
    return ast.ImportFrom(module=node.module, names=[alias], level=node.level)


def _inherits(node: ast.AST | None, name: str) -> bool:
    return isinstance(node, ast.ClassDef) and any(isinstance(b, ast.Name) and b.id == name for b in node.bases)


def _used(node: ast.AST) -> set[str]:
    names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
    return {name for name in names if not hasattr(builtins, name)}


def _text(module: ModuleType, node: Any) -> str:
    """The source lines of a statement, without the decorator that registers it."""
    lines = inspect.getsource(module).split("\n")
    kept = [mark for mark in getattr(node, "decorator_list", []) if not ast.unparse(mark).startswith("register(")]
    first = min([mark.lineno for mark in kept], default=node.lineno)
    return "\n".join(lines[first - 1 : node.end_lineno])

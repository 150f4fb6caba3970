"""Runs the conformance tests on what a plugin registers: what is behind `lowland check`."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from lowland import registry
from lowland.errors import OptionError, nearest

SUITES = {"energy": ("energies", "structures"), "solver": ("solvers",), "shaping": ("shapings",), "world": ("worlds",)}
"""The files of tests, test_….py, of each kind of class."""
CHOSEN = "LOWLAND_CHECK"
"""The environment variable by which conftest.py hears what to test."""


def check(plugin: str, only: str | None = None) -> bool:
    """Whether all that a plugin registers passes the conformance tests; their report goes to standard output.

    Args:
        plugin: a module or package by name, or a file or folder by path, wherever it lies.
        only: the name of one class; None for all that the plugin registers.

    Raises:
        OptionError: if there is no such plugin, it cannot be imported, it registers nothing that can be tested, or a
            class has no `reference_case`; or if pytest is not installed.
    """
    if importlib.util.find_spec("pytest") is None:
        raise OptionError("The conformance tests need pytest: pip install pytest onnx onnxruntime onnxscript.")
    found = classes(plugin)
    if only is not None:
        if only not in found:
            raise OptionError(f"{plugin} registers no {only!r}. {nearest(only, found)}")
        found = {only: found[only]}
    path = next((path for path in (Path(plugin), Path(f"{plugin}.py")) if path.exists()), None)
    run = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "--tb=short", "-W", "error", "--import-mode=importlib"),
            *("-p", "no:cacheprovider", "-p", "no:xdist", "-o", "addopts="),
            *dict.fromkeys(f"test_{suite}.py" for kind in found.values() for suite in SUITES[kind]),
        ],
        cwd=Path(__file__).parent,
        env=os.environ | {"LOWLAND_PLUGINS": plugin if path is None else str(path.resolve()), CHOSEN: ",".join(found)},
        check=False,
    )
    return run.returncode == 0


def classes(plugin: str) -> dict[str, str]:
    """The classes that a plugin registers, by name, with the kind of each.

    Raises:
        OptionError: see `check`.
    """
    module = registry.locate(plugin)
    with registry.importing(plugin):
        registry.scan(module)
    found: dict[str, str] = {}
    for kind in SUITES:
        for name, cls in registry.registered(kind).items():
            if cls.__module__.split(".")[0] != module.split(".")[0]:
                continue
            if not hasattr(cls, "reference_case"):
                raise OptionError(
                    f"{name} has no classmethod `reference_case`, the example with a known answer that the tests use: "
                    "docs/add_energy.md, docs/add_solver.md and docs/concepts/shaping.md show one."
                )
            found[name] = kind
    if not found:
        raise OptionError(
            f'{plugin} registers no energy, solver, shaping or world: write @register("energy") above the class, with '
            "`from lowland.registry import register`."
        )
    return found

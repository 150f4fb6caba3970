"""Lowland: learn from observation, infer by relaxation, plan by descent.

Everything is an energy E(x, y, z), and everything we do with it is either to minimise it over some of its variables
or to shape it. Sub-packages load on first use, so that `import lowland` and the command line start at once.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

from lowland import registry
from lowland.version import __version__ as __version__

if TYPE_CHECKING:
    from lowland import (
        data,
        domains,
        energies,
        envs,
        estimators,
        evaluation,
        nn,
        planning,
        plots,
        reports,
        shaping,
        solvers,
        tensors,
        training,
        worlds,
    )
    from lowland.errors import LowlandError
    from lowland.inference import FreeEnergy, Solution, Status, free_energy, infer, solve
    from lowland.training.fit import fit
    from lowland.training.learner import Learner

_MODULES = (
    "data domains energies envs errors estimators evaluation nn planning plots registry reports shaping solvers "
    "tensors training worlds"
).split()
_NAMES = {
    "LowlandError": "lowland.errors",
    "FreeEnergy": "lowland.inference",
    "Solution": "lowland.inference",
    "Status": "lowland.inference",
    "free_energy": "lowland.inference",
    "infer": "lowland.inference",
    "solve": "lowland.inference",
    "fit": "lowland.training.fit",
    "Learner": "lowland.training.learner",
}
__all__ = [
    "FreeEnergy",
    "Learner",
    "LowlandError",
    "Solution",
    "Status",
    "data",
    "domains",
    "energies",
    "envs",
    "estimators",
    "evaluation",
    "fit",
    "free_energy",
    "infer",
    "nn",
    "planning",
    "plots",
    "reports",
    "shaping",
    "solve",
    "solvers",
    "tensors",
    "training",
    "worlds",
]


# Where the registry looks for classes of each kind; a class elsewhere is found once its module is imported.
registry.search("energy", "lowland.energies", "lowland.worlds", "lowland.planning")
registry.search("solver", "lowland.solvers")
registry.search("shaping", "lowland.shaping", "lowland.worlds", "lowland.planning")
registry.search("world", "lowland.worlds")
registry.search("encoder", "lowland.nn.encoders")

if "gymnasium" in sys.modules:
    importlib.import_module("lowland.envs")  # registers the environments


def __getattr__(name: str) -> Any:
    if name == "planning":  # whoever plans or drives expects to find the environments
        importlib.import_module("lowland.envs")
    if name in _MODULES:
        return importlib.import_module(f"lowland.{name}")
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'lowland' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES, *_NAMES})

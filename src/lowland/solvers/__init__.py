"""Solvers: ways to minimise an energy over its free variable, and adjoints: ways to differentiate the solution."""

from __future__ import annotations

from typing import Any

from lowland.registry import expose
from lowland.solvers.adjoint import Adjoint, Detach, Implicit, Unroll
from lowland.solvers.base import Info, Problem, Solver, SolverCase, Support, bind

__all__ = ["Adjoint", "Detach", "Implicit", "Info", "Problem", "Solver", "SolverCase", "Support", "Unroll", "bind"]
_registered, _names = expose(__name__)


def __getattr__(name: str) -> Any:
    return _registered(name)


def __dir__() -> list[str]:
    return sorted({*__all__, *_names()})

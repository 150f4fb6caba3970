"""Energies, one file per family. Everything registered in this folder is an attribute of the package."""

from __future__ import annotations

from typing import Any

from lowland.energies.base import Energy, ReferenceCase
from lowland.energies.compose import Sum
from lowland.energies.structure import Penalty, Quadratic, Structure
from lowland.registry import expose

__all__ = ["Energy", "Penalty", "Quadratic", "ReferenceCase", "Structure", "Sum"]
_registered, _names = expose(__name__)


def __getattr__(name: str) -> Any:
    return _registered(name)


def __dir__() -> list[str]:
    return sorted({*__all__, *_names()})

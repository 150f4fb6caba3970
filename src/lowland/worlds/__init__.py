"""World models: forward models, roll-outs, costs of driving, and the uncertainty of a model.

Shape letters: B samples, T time steps, A size of an action, Z of a latent, M masked units, K dropout masks. Every
registered world is an attribute of this package.
"""

from __future__ import annotations

from typing import Any

from lowland.registry import expose
from lowland.worlds.base import Cost, State, World, WorldCase
from lowland.worlds.driving_costs import DrivingCost, PixelDrivingCost
from lowland.worlds.forward import ForwardModel, windows
from lowland.worlds.forward_training import ForwardTraining, Posterior
from lowland.worlds.rollout import Rollout, Transition, rollout, transitions
from lowland.worlds.uncertainty import Ensemble, Spread, usual_spread, variance

__all__ = [
    "Cost",
    "DrivingCost",
    "Ensemble",
    "ForwardModel",
    "ForwardTraining",
    "PixelDrivingCost",
    "Posterior",
    "Rollout",
    "Spread",
    "State",
    "Transition",
    "World",
    "WorldCase",
    "rollout",
    "transitions",
    "usual_spread",
    "variance",
    "windows",
]
_registered, _names = expose(__name__)


def __getattr__(name: str) -> Any:
    return _registered(name)


def __dir__() -> list[str]:
    return sorted({*__all__, *_names()})

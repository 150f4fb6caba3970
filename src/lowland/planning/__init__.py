"""Planning as inference: the energy of a sequence of actions, and policies that are trained through a model."""

from __future__ import annotations

from lowland.planning.backprop_through_model import BackpropThroughModel
from lowland.planning.control import Controller, demonstrations
from lowland.planning.energy import PlanEnergy
from lowland.planning.hierarchy import Hierarchy
from lowland.planning.policies import Imitation, Policy
from lowland.planning.policy_files import load_policy, save_policy

__all__ = [
    "BackpropThroughModel",
    "Controller",
    "Hierarchy",
    "Imitation",
    "PlanEnergy",
    "Policy",
    "demonstrations",
    "load_policy",
    "save_policy",
]

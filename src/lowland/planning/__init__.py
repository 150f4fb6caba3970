"""Planning as inference: the energy of a sequence of actions, and policies that are trained through a model."""

from __future__ import annotations

from lowland.planning.control import Controller, demonstrations
from lowland.planning.energy import PlanEnergy
from lowland.planning.policies import Imitation, Policy
from lowland.planning.policy_files import load_policy, save_policy
from lowland.planning.through_the_model import ThroughTheModel

__all__ = [
    "Controller",
    "Imitation",
    "PlanEnergy",
    "Policy",
    "ThroughTheModel",
    "demonstrations",
    "load_policy",
    "save_policy",
]

"""Planning as inference: the energy of a sequence of actions, and policies that are trained through a model."""

from __future__ import annotations

from lowland.planning.energy import PlanEnergy

__all__ = ["PlanEnergy"]

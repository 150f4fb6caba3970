"""The rows of the table of `drive` (W8): how each policy is trained. A method is a row, not a class."""

from __future__ import annotations

from typing import NamedTuple

DETERMINISTIC, STOCHASTIC, DROPPED = "deterministic", "stochastic", "z-dropout"
WORLDS = (DETERMINISTIC, STOCHASTIC, DROPPED)
"""Forward models: without a latent, with one from a posterior, and with one that is dropped half of the time."""


class Method(NamedTuple):
    """One way to train a policy.

    Attributes:
        name: in the table.
        world: the forward model that it is trained through; "" for imitation, which needs none.
        uncertainty: whether the uncertainty cost is added, with the recipe's weight.
        gaussian: whether the policy draws its actions while it is trained.
        expert: whether the expert's actions regularise it, with the recipe's weight.
        distance, success: published, in metres and percent (Henaff, Canziani & LeCun 2019, on I-80).
    """

    name: str
    world: str = ""
    uncertainty: bool = False
    gaussian: bool = False
    expert: bool = False
    distance: float | None = None
    success: float | None = None


IMITATION = Method("imitation", distance=73.8, success=7.3)
VG = Method("VG", DETERMINISTIC, distance=11.9, success=0.0)
MPUR_DETERMINISTIC = Method("MPUR deterministic", DETERMINISTIC, uncertainty=True, distance=162.4, success=69.1)
MPUR = Method("MPUR z-dropout", DROPPED, uncertainty=True, distance=171.2, success=74.8)
METHODS = (
    IMITATION,
    VG,
    Method("SVG", STOCHASTIC, gaussian=True, distance=17.1, success=0.0),
    MPUR_DETERMINISTIC,
    Method("MPUR stochastic", STOCHASTIC, uncertainty=True, distance=166.8, success=71.8),
    MPUR,
    Method("MPER deterministic", DETERMINISTIC, expert=True, distance=157.4, success=63.7),
)
DRIVERS = {
    "human": ("human (replay of the log)", 209.4, 100.0),
    "no action": ("no action (baseline)", 87.3, 16.2),
    "constant speed": ("constant speed in the lane (baseline)", None, None),
    "IDM": ("IDM, a rule that keeps its lane (baseline)", None, None),
}
"""Those that learn nothing, as `lowland.envs.drivers` has them: their names in the table, and the published figures."""

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
        claim: of its published figures in row W8 (Henaff, Canziani & LeCun 2019, on I-80).
    """

    name: str
    world: str = ""
    uncertainty: bool = False
    gaussian: bool = False
    expert: bool = False
    claim: str = ""


IMITATION = Method("imitation", claim="one-step imitation")
VG = Method("VG", DETERMINISTIC, claim="value gradient")
MPUR_DETERMINISTIC = Method("MPUR deterministic", DETERMINISTIC, uncertainty=True, claim="MPUR deterministic")
MPUR = Method("MPUR z-dropout", DROPPED, uncertainty=True, claim="MPUR stochastic, latent dropout")
METHODS = (
    IMITATION,
    VG,
    Method("SVG", STOCHASTIC, gaussian=True, claim="stochastic value gradient"),
    MPUR_DETERMINISTIC,
    Method("MPUR stochastic", STOCHASTIC, uncertainty=True, claim="MPUR stochastic"),
    MPUR,
    Method("MPER deterministic", DETERMINISTIC, expert=True, claim="MPER deterministic"),
)
DRIVERS = {
    "human": ("human (replay of the log)", "human"),
    "no action": ("no action (baseline)", "no action"),
    "constant speed": ("constant speed in the lane (baseline)", ""),
    "IDM": ("IDM, a rule that keeps its lane (baseline)", ""),
}
"""Those that learn nothing, as `lowland.envs.drivers` has them: their names in the table, and claims in row W8."""
SUCCESS, DISTANCE = "% success", "m mean distance"
"""Units of the figures of row W8."""
CLAIMS = {method.name: method.claim for method in METHODS} | {name: claim for name, (_, claim) in DRIVERS.items()}
"""By the name of a method or driver."""

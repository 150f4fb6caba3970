"""Ways to train a policy through a learned model: VG, SVG, MPUR and MPER, and imitation beside them.

Source: Henaff, Canziani & LeCun, "Model-predictive policy learning with uncertainty regularization for driving in dense
traffic" (2019), section 3 (systems W4, W7, W8).

Shape letters: B samples, T steps, A size of an action.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from lowland.errors import OptionError
from lowland.planning.energy import Cost, PlanEnergy
from lowland.worlds.base import State, World
from lowland.worlds.uncertainty import Spread, prior_futures, usual_spread

DETERMINISTIC, STOCHASTIC, DROPPED = "deterministic", "stochastic", "z-dropout"
WORLDS = (DETERMINISTIC, STOCHASTIC, DROPPED)
"""Forward models: without a latent, with one from a posterior, and with one that is dropped half of the time."""


class PolicyMethod(NamedTuple):
    """One way to train a policy: `BackpropThroughModel` on the energy that `plan` makes.

    Attributes:
        world: the forward model that it is trained through; "" for imitation, which needs none.
        uncertainty: whether the uncertainty cost is added.
        gaussian: whether the policy draws its actions while it is trained.
        expert: whether the expert's actions regularise it.
        key: of its published figures in the system W8, up to the measure; "" for what is not in the paper.
    """

    world: str = ""
    uncertainty: bool = False
    gaussian: bool = False
    expert: bool = False
    key: str = ""

    def plan(
        self,
        world: World,
        cost: Cost,
        horizon: int,
        logged: tuple[State, Tensor] | None = None,
        uncertainty: float = 0.5,
        hinge: float | None = 0.5,
        masks: int = 10,
    ) -> PlanEnergy:
        """The energy of a roll-out of T steps, with one future and the paper's discount of 0.99.

        Args:
            world: the trained model.
            cost: C(next state, action) → (B,).
            horizon: T.
            logged: s[0] and the actions (B, T, A) of the log, where the uncertainty is as usual: it is z-scored there,
                with futures from the prior, as in training. Needed only with an uncertainty cost.
            uncertainty: λ, the weight of that cost.
            hinge: in standard deviations; None for no hinge. The released code has 0.5.
            masks: of dropout, or members of an ensemble.

        Raises:
            OptionError: for a method with an uncertainty cost without `logged`.

        >>> import torch
        >>> from lowland.planning.energy import square_cost
        >>> from lowland.worlds import VectorWorld
        >>> world, log = VectorWorld(3, 1, dropout=0.1), ({"observation": torch.randn(9, 3)}, torch.zeros(9, 4, 1))
        >>> plan = METHODS["MPUR deterministic"].plan(world, square_cost, horizon=4, logged=log)
        >>> plan.uncertainty, METHODS["VG"].plan(world, square_cost, horizon=4).uncertainty
        (0.5, 0.0)
        """
        weight = uncertainty if self.uncertainty else 0.0
        spread: Spread | None = None
        if weight:
            if logged is None:
                raise OptionError("A method with an uncertainty cost needs logged states, where it is as usual.")
            start, actions = logged
            z = prior_futures(world, len(actions), horizon, actions.device)
            spread = usual_spread(world, start, actions[:, :horizon], z, masks)
        return PlanEnergy(
            world, cost, horizon, weight, hinge if weight else None, spread, masks, futures=1, discount=0.99
        )  # fmt: skip


MPUR, PLAIN = "MPUR z-dropout", "VG z-dropout"
METHODS = {
    "imitation": PolicyMethod(key="one-step-imitation"),
    "VG": PolicyMethod(DETERMINISTIC, key="value-gradient"),
    "SVG": PolicyMethod(STOCHASTIC, gaussian=True, key="stochastic-value-gradient"),
    "MPUR deterministic": PolicyMethod(DETERMINISTIC, uncertainty=True, key="mpur-deterministic"),
    "MPUR stochastic": PolicyMethod(STOCHASTIC, uncertainty=True, key="mpur-stochastic"),
    MPUR: PolicyMethod(DROPPED, uncertainty=True, key="mpur-stochastic-latent-dropout"),
    "MPER deterministic": PolicyMethod(DETERMINISTIC, expert=True, key="mper-deterministic"),
    PLAIN: PolicyMethod(DROPPED),
}
"""By name. The last is not in the paper: MPUR z-dropout without its uncertainty cost, to show what that cost does."""
PAIRS = ((MPUR, PLAIN), ("MPUR deterministic", "VG"))
"""Policies through the same model, which differ by the uncertainty cost alone."""

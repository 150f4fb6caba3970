"""How each policy of `drive` is trained: a method is a row of a table, not a class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from lowland.errors import OptionError, nearest
from lowland.planning.backprop_through_model import BackpropThroughModel
from lowland.planning.energy import PlanEnergy
from lowland.planning.policies import Imitation, Policy
from lowland.recipes.base import Count, NotNegative
from lowland.recipes.driving.common import DETERMINISTIC, DROPPED, STOCHASTIC, DriveOptions, learned
from lowland.shaping.regularised.minimum_energy import MinimumEnergy
from lowland.systems import load_systems
from lowland.tensors import PerSampleRNG, take
from lowland.worlds.base import World
from lowland.worlds.uncertainty import Spread, usual_spread


class Method(NamedTuple):
    """One way to train a policy.

    Attributes:
        world: the forward model that it is trained through; "" for imitation, which needs none.
        uncertainty: whether the uncertainty cost is added, with the recipe's weight.
        gaussian: whether the policy draws its actions while it is trained.
        expert: whether the expert's actions regularise it, with the recipe's weight.
        key: of its published figures in W8 (Henaff, Canziani & LeCun 2019, on I-80), up to the measure.
    """

    world: str = ""
    uncertainty: bool = False
    gaussian: bool = False
    expert: bool = False
    key: str = ""


MPUR, PLAIN = "MPUR z-dropout", "VG z-dropout"
METHODS = {
    "imitation": Method(key="one-step-imitation"),
    "VG": Method(DETERMINISTIC, key="value-gradient"),
    "SVG": Method(STOCHASTIC, gaussian=True, key="stochastic-value-gradient"),
    "MPUR deterministic": Method(DETERMINISTIC, uncertainty=True, key="mpur-deterministic"),
    "MPUR stochastic": Method(STOCHASTIC, uncertainty=True, key="mpur-stochastic"),
    MPUR: Method(DROPPED, uncertainty=True, key="mpur-stochastic-latent-dropout"),
    "MPER deterministic": Method(DETERMINISTIC, expert=True, key="mper-deterministic"),
    PLAIN: Method(DROPPED),
}
"""By name. The last is not in the paper: MPUR z-dropout without its uncertainty cost, to show what that cost does."""
PAIRS = ((MPUR, PLAIN), ("MPUR deterministic", "VG"))
"""Policies through the same model, which differ by the uncertainty cost alone."""


@dataclass(frozen=True)
class PolicyOptions(DriveOptions):
    """Options of the policies."""

    methods: tuple[str, ...] = tuple(name for name, method in METHODS.items() if method.key)
    """Policies to train; no action, human replay, constant speed and IDM are always there."""
    imitation_steps: Count = 4000
    """Updates of imitation, of 128 states each."""
    policy_steps: Count = 2000
    """Updates of each policy that is trained through a model."""
    policy_batch: Count = 32
    """Roll-outs of such an update."""
    horizon: Count = 15
    """Actions, 0.2 s apart by default, that a policy is rolled out for while it is trained: 3 s, as in the paper."""
    uncertainty: NotNegative = 0.5
    """λ, the weight of the uncertainty cost, z-scored at each step of the roll-out."""
    hinge: float | None = 0.5
    """Uncertainty counts above this, in standard deviations; the released code of the paper has 0.5. None: all does."""
    masks: int = 10
    """Dropout masks by which the uncertainty is measured."""
    members: Count = 1
    """With 2 or more, the uncertainty is that of so many models in place of dropout masks."""
    model_windows: int = 0
    """Segments that the models learn from, evenly from all windows; policies start from all. 0: all for both."""
    expert: NotNegative = 1.0
    """μ, the weight of the expert's actions in MPER."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.masks < 2:
            raise OptionError(f"masks must be at least 2, since one has no variance, but it is {self.masks}.")
        if self.model_windows and not 2 <= self.model_windows <= self.windows:
            raise OptionError(
                f"model_windows must be 0 or from 2 to windows, {self.windows}, but it is {self.model_windows}."
            )
        for name in self.methods:
            if name not in METHODS:
                raise OptionError(f"There is no method called {name!r}. {nearest(name, METHODS)}")
        if self.members > 1 and self.models:
            raise OptionError("An ensemble is trained here: leave out models, or set members to 1.")

    @property
    def compared(self) -> int:
        """Members of an ensemble or dropout masks, of which the uncertainty is the variance."""
        return self.members if self.members > 1 else self.masks

    def cited(self, dt: float) -> dict[str, str]:
        """The key of the published success of each method and driver; those of other roll-outs have keys of their own.

        Empty with a log of the user's own, beside which no published figure stands.
        """
        if self.tracks:
            return {}
        known = {figure.key for figure in load_systems()["W8"].published}
        roll = round(self.horizon * dt / 0.1)  # the paper has steps of 0.1 s
        found = {"human": "human/pct-success", "no action": "no-action/pct-success"}
        for name, method in METHODS.items():
            usual = roll == 30 or not method.world
            key = f"{method.key}/pct-success" if usual else f"{method.key}-roll-out-of-{roll}"
            found |= {name: key} if key in known else {}
        return found

    def train_policy(
        self, name: str, policy: Policy, world: World | None, segments: Any, seen: Any, seed: int
    ) -> dict[str, Any]:
        """Train a policy by a method; the curves of its training.

        Args:
            name: of the method.
            policy: that is trained.
            world: the model that it is trained through, if any.
            segments: of the log, from which it starts.
            seen: the segments that the model has learned from, where its usual uncertainty is measured.
            seed: of the data order and of futures.
        """
        method, observation = METHODS[name], self.observation
        if world is None:
            # Imitation learns from every state of the segments, not only from where the others start their roll-outs.
            data, count = observation.transitions(segments)
            return learned(
                Imitation(policy), data, MinimumEnergy(), self.imitation_steps, seed,
                batch_size=min(128, count), lr=self.rate,
            )  # fmt: skip
        plan = self._plan(method, world, seen)
        shaping = BackpropThroughModel(policy, self.expert if method.expert else 0.0, seed=seed).to(self.device)
        return learned(
            plan, observation.starts(segments, self.horizon if method.expert else 0), shaping, self.policy_steps, seed,
            batch_size=self.policy_batch, lr=self.rate, clip=observation.clips[1],
        )  # fmt: skip

    def _plan(self, method: Method, world: World, seen: Any) -> PlanEnergy:
        weight = self.uncertainty if method.uncertainty else 0.0
        spread: Spread | None = None
        masks = self.compared if method.uncertainty else self.masks
        if weight:
            start, actions = self.observation.examples(seen, 512)
            # As in training, where each roll-out draws its future.
            noise = PerSampleRNG(0, torch.arange(len(actions), device=actions.device))
            z = world.prior(noise, self.horizon) if world.latents else None
            spread = usual_spread(world, start, actions[:, : self.horizon], z, masks)
        return PlanEnergy(
            world, self.observation.cost, self.horizon, weight, self.hinge if weight else None, spread, masks,
            futures=1, discount=0.99,
        ).to(self.device)  # fmt: skip


def spaced(segments: Any, most: int) -> Any:
    """At most so many segments, by name as of `Logs.segments`, evenly from all."""
    count, device = len(segments["actions"]), segments["actions"].device
    return segments if most >= count else take(segments, torch.linspace(0, count - 1, most).long().to(device))

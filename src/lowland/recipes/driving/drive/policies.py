"""How each policy of `drive` is trained, by the methods of `lowland.planning.policy_methods`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from lowland.errors import CheckpointError, OptionError, nearest
from lowland.planning.backprop_through_model import BackpropThroughModel
from lowland.planning.policies import Imitation, Policy
from lowland.planning.policy_methods import DROPPED, METHODS, STOCHASTIC
from lowland.recipes.base import Count, NotNegative
from lowland.recipes.driving.common import DriveOptions, Trained, learned
from lowland.shaping.regularised.minimum_energy import MinimumEnergy
from lowland.systems import load_systems
from lowland.training.observation import with_futures


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
    latent: Literal["prior", "posterior"] = "prior"
    """Where the z of a policy's training comes from: the `prior`, or the `posterior` of the logged future."""

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
        if self.latent == "posterior" and not any(map(self.informed, self.methods)):
            raise OptionError("latent is an option of policies that go through a model with a latent, such as MPUR.")
        if self.latent == "posterior" and (self.models or self.members > 1):
            raise OptionError("The posterior is that of one model trained here: leave out models and members.")

    def masks_of(self, name: str) -> int:
        """Members of an ensemble or dropout masks, of which the uncertainty is the variance, for a policy by name."""
        return self.members if self.members > 1 and METHODS[name].uncertainty else self.masks

    def informed(self, name: str) -> bool:
        """Whether the policy of that name is trained with the latents of the logged future."""
        return self.latent == "posterior" and METHODS[name].world in (STOCHASTIC, DROPPED)

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
            if self.informed(name):
                continue  # the published figures of methods are those of z from the prior
            usual = roll == 30 or not method.world
            key = f"{method.key}/pct-success" if usual else f"{method.key}-roll-out-of-{roll}"
            found |= {name: key} if key in known else {}
        return found

    def train_policy(
        self, name: str, policy: Policy, model: Trained | None, segments: Any, seen: Any, seed: int
    ) -> dict[str, Any]:
        """Train a policy by a method; the curves of its training.

        Args:
            name: of the method.
            policy: that is trained.
            model: that it is trained through, if any.
            segments: of the log, from which it starts.
            seen: the segments that the model has learned from, where its usual uncertainty is measured.
            seed: of the data order and of futures.
        """
        method, observation = METHODS[name], self.observation
        if model is None:
            # Imitation learns from every state of the segments, not only from where the others start their roll-outs.
            data, count = observation.transitions(segments)
            return learned(
                Imitation(policy), data, MinimumEnergy(), self.imitation_steps, seed,
                batch_size=min(128, count), lr=self.rate,
            )  # fmt: skip
        logged = observation.examples(seen, 512) if method.uncertainty else None
        options = (self.uncertainty, self.hinge, self.masks_of(name))
        plan = method.plan(model.world, observation.cost, self.horizon, logged, *options).to(self.device)
        shaping = BackpropThroughModel(policy, self.expert if method.expert else 0.0, seed=seed).to(self.device)
        starts = observation.starts(segments, self.horizon if method.expert else 0)
        if self.informed(name):
            if model.posterior is None:
                raise CheckpointError(
                    "The stored forward models of this run were kept without their posterior: start a new run."
                )
            starts = with_futures(observation.trajectories(segments, self.horizon), model.world, model.posterior, seed)
        return learned(
            plan, starts, shaping, self.policy_steps, seed,
            batch_size=self.policy_batch, lr=self.rate, clip=observation.clips[1],
        )  # fmt: skip

"""The options that recipes of driving share, so that none has an option which it ignores."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from lowland.errors import OptionError
from lowland.recipes.log_options import LogOptions
from lowland.systems import load_systems

SMALL: dict[str, Any] = {
    "windows": 120, "model_steps": 2, "model_horizon": 3, "batch": 8, "episodes": 6, "recordings": 1
}  # fmt: skip
"""What the smoke presets change of `DriveOptions`."""


@dataclass(frozen=True)
class DriveOptions(LogOptions):
    """Logs, forward models, and the test."""

    tracks: str = ""
    """A log of your own: CSV, NGSIM text, CommonRoad XML or SUMO floating-car data. None: simulated traffic."""
    recordings: int = 0
    """Simulated training recordings to learn from; 0 for all. A log of your own is one recording."""
    windows: int = 24000
    """Segments of the log to learn from."""
    model_steps: int = 1500
    """Updates of each forward model."""
    model_horizon: int = 15
    """Steps of 0.2 s that a model is unrolled for while it is trained."""
    model_rate: float = 0.01
    """Learning rate of the forward models; it falls linearly to zero."""
    hidden: int = 64
    """Units of the hidden layers of the forward models."""
    batch: int = 64
    """Segments of the log in an update of a model."""
    rate: float = 0.001
    """Learning rate of the policies."""
    cars: int = 10
    """Other cars that a state holds."""
    episodes: int = 500
    """Test episodes at most, evenly spaced in the test recordings."""

    files: ClassVar[tuple[str, ...]] = ("tracks",)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.need_log(self.tracks, "--tracks")
        least = (self.model_steps, self.model_horizon, self.hidden, self.batch, self.cars, self.episodes)
        if min(least) < 1 or self.windows < self.batch or self.recordings < 0:
            raise OptionError(
                "model_steps, model_horizon, hidden, batch, cars and episodes must be at least 1, recordings at least "
                "0, and windows at least the batch."
            )

    def published(self, claim: str, unit: str) -> float | None:
        """The figure of row W8 to print beside what is measured; None beside a log of the user's own."""
        if not claim or self.tracks:
            return None
        (found,) = [f for f in load_systems()["W8"].published if f.claim == claim and f.unit.startswith(unit)]
        return found.figure if found.checked else None


@dataclass(frozen=True)
class PolicyOptions(DriveOptions):
    """Policies that are trained through a model."""

    seeds: int = 1
    """Repetitions, each with its own models and policies."""
    policy_steps: int = 2000
    """Updates of each policy that is trained through a model."""
    policy_batch: int = 32
    """Roll-outs of such an update."""
    uncertainty: float = 0.5
    """λ, the weight of the uncertainty cost, z-scored at each step of the roll-out."""
    hinge: float | None = 0.5
    """Uncertainty counts above this, in standard deviations; the released code of the paper has 0.5. None: all does."""
    masks: int = 10
    """Dropout masks by which the uncertainty is measured."""
    kl: float = 0.05
    """Weight β of the KL term."""

    def __post_init__(self) -> None:
        super().__post_init__()
        least = (self.seeds, self.policy_steps, self.policy_batch)
        if min(least) < 1 or self.masks < 2 or not self.uncertainty >= 0 or not self.kl >= 0:
            raise OptionError(
                "seeds, policy_steps and policy_batch must be at least 1, masks at least 2, and uncertainty and kl not "
                "negative."
            )


def model_folder(models: str) -> str:
    """The whole path of a folder of trained models; the empty string and `shipped` are as they are.

    Raises:
        OptionError: if there is no such folder.
    """
    if models in ("", "shipped"):
        return models
    if not Path(models).is_dir():
        raise OptionError(f"There is no folder {models} with models: name the checkpoints of an earlier run.")
    return os.path.realpath(models)

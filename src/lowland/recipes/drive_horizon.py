"""How far ahead a policy must look while it is trained (row W8): success by the length of the roll-out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from lowland.errors import OptionError, nearest
from lowland.plots import curves
from lowland.recipes.base import recipe
from lowland.recipes.drive import as_drive
from lowland.recipes.drive_methods import METHODS, MPUR, SUCCESS
from lowland.recipes.drive_options import SMALL, PolicyOptions
from lowland.recipes.drive_variants import Variant, compare, shares
from lowland.reports.run import Run

_PUBLISHED = (10, 20, 30, 40)
"""Roll-outs of MPUR with z-dropout, in steps of 0.1 s, of which row W8 has figures that steps of 0.2 s can meet."""


@recipe(
    "drive-horizon",
    shows="How far must a policy look ahead, while it is trained through a model, to learn where its actions lead? "
    "Roll-outs of several lengths, and one test.",
    rows=("W8",),
    minutes=15,
    title="How far ahead to look",
)
@dataclass(frozen=True)
class DriveHorizonRecipe(PolicyOptions):
    """The recipe `drive` for one method, with roll-outs of several lengths."""

    method: str = MPUR.name
    """One of the methods of `drive` that go through a model."""
    horizons: tuple[int, ...] = (1, 2, 5, 10, 15)
    """Lengths of the roll-out, in steps of 0.2 s."""
    expert: float = 1.0
    """μ, the weight of the expert's actions, if the method is MPER."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": SMALL | {"policy_steps": 2, "masks": 2, "horizons": (1, 3)}
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        known = [method.name for method in METHODS if method.world]
        if self.method not in known:
            raise OptionError(f"No method through a model is called {self.method!r}. {nearest(self.method, known)}")
        if not self.horizons or min(self.horizons) < 1 or len(set(self.horizons)) < len(self.horizons):
            raise OptionError("horizons must be whole numbers of at least 1 step, each of them once.")

    def run(self, run: Run) -> None:
        method = next(method for method in METHODS if method.name == self.method)
        variants = [Variant(f"horizon {steps}", method, as_drive(self, horizon=steps)) for steps in self.horizons]
        found, data = compare(run, self, variants)
        rolled = _PUBLISHED if method is MPUR else ()
        told = {n // 2: self.published(f"{method.claim}, roll-out of {n}", SUCCESS) for n in rolled}
        means = []
        for horizon, variant in zip(self.horizons, variants, strict=True):
            mean, sd = shares(found, variant.name)
            means.append(mean)
            run.result(
                id="W8", claim=f"success, roll-out of {0.2 * horizon:.1f} s", method=method.name, measured=mean, sd=sd,
                published=told.get(horizon), seeds=self.seeds, data=data,
            )  # fmt: skip
        lines: dict[str, Any] = {method.name: ([0.2 * horizon for horizon in self.horizons], means)}
        known = {n: figure for n, figure in told.items() if figure is not None and n <= max(self.horizons)}
        if known:
            lines["published, I-80"] = ([0.2 * horizon for horizon in known], list(known.values()))
        run.section("Success by the length of the roll-out")
        seeds = "1 seed" if self.seeds == 1 else f"the mean of {self.seeds} seeds"
        run.figure(
            "horizon",
            lambda: curves(lines, xlabel="length of the roll-out in training, s", ylabel="success, %"),
            f"Held-out traffic, {seeds}. {self.policy_steps} updates each.",
        )

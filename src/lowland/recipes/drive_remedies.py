"""Does the uncertainty cost pay, and when (rows W7, W8)? What could make it pay, tried one by one in the same test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from lowland.errors import OptionError, nearest
from lowland.recipes.base import recipe
from lowland.recipes.drive import as_drive
from lowland.recipes.drive_methods import DROPPED, MPUR, MPUR_DETERMINISTIC, SUCCESS, VG, Method
from lowland.recipes.drive_options import SMALL, PolicyOptions
from lowland.recipes.drive_page import cost_mean
from lowland.recipes.drive_remedies_page import write_page
from lowland.recipes.drive_variants import Variant, compare, shares
from lowland.reports.run import Run

PLAIN = Method("no uncertainty cost", DROPPED)
"""The model of MPUR without its uncertainty cost, so that what each of them does is told apart."""
PAIRS = (
    ("MPUR", "no uncertainty cost"), ("MPUR, deterministic model", "VG"), ("MPUR, ensemble", "no uncertainty cost"),
    ("MPUR, little data", "no uncertainty cost, little data"),
    ("MPUR, ensemble, little data", "no uncertainty cost, little data"),
)  # fmt: skip
"""Policies through the same model, whose difference is what the uncertainty cost is worth."""
APART = (("MPUR", "VG"), ("MPUR, little data", "VG, little data"))
"""Policies that differ in the model, too, as the table of the paper has them."""
NAMES = (
    "VG", "no uncertainty cost", "MPUR", "MPUR, deterministic model", "MPUR, no hinge", "MPUR, smaller weight",
    "MPUR, larger weight", "MPUR, ensemble", "MPUR, smaller model", "MPUR, larger model", "MPUR, shorter roll-out",
    "MPUR, longer roll-out",
    "VG, little data", "no uncertainty cost, little data", "MPUR, little data", "MPUR, ensemble, little data",
)  # fmt: skip


@recipe(
    "drive-remedies",
    shows="Does it pay to fear what the model does not know? Policies trained through a model with and without the "
    "uncertainty cost, with other weights, without the hinge, with an ensemble, other models and roll-outs, and little "
    "data.",
    rows=("W7", "W8"),
    minutes=150,
    title="Does the uncertainty cost pay?",
)
@dataclass(frozen=True)
class DriveRemediesRecipe(PolicyOptions):
    """MPUR of the recipe `drive` against VG, and against itself with one thing changed.

    All drive in the validation simulation, so that who chooses a setting by this page has not seen the test.
    """

    variants: tuple[str, ...] = NAMES
    """Policies to train."""
    horizon: int = 15
    """Steps of 0.2 s that a policy is rolled out for; the shorter roll-out has half, the longer one five thirds."""
    members: int = 5
    """Models of the ensemble, each with its own first weights."""
    few: int = 300
    """Segments of the log from which the models learn where data are few. Policies start from all logged states."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": SMALL
        | {
            "policy_steps": 1, "model_steps": 1, "masks": 2, "horizon": 3, "members": 2, "few": 16, "episodes": 4,
            "variants": ("VG", "no uncertainty cost", "MPUR", "MPUR, no hinge", "MPUR, ensemble, little data"),
        }
    }  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.horizon, self.few) < 2 or self.members < 2 or not self.uncertainty > 0:
            raise OptionError("horizon, few and members must be at least 2, and uncertainty positive.")
        if not self.variants:
            raise OptionError(f"There is nothing to train: choose variants from {'; '.join(NAMES)}.")
        for name in self.variants:
            if name not in NAMES:
                raise OptionError(f"There is no variant called {name!r}. {nearest(name, NAMES)}")

    def run(self, run: Run) -> None:
        chosen = {name: variant for name, variant in self.every().items() if name in self.variants}
        found, data = compare(run, self, [variant for variant, _ in chosen.values()], self.horizon, "held")
        told = {"VG": VG.claim, "MPUR": MPUR.claim, "MPUR, deterministic model": MPUR_DETERMINISTIC.claim}
        for name in chosen:
            mean, sd = shares(found, name)
            run.result(
                id="W8", claim="success", method=name, measured=mean, sd=sd, seeds=self.seeds, data=data,
                published=self.published(told.get(name, ""), SUCCESS),
            )  # fmt: skip
        claims = {
            "told": "promised cost", "true": "true cost", "unsure": "uncertainty along imagined states, deviations",
            "unsure_true": "uncertainty along true states, deviations",
        }  # fmt: skip
        for key, claim in claims.items():
            for name in chosen:
                value = cost_mean(found[name], key)
                run.result(id="W7", claim=claim, method=name, measured=value, seeds=self.seeds, data=data)
        changes = {name: change for name, (_, change) in chosen.items()}
        pairs, apart = ([pair for pair in several if set(pair) <= set(chosen)] for several in (PAIRS, APART))
        run.part(write_page, found, changes, pairs, apart, self.policy_steps)

    def every(self) -> dict[str, tuple[Variant, str]]:
        """All variants by name, each with what is changed, in words."""
        weight, units, steps = self.uncertainty, self.hidden, self.horizon
        few: dict[str, Any] = {"windows": self.few, "batch": min(self.batch, self.few)}
        several = {"masks": self.members}
        shorter, longer = max(1, round(steps / 2)), round(5 * steps / 3)
        changed: dict[str, tuple[Method, dict[str, Any], int, str]] = {
            "VG": (VG, {}, 1, "deterministic model, no uncertainty cost"),
            "no uncertainty cost": (PLAIN, {}, 1, "model with z-dropout, λ = 0"),
            "MPUR": (MPUR, {}, 1, f"as in drive: λ = {weight:g}, hinge {self.hinge}, {self.masks} dropout masks"),
            "MPUR, deterministic model": (MPUR_DETERMINISTIC, {}, 1, "as MPUR, through the model of VG"),
            "MPUR, no hinge": (MPUR, {"hinge": None}, 1, "all uncertainty counts"),
            "MPUR, smaller weight": (MPUR, {"uncertainty": weight / 5}, 1, f"λ = {weight / 5:g}"),
            "MPUR, larger weight": (MPUR, {"uncertainty": 4 * weight}, 1, f"λ = {4 * weight:g}"),
            "MPUR, ensemble": (MPUR, several, self.members, f"{self.members} models in place of dropout masks"),
            "MPUR, smaller model": (MPUR, {"hidden": max(2, units // 2)}, 1, f"{max(2, units // 2)} hidden units"),
            "MPUR, larger model": (MPUR, {"hidden": 2 * units}, 1, f"{2 * units} hidden units"),
            "MPUR, shorter roll-out": (MPUR, {"horizon": shorter}, 1, f"{0.2 * shorter:.1f} s"),
            "MPUR, longer roll-out": (MPUR, {"horizon": longer}, 1, f"{0.2 * longer:.1f} s"),
            "VG, little data": (VG, few, 1, f"model of {self.few} pieces"),
            "no uncertainty cost, little data": (PLAIN, few, 1, f"model of {self.few} pieces, λ = 0"),
            "MPUR, little data": (MPUR, few, 1, f"model of {self.few} pieces"),
            "MPUR, ensemble, little data": (
                MPUR, few | several, self.members, f"{self.members} models of {self.few} pieces"
            ),
        }  # fmt: skip
        made = {}
        for name, (method, options, members, words) in changed.items():
            made[name] = Variant(name, method, as_drive(self, **{"horizon": steps} | options), members), words
        return made

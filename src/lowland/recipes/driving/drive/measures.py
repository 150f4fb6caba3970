"""The numbers that `drive` takes from driven episodes and from roll-outs of models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from lowland.envs.episodes import Episodes, drive
from lowland.envs.replay import Policy
from lowland.evaluation.driving import driving_measures


def run_test(episodes: Sequence[Sequence[Episodes]], driver: Policy) -> dict[str, Any]:
    """One row an episode, in held-out traffic and in real recordings."""
    return {part: drive(several, driver) for part, several in zip(("test", "real"), episodes, strict=True)}


def measures(outcome: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of one seed: those of its episodes, and what the model predicted."""
    found = driving_measures(outcome["test"])
    if outcome["real"]:
        real = driving_measures(outcome["real"])
        found |= {f"real_{name}": real[name] for name in ("success", "distance")}
    for name in ("predicted", "realised", "uncertainty", "realised_uncertainty", "promised", "absorbing"):
        found |= {name: outcome[name]} if name in outcome else {}
    if "predicted" in outcome:
        found["gap"] = outcome["realised"] - outcome["predicted"]
    if outcome.get("absorbing"):
        found["kept"] = outcome["promised"] / outcome["absorbing"]
    for name in ("promised", "absorbing"):
        found |= {f"{name}-{step}": value for step, value in enumerate(outcome.get(f"{name}_by_step", ()))}
    return found


def error_rows(errors: Mapping[str, Mapping[str, Tensor]], baseline: str) -> dict[str, dict[str, float]]:
    """The error of each model and of the baseline at each step of a roll-out."""
    rows = {f"model, {kind}": table["model"] for kind, table in errors.items()}
    if errors:
        rows[baseline] = next(iter(errors.values()))[baseline]
    return {name: {f"error-{t}": float(v) for t, v in enumerate(values)} for name, values in rows.items()}

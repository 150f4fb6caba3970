"""The numbers that `drive` takes from driven episodes and from roll-outs of models."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from lowland.envs.episodes import Episodes, drive
from lowland.envs.replay import Policy


def run_test(episodes: Sequence[Sequence[Episodes]], driver: Policy) -> dict[str, Any]:
    """One row an episode, in held-out traffic and in real recordings."""
    return {part: drive(several, driver) for part, several in zip(("test", "real"), episodes, strict=True)}


def measures(outcome: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of one seed: success and ways to fail in percent, metres, and what the model predicted."""
    found: dict[str, float] = {}
    for part, prefix in (("test", ""), ("real", "real_")):
        if rows := outcome[part]:
            found[f"{prefix}success"] = statistics.fmean(100.0 * row["success"] for row in rows)
            found[f"{prefix}distance"] = statistics.fmean(row["distance"] for row in rows)
    for reason in ("collision", "off road"):
        found[reason] = statistics.fmean(100.0 * (row["reason"] == reason) for row in outcome["test"])
    for name in ("predicted", "realised", "uncertainty", "realised_uncertainty"):
        found |= {name: outcome[name]} if name in outcome else {}
    if "predicted" in outcome:
        found["gap"] = outcome["realised"] - outcome["predicted"]
    return found


def error_rows(errors: Mapping[str, Mapping[str, Tensor]], baseline: str) -> dict[str, dict[str, float]]:
    """The error of each model and of the baseline at each step of a roll-out."""
    rows = {f"model, {kind}": table["model"] for kind, table in errors.items()}
    if errors:
        rows[baseline] = next(iter(errors.values()))[baseline]
    return {name: {f"error-{t}": float(v) for t, v in enumerate(values)} for name, values in rows.items()}

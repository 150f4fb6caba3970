"""The policy of `plant` as a file, with what was measured of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from lowland.data.gym_log import GymLog
from lowland.planning.policies import Policy
from lowland.training.policy_export import write_policy


def hand_over(
    policy: Policy, folder: Path, log: GymLog, steps: int, numbers: Mapping[str, Any], facts: Mapping[str, str]
) -> Path:
    """Write a policy with its certificate; returns the path of the weights.

    Args:
        policy: looks through `VectorEyes`.
        folder: of its three files.
        log: that it was learned from.
        steps: T of all returns in the certificate.
        numbers: "promised", "held out", "sensitivity", and "realised" if the plant was run.
        facts: lines of the card besides.
    """
    eyes: Any = policy.inputs
    early = [float(path["reward"][1 : steps + 1].sum()) for path in log.paths]
    far = max(float(eyes.distance({"observation": path["observation"]}).max()) for path in log.paths)
    told = dict(numbers) | {"behaviour": sum(early) / len(early), "distance": far}
    policy.certificate = {name: float(value) for name, value in told.items() if torch.tensor(value).isfinite()}
    about = {"learned from": f"{log.steps:,} steps of {log.name} in {len(log.paths):,} episodes"}
    return write_policy(policy, folder, about | {"returns": f"sums of the rewards of {steps} steps"} | dict(facts))

"""Pretraining on the samples of a folder, following a `Plan`: initial weights, training, and the time of a step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from torch import Tensor

from lowland.data.folder import Folder
from lowland.data.prepare import Prepare
from lowland.energies.joint_embedding import JointEmbedding
from lowland.nn.standardised import Standardised
from lowland.shaping.base import Batch
from lowland.shaping.joint import JointShaping
from lowland.training.fit import FitResult, fit
from lowland.training.pace import pace
from lowland.training.pretraining import AUTO, Plan, build
from lowland.training.samples import Lazy
from lowland.training.schedules import warm_cosine

_MEASURED, _NUMBERS = 4096, 2**25


@dataclass(frozen=True)
class FolderTraining:
    """Joint-embedding training on the samples of a folder.

    Args:
        plan: method, encoder, batch and steps.
        data: the folder.
        rows: the samples of the folder to train on.
        encoder_options, method_options, views: see `build`.
        rate: peak learning rate of AdamW, which follows `warm_cosine`.
        seed: of initial weights, views and the order of samples.
        device: where to train.
    """

    plan: Plan
    data: Folder = field(repr=False)
    rows: Tensor = field(repr=False)
    encoder_options: Mapping[str, Any] = field(default_factory=dict)
    method_options: Mapping[str, Any] = field(default_factory=dict)
    views: str = AUTO
    rate: float = 1e-3
    seed: int = 0
    device: str = "cpu"

    def build(self) -> tuple[JointEmbedding, JointShaping, Standardised]:
        """The energy, its shaping, and the encoder, which has measured the samples' mean and standard deviation."""
        energy, shaping, encoder = build(
            self.plan, self.data.shape, self.encoder_options, self.method_options, self.views, self.seed
        )
        # Large samples hold more numbers each, so fewer of them give the same accuracy.
        count = min(_MEASURED, _NUMBERS // math.prod(self.data.shape))
        encoder.measure(self.data.take(self.rows[: max(1, count)]))
        return energy.to(self.device), shaping.to(self.device), encoder

    def fit(self, energy: JointEmbedding, shaping: JointShaping, **more: Any) -> FitResult:
        """Train what `build` made; other arguments, such as `max_steps`, go to `fit`."""
        samples = Lazy(len(self.rows), lambda rows: Batch(self.data.take(self.rows[rows])))
        return fit(
            energy, samples, shaping, batch_size=self.plan.batch, lr=self.rate, optimiser="adamw", weight_decay=1e-4,
            schedule=partial(warm_cosine, self.plan.steps), validation=0.0, seed=self.seed, progress=False, **more,
        )  # fmt: skip

    def card(self, **more: Any) -> dict[str, Any]:
        """What `model_card` says of this training; `more` adds to it, such as "data" and "measured"."""
        data, plan = self.data, self.plan
        return {
            "kind": data.kind, "levels": data.levels, "prepared": Prepare(data.kind, data.shape, data.levels).text,
            "samples": len(self.rows), "skipped": len(data.skipped), "method": plan.method,
            "method_options": self.method_options, "steps": plan.steps, "batch": plan.batch, "rate": self.rate,
            "views": self.views, "seed": self.seed, **more,
        }  # fmt: skip

    def seconds(self) -> float:
        """Wall time of a step in seconds, measured on an energy of its own; see `pace`."""
        energy, shaping, _ = self.build()
        return pace(partial(self.fit, energy, shaping))

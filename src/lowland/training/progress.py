"""The progress bar of `fit`."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import TQDMProgressBar


class Bar(TQDMProgressBar):
    """Lightning's bar, over blocks of steps, with the step and the last losses that the recorder has read."""

    def get_metrics(self, trainer: pl.Trainer, pl_module: Any) -> dict[str, Any]:
        recorder = getattr(pl_module, "recorder", None)
        latest = {} if recorder is None else recorder.latest
        return {"step": pl_module.step} | {name: round(value, 4) for name, value in latest.items()}

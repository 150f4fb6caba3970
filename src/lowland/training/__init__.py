"""Training: the loop `fit`, `Learner` for a Lightning Trainer, checkpoints without pickle, exact resume, export."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lowland.training.checkpoints import SafetensorsIO
    from lowland.training.export import (
        export_onnx,
        export_program,
        export_safetensors,
        load_energy,
        load_world,
        save_energy,
        save_world,
    )
    from lowland.training.fit import FitResult, fit
    from lowland.training.learner import Learner

_NAMES = {
    "FitResult": "fit",
    "Learner": "learner",
    "SafetensorsIO": "checkpoints",
    "export_onnx": "export",
    "export_program": "export",
    "export_safetensors": "export",
    "fit": "fit",
    "load_energy": "export",
    "load_world": "export",
    "save_energy": "export",
    "save_world": "export",
}
__all__ = [
    "FitResult",
    "Learner",
    "SafetensorsIO",
    "export_onnx",
    "export_program",
    "export_safetensors",
    "fit",
    "load_energy",
    "load_world",
    "save_energy",
    "save_world",
]


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(f"lowland.training.{_NAMES[name]}"), name)
    raise AttributeError(f"module 'lowland.training' has no attribute {name!r}")

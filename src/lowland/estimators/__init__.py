"""The scikit-learn face: arrays in, arrays out."""

from __future__ import annotations

from lowland.estimators.detector import EnergyDetector
from lowland.estimators.sparse_coder import SparseCoder

__all__ = ["EnergyDetector", "SparseCoder"]

"""Building blocks of networks, initialised from a generator of their own."""

from __future__ import annotations

from lowland.nn.layers import linear, mlp

__all__ = ["linear", "mlp"]

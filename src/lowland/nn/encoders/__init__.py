"""Encoders of joint embedding: a sample to a vector, a file each. Everything registered here is an attribute of it.

An encoder is an `nn.Module` that takes (B, *shape) to (B, size), and has both as the attributes `shape` and `size`. Its
constructor takes `shape` and plain numbers alone, and draws its first weights from a generator.
"""

from __future__ import annotations

from typing import Any

from lowland.registry import expose

_registered, _names = expose(__name__)


def __getattr__(name: str) -> Any:
    return _registered(name)


def __dir__() -> list[str]:
    return sorted(_names())

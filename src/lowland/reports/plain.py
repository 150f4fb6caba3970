"""Values as JSON can hold them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def plain(value: Any) -> Any:
    """Numbers of NumPy and torch as Python's, tensors and tuples as lists; NaN as None and an infinity as text.

    >>> plain({"a": (1, float("nan")), "b": float("inf")})
    {'a': [1, None], 'b': 'inf'}
    """
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(part) for part in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None if value != value else str(value)
    return value

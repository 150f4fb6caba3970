"""What recipes of self-supervised learning compare their encoders with, by the names that their tables give it."""

from __future__ import annotations

PIXELS, RANDOM, SUPERVISED = "raw pixels", "random encoder", "supervised"
BASELINES = (PIXELS, RANDOM, SUPERVISED)
"""The image itself, the same network untrained, and the same network taught by all labels."""


def titled(name: str) -> str:
    """The name as tables and results give it.

    >>> titled("random encoder"), titled("SimCLR")
    ('random encoder (baseline)', 'SimCLR')
    """
    return f"{name} (baseline)" if name in BASELINES else name

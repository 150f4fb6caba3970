"""Environments for Gymnasium: traffic that is replayed from a log."""

from __future__ import annotations

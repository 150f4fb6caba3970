"""Runs and their pages: figures, tables and films in one HTML file that asks nothing of the network."""

from __future__ import annotations

from lowland.reports.page import render
from lowland.reports.run import Run

__all__ = ["Run", "render"]

"""Formulas as trees, as tokens and as numbers, and problems whose solutions are formulas (system M10)."""

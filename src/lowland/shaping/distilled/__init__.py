"""Distilled shapings: a network learns what a slow copy of itself, or itself without gradients, tells (row J7)."""

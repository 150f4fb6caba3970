"""Predictive shapings: predict hidden parts of a sample, or of its representation, from the rest (systems J5, J7)."""

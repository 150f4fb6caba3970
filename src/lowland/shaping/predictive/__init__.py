"""Predictive shapings: hidden parts of a sample or of its representation, from what is seen (rows J5, J7)."""

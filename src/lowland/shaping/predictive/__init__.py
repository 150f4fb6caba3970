"""Predictive shapings: hidden parts of a sample, or of its representation, from the parts that are seen (rows J5, J7)."""

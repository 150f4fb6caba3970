"""Sparse codes, dictionaries, and encoders that predict them."""

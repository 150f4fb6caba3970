"""Sequences of words and symbols: lines of logs."""

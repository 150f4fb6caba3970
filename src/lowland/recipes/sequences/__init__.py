"""Sequences: what follows from what came before, memory, and answers that need several looks."""

"""Sequences: what follows from what came before, lines of text, memory, and answers that need several looks."""

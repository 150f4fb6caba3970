"""Contrastive shapings: push the energy down on data and up elsewhere, one per file (systems C1, C2, C3, L1, L2)."""

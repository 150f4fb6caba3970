"""Contrastive shapings: push the energy down on data and up elsewhere, a file each (rows C1, C2, C3, L1, L2)."""

"""Shapings of energies whose low-energy volume is bounded by construction or by a regulariser (systems A1, A2, A3)."""

"""Score matching: a small gradient and a large curvature of the energy at the data (system A4)."""

"""Training by several workers: what it costs that they must talk."""

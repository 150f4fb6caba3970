"""Energies with and without latent variables, and the seven ways to shape them."""

"""Inference on the ellipse: the latent angle, the free energy, and how the minimum softens as beta falls."""

import math

import torch

import lowland as ll

ellipse = ll.energies.Ellipse(radii=(2.0, 1.0))
points = torch.tensor([[3.0, 0.0], [0.0, 2.5], [1.5, 1.0]])

found = ll.infer(ellipse, y=points, over="z")
closest = ellipse.reconstruct(None, None, found.value)
for point, angle, nearest, energy in zip(points, found.value, closest, found.energy, strict=True):
    print(
        f"y = ({point[0]:.1f}, {point[1]:.1f})   angle {angle.item():.2f}   "
        f"closest ({nearest[0]:.2f}, {nearest[1]:.2f})   F = {energy.item():.3f}"
    )

for beta in (math.inf, 10.0, 1.0, 0.1, 0.0):
    value, means, _ = ll.free_energy(ellipse, points, beta=beta, samples=2048)
    print(f"beta {beta:4}: F = {[round(v, 2) for v in value.tolist()]} by {means}")

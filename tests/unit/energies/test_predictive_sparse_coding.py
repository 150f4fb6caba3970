"""Predictive sparse coding: inference starts at the encoder, and training brings the two together."""

from __future__ import annotations

import torch

import lowland as ll


def _trained(steps: int) -> tuple[ll.energies.PredictiveSparseCoding, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    energy = ll.energies.PredictiveSparseCoding(8, 12, 0.1, generator=generator)
    y = torch.nn.functional.normalize(torch.randn(256, 8, generator=generator), dim=1)
    if steps:
        shaping = ll.shaping.MinimumEnergy(ll.solvers.FISTA(max_steps=100))
        ll.fit(energy, y, shaping, max_steps=steps, lr=0.01, validation=0.0, progress=False)
    return energy, y


def test_the_guess_is_the_encoder() -> None:
    energy, y = _trained(0)
    found = ll.infer(energy, y=y, over="z", solver=ll.solvers.Amortised()).value
    assert torch.equal(found, energy.code(y))


def test_training_brings_inference_and_encoder_together() -> None:
    """The distance between the code that is inferred and the one that is predicted, relative to the code."""
    distances = []
    for steps in (0, 150):
        energy, y = _trained(steps)
        z = ll.infer(energy, y=y, over="z", solver=ll.solvers.FISTA(max_steps=500)).value
        distances.append(float((z - energy.code(y)).detach().norm() / z.norm()))
    assert distances[1] < 0.5 * distances[0]


def test_the_exact_coder_takes_it() -> None:
    energy, y = _trained(0)
    exact = ll.infer(energy, y=y, over="z", solver=ll.solvers.ActiveSet(1e-6))
    near = ll.infer(energy, y=y, over="z", solver=ll.solvers.FISTA(max_steps=2000, tol=1e-6))
    # Both energies are within 1e-6 of the least, which is below 1.
    torch.testing.assert_close(exact.energy, near.energy, rtol=0, atol=4e-6)

"""What units of a recurrent encoder do: the steps one by one, and an encoder that is as it was."""

from __future__ import annotations

import pytest
import torch

from lowland.energies import DiscriminativeSparseAutoencoder
from lowland.evaluation.unit_roles import unit_roles


def test_each_step_is_that_of_a_shorter_encoder() -> None:
    generator = torch.Generator().manual_seed(0)
    x, labels = torch.randn(20, 6, generator=generator), torch.arange(20) % 3
    energy = DiscriminativeSparseAutoencoder(6, 3, n_atoms=5, iterations=4)
    roles = unit_roles(energy, x, labels)
    assert energy.iterations == 4
    for count, (error, active) in enumerate(zip(roles.steps, roles.active, strict=True), 1):
        energy.iterations = count
        z = energy.code(x)
        assert error == pytest.approx(float((energy.scores(z).argmax(dim=1) != labels).double().mean()))
        assert active == pytest.approx(float((z > 0).double().mean()))
    torch.testing.assert_close(roles.used.mean().item(), roles.active[-1])


def test_a_unit_that_others_drive_has_a_small_cosine() -> None:
    energy = DiscriminativeSparseAutoencoder(4, 2, n_atoms=3)
    energy.encoder.data[1] = energy.encoder.data[1].roll(1)
    cosine = unit_roles(energy, torch.ones(2, 4), torch.tensor([0, 1])).cosine
    assert cosine[1] < 0.99 < cosine[[0, 2]].min()

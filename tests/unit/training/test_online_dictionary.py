"""Online dictionary learning from the atoms that a dictionary has."""

from __future__ import annotations

import torch

import lowland as ll
from lowland.energies.sparse_coding import SparseCoding
from lowland.training.online_dictionary import learn_online


def test_training_begins_with_the_atoms_that_are_there() -> None:
    """From noise it goes at least half the way to the atoms that made the samples; from those it stays with them.

    Codes within 3 % of the minimum, its certificate, are what it learns from.
    """
    generator = torch.Generator().manual_seed(0)
    truth, learned = (ll.energies.SparseCoding(8, 6, sparsity=0.05) for _ in range(2))
    truth.dictionary.data = torch.linalg.qr(torch.randn(8, 6, generator=generator)).Q
    codes = torch.randn(400, 6, generator=generator) * (torch.rand(400, 6, generator=generator) < 0.3)
    y = codes @ truth.dictionary.data.T

    def free(energy: SparseCoding) -> float:
        return ll.free_energy(energy, y).value.mean().item()

    before, best = free(learned), free(truth)
    for energy in (learned, truth):
        learn_online(energy, y, steps=30, batch_size=1000)
    assert free(learned) < (before + best) / 2
    assert free(truth) < 1.03 * best

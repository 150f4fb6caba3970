"""Online dictionary learning from the atoms that a dictionary has."""

from __future__ import annotations

import torch

import lowland as ll
from lowland.energies.sparse_coding import SparseCoding
from lowland.training.online_dictionary import learn_online


def test_atoms_that_made_the_samples_are_learned() -> None:
    """Of how much better the true atoms explain the samples than noise, nine tenths are reached."""
    generator = torch.Generator().manual_seed(0)
    truth, learned = (ll.energies.SparseCoding(8, 6, sparsity=0.05) for _ in range(2))
    truth.dictionary.data = torch.linalg.qr(torch.randn(8, 6, generator=generator)).Q
    codes = torch.randn(400, 6, generator=generator) * (torch.rand(400, 6, generator=generator) < 0.3)
    y = codes @ truth.dictionary.data.T

    def free(energy: SparseCoding) -> float:
        return float(ll.free_energy(energy, y).value.mean())

    before, best = free(learned), free(truth)
    learn_online(learned, y, steps=30, batch_size=1000)
    assert free(learned) < best + 0.1 * (before - best)

"""Training on simulated k-space, and the network of an earlier run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from lowland.data.brain import phantoms
from lowland.energies.kspace import KSpace
from lowland.energies.learned_reconstruction import LearnedReconstruction
from lowland.errors import CheckpointError
from lowland.evaluation.reconstruction import least_energy, volume_measures
from lowland.training.export import save_energy
from lowland.training.reconstruction import kspace_batch, load_reconstruction, train_reconstruction, write_images


def test_the_same_row_gives_the_same_pair_and_passes_are_mirrored() -> None:
    images = phantoms(4, 24, 20).train
    one, again, other = (kspace_batch(images, (2, 4), 0.0, 0, torch.tensor([row])) for row in (1, 1, 5))
    assert torch.equal(one.x, again.x)
    assert not torch.equal(one.x[:, 2], other.x[:, 2])
    size = torch.linalg.vector_norm(one.y, dim=1)
    torch.testing.assert_close(torch.linalg.vector_norm(other.y, dim=1), size.flip(2))


def test_training_helps_on_its_own_images() -> None:
    images = phantoms(4, 24, 20).train
    pairs = kspace_batch(images, (4,), 0.02, 9, torch.arange(4))
    energy = LearnedReconstruction(24, 20, maps=(8, 16))
    before = volume_measures(least_energy(energy, pairs.x), pairs.y)["psnr"]
    train_reconstruction(energy, images, (4,), 0.02, steps=60, batch=4, rate=5e-3)
    assert volume_measures(least_energy(energy, pairs.x), pairs.y)["psnr"] > before + 0.5


def test_a_network_is_used_for_images_of_another_size(tmp_path: Path) -> None:
    energy = LearnedReconstruction(16, 18, maps=(2, 3))
    torch.nn.init.constant_(energy.network.last.weight, 0.1)
    save_energy(energy, tmp_path / "checkpoints" / "network")
    found = load_reconstruction(tmp_path, 20, 24)
    assert found.domain("y").shape == (2, 20, 24)
    assert torch.equal(found.network.last.weight, energy.network.last.weight)


def test_what_is_no_run_of_a_network(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no network"):
        load_reconstruction(tmp_path, 8, 8)
    save_energy(KSpace(8, 8), tmp_path / "checkpoints" / "network")
    with pytest.raises(CheckpointError, match="holds a KSpace"):
        load_reconstruction(tmp_path, 8, 8)


def test_images_are_plain_arrays(tmp_path: Path) -> None:
    path = write_images(tmp_path / "images.npz", {"flat": np.ones((1, 2, 2), complex)}, [3])
    with np.load(path, allow_pickle=False) as arrays:
        assert (arrays["flat"].dtype, arrays["rows"].tolist()) == (np.complex64, [3])

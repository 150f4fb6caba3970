"""Training on voxels: the weights that the judge likes best are kept, and the task can be learned."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from lowland.data.voxels import VoxelScenes
from lowland.errors import OptionError, TrainingError
from lowland.nn.volume_unets import DenseUNet, NeighbourClassifier, SparseUNet
from lowland.training.voxels import as_volume, train_voxel_network, voxel_scores


def plates_and_rods(count: int, seed: int) -> VoxelScenes:
    """A plate that lies and a rod that stands: a rod's neighbours tell, its height does not."""
    draw = torch.Generator().manual_seed(seed)
    places, labels = [], []
    for scene in range(count):
        x, y, z = torch.randint(0, 4, (3,), generator=draw).tolist()
        places += [[scene, x + a, y + b, z] for a in range(3) for b in range(3)] + [[scene, 7, 7, a] for a in range(8)]
        labels += [0] * 9 + [1] * 8
    return VoxelScenes(torch.tensor(places), torch.tensor(labels), torch.arange(len(labels)), 8, ("plate", "rod"))


@pytest.mark.parametrize("kind", [SparseUNet, DenseUNet])
def test_networks_learn(kind: type[nn.Module]) -> None:
    train, held = plates_and_rods(12, 0), plates_and_rods(6, 1)
    network = kind(2, 2, (4, 8))

    def judge(scores: Tensor) -> float:
        return float((scores.argmax(dim=1) == held.labels).double().mean())

    found = train_voxel_network(network, train, held, judge, 30, 6, 0.03, torch.Generator().manual_seed(0))
    assert found["loss"][-1] < found["loss"][0]
    assert judge(voxel_scores(network, held)) == max(found["validation"]) > 0.95
    assert not network.training


def test_the_best_weights_are_kept() -> None:
    scenes, network, seen = plates_and_rods(4, 0), NeighbourClassifier(2, 2), []

    def judge(scores: Tensor) -> float:
        seen.append(scores)
        return [1.0, 3.0, 2.0, 3.0][len(seen) - 1]

    checks = (0.25, 0.5, 0.75, 1.0)
    train_voxel_network(network, scenes, scenes, judge, 8, 2, 0.1, torch.Generator().manual_seed(0), checks)
    assert len(seen) == 4
    assert torch.equal(voxel_scores(network, scenes), seen[1])


def test_a_volume_has_presence_and_height() -> None:
    volume = as_volume(plates_and_rods(2, 0))
    assert volume.geometry.samples == 2
    rod = volume.coordinates[:, 1] == 7
    assert torch.allclose(volume.features[rod][:8, 1], torch.linspace(-1, 1, 8))
    assert (volume.features[:, 0] == 1).all()


def test_what_cannot_be_trained() -> None:
    scenes, draw = plates_and_rods(2, 0), torch.Generator()
    with pytest.raises(OptionError, match="steps"):
        train_voxel_network(NeighbourClassifier(2, 2), scenes, scenes, len, 0, 2, 0.1, draw)
    with pytest.raises(TrainingError, match="not finite"):
        train_voxel_network(NeighbourClassifier(2, 2), scenes, scenes, lambda _: 1.0, 9, 2, float("inf"), draw)

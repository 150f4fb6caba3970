"""The two phases of training on lesions: which labels count, what changes, and that a killed run goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lowland.data.brain import phantom_hemispheres
from lowland.energies.grid_crf import GridCRF
from lowland.nn.two_paths import Cascade, TwoPaths, VolumeNet
from lowland.training.lesions import LesionTraining, equal_labels


def network(kind: str) -> torch.nn.Module:
    draw = torch.Generator().manual_seed(0)
    if kind == "volume":
        return VolumeNet((4, 20, 32, 16), maps=(2, 3, 4), hidden=4, generator=draw)
    two = TwoPaths((4, 32, 16), wide=0, generator=draw)
    return Cascade(two, draw) if kind == "cascade" else two


def test_classes_keep_as_many_labels() -> None:
    labels = torch.tensor([[0] * 50 + [1] * 20 + [2] * 3 + [-1] * 27, [0] * 60 + [-1] * 40])
    kept = equal_labels(labels, 10, torch.Generator().manual_seed(0))
    assert [[int((image == label).sum()) for label in range(3)] for image in kept] == [[10, 10, 3], [10, 0, 0]]
    assert bool((kept == labels)[kept >= 0].all())


@pytest.mark.parametrize("kind", ["two", "cascade", "volume"])
def test_the_second_phase_changes_the_output_layer_alone(kind: str, tmp_path: Path) -> None:
    found = {}
    for settling in (1, 2):
        net = network(kind)
        first = {name: value.clone() for name, value in net.state_dict().items()}
        work = LesionTraining(GridCRF(net), phantom_hemispheres().left, 2, settling, batch=1, rate=0.01)
        curve = work.curve(tmp_path / str(settling))
        assert curve["steps"] == [1, 2, *range(3, 3 + settling)]
        found[settling] = net.state_dict()
        before = [name for name in first if not torch.equal(first[name], found[settling][name])]
        trained = [name for name, one in net.named_parameters() if one.requires_grad]
        assert set(before) == set(trained)
    apart = {name for name in found[1] if not torch.equal(found[1][name], found[2][name])}
    assert apart == {name for name in found[1] if "output" in name and not name.startswith("first.")}


def test_a_finished_phase_is_not_trained_again(tmp_path: Path) -> None:
    brain = phantom_hemispheres().left
    nets = [network("two") for _ in range(2)]
    for net in nets:
        LesionTraining(GridCRF(net), brain, 2, 1, batch=1).curve(tmp_path)
    for name, value in nets[0].state_dict().items():
        assert torch.equal(value, nets[1].state_dict()[name]), name

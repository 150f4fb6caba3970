"""Training of pixel labels: what a step sees, that it learns, and encoders of `lowland pretrain` to begin with."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lowland.data.prepare import Prepare
from lowland.data.scenes import Scenes
from lowland.energies.grid_crf import GridCRF
from lowland.errors import CheckpointError, OptionError
from lowland.nn.encoders.convnet import ConvNet
from lowland.nn.encoders.resnet1d import ResNet1d
from lowland.nn.parsing import EncoderParser, MultiScaleParser, PointwiseScores
from lowland.nn.standardised import Standardised
from lowland.tensors import PerSampleRNG
from lowland.training.encoder_files import save_encoder
from lowland.training.segmentation import Light, PixelTraining, pixel_network


def colours(count: int = 6) -> Scenes:
    """Left half red, right half green."""
    images = torch.zeros(count, 3, 32, 32, dtype=torch.uint8)
    images[:, 0, :, :16], images[:, 1, :, 16:] = 220, 220
    labels = torch.zeros(count, 32, 32).long()
    labels[:, :, 16:] = 1
    labels[:, 0] = -1
    return Scenes(images, labels, ("red", "green"))


def test_colours_are_learned_and_mirror_images_keep_their_labels() -> None:
    scenes = colours()
    energy = GridCRF(PointwiseScores(scenes.shape, 2))
    curve = PixelTraining(energy, scenes, steps=60, rate=0.1).curve()
    assert curve["loss"][0] > 0.6 > 0.1 > curve["loss"][-1]
    with torch.no_grad():
        labels = energy.network(scenes.pixels()).argmax(dim=1)
    assert torch.equal(labels[:, 1:], scenes.labels[:, 1:])


def test_the_same_seed_trains_to_the_same_weights() -> None:
    found = []
    for _ in range(2):
        energy = GridCRF(PointwiseScores(colours().shape, 2))
        PixelTraining(energy, colours(), steps=3, seed=5).fit()
        found.append(energy.network.weight.detach())
    assert torch.equal(*found)


def test_light_changes_images_within_bounds() -> None:
    images = torch.rand(8, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    changed = Light(0.5)(images, PerSampleRNG(0, torch.arange(8)))
    assert bool(((changed >= 0) & (changed <= 1)).all())
    assert not torch.allclose(changed, images, atol=0.02)


def save(folder: Path, encoder: torch.nn.Module, kind: str, shape: tuple[int, ...]) -> Path:
    wrapped = Standardised(encoder, Prepare(kind, shape))
    wrapped.mean.fill_(0.25)
    return save_encoder(wrapped, {"maps": (4, 8)}, folder, {"kind": kind, "levels": None})


def test_an_encoder_keeps_its_weights_or_is_drawn_anew(tmp_path: Path) -> None:
    scenes, generator = colours(), torch.Generator().manual_seed(0)
    encoder = ConvNet((3, 24, 24), (4, 8), generator=torch.Generator().manual_seed(9))
    path = save(tmp_path, encoder, "images", (3, 24, 24))
    known, drawn = (pixel_network(scenes, generator, path, pretrained) for pretrained in (True, False))
    assert isinstance(known, EncoderParser)
    assert isinstance(drawn, EncoderParser)
    first = [next(each.parameters()) for each in (encoder, known.encoder, drawn.encoder)]
    assert torch.equal(first[0], first[1])
    assert not torch.equal(first[0], first[2])
    assert torch.equal(known.mean, drawn.mean)
    assert float(known.mean.mean()) == 0.25
    before = first[1].clone()
    PixelTraining(GridCRF(known), scenes, steps=2).fit()
    assert not torch.equal(before, next(known.encoder.parameters()))
    assert isinstance(pixel_network(scenes, generator), MultiScaleParser)


def test_encoders_that_cannot_be_used(tmp_path: Path) -> None:
    scenes, generator = colours(), torch.Generator().manual_seed(0)
    series = save(tmp_path / "series", ResNet1d((3, 32), (4, 8)), "series", (3, 32))
    with pytest.raises(OptionError, match="is one of series"):
        pixel_network(scenes, generator, series)
    grey = save(tmp_path / "grey", ConvNet((1, 24, 24), (4, 8)), "images", (1, 24, 24))
    with pytest.raises(OptionError, match="images of 1 channels, but these have 3"):
        pixel_network(scenes, generator, grey)
    with pytest.raises(CheckpointError, match="no encoder"):
        pixel_network(scenes, generator, tmp_path / "nothing.safetensors")

"""What every registered encoder must do, found through the registry; and what single ones promise."""

from __future__ import annotations

import inspect

import pytest
import torch

import lowland as ll
from lowland.errors import OptionError
from lowland.nn.encoders.convnet import ConvNet
from lowland.nn.encoders.resnet18 import ResNet18
from lowland.nn.encoders.vision_transformer import VisionTransformer
from lowland.registry import registered

ENCODERS = registered("encoder")
SHAPES = {"ResNet1d": (3, 20), "Perceptron": (6,)}
SMALL = {"ResNet18": {"width": 8}, "VisionTransformer": {"width": 24, "depth": 2}}


def made(name: str) -> torch.nn.Module:
    return ENCODERS[name](SHAPES.get(name, (3, 16, 16)), **SMALL.get(name, {}))


@pytest.mark.parametrize("name", ENCODERS)
def test_a_sample_becomes_a_vector_of_its_size(name: str) -> None:
    encoder = made(name)
    found = encoder(torch.rand(4, *encoder.shape))
    assert found.shape == (4, encoder.size)
    assert bool(torch.isfinite(found).all())


@pytest.mark.parametrize("name", ENCODERS)
def test_at_rest_a_batch_is_its_rows(name: str) -> None:
    encoder = made(name).double().eval()
    sample = torch.rand(3, *encoder.shape, dtype=torch.float64)
    alone = torch.cat([encoder(row[None]) for row in sample])
    torch.testing.assert_close(encoder(sample), alone, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", ENCODERS)
def test_weights_come_from_the_generator_alone(name: str) -> None:
    state = torch.get_rng_state()
    first, second = made(name).state_dict(), made(name).state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(first[key], second[key]) for key in first)
    other = ENCODERS[name](
        SHAPES.get(name, (3, 16, 16)), **SMALL.get(name, {}), generator=torch.Generator().manual_seed(1)
    )
    assert any(not torch.equal(first[key], value) for key, value in other.state_dict().items())


@pytest.mark.parametrize("name", ENCODERS)
def test_all_but_the_shape_has_a_default(name: str) -> None:
    parameters = list(inspect.signature(ENCODERS[name]).parameters.values())
    assert parameters[0].name == "shape"
    assert parameters[-1].name == "generator"
    assert all(parameter.default is not parameter.empty for parameter in parameters[1:])


def test_resnet18_has_the_weights_of_the_published_one() -> None:
    """11,173,962 weights with a classifier of 512 × 10 + 10, as is usually quoted for CIFAR-10."""
    assert sum(weights.numel() for weights in ResNet18((3, 32, 32)).parameters()) == 11_173_962 - 5_130


def test_vit_tiny_has_the_weights_of_the_published_one() -> None:
    """Twelve blocks of 12 D² weights and 13 D offsets and norms, a norm, and the embedding of a patch."""
    width = 192
    blocks = 12 * (12 * width**2 + 13 * width)
    expected = blocks + 2 * width + (3 * 4**2 + 1) * width
    encoder = VisionTransformer((3, 32, 32))
    assert sum(weights.numel() for weights in encoder.parameters()) == expected


def test_patches_that_are_kept_see_no_others() -> None:
    """Dropping patches from the batch and hiding them in the attention are the same."""
    encoder = VisionTransformer((3, 16, 16), width=24, depth=3).double()
    image = torch.rand(2, 3, 16, 16, dtype=torch.float64)
    keep = torch.tensor([[0, 7, 9], [4, 5, 15]])
    seen = torch.zeros(2, 16, dtype=torch.bool).scatter(1, keep, True)
    dropped, hidden = encoder.tokens(image, keep), encoder.tokens(image, seen=seen)
    for row in range(2):
        torch.testing.assert_close(dropped[row], hidden[row, keep[row]], rtol=1e-9, atol=1e-10)


def test_patches_are_cut_row_by_row() -> None:
    encoder = VisionTransformer((1, 4, 8), patch=4, width=12)
    image = torch.arange(32.0).reshape(1, 1, 4, 8)
    assert torch.equal(encoder.patches(image)[0, 1].reshape(4, 4), image[0, 0, :, 4:])
    colour = torch.rand(2, 3, 8, 12)
    encoder = VisionTransformer((3, 8, 12), patch=4, width=12)
    assert torch.equal(encoder.image(encoder.patches(colour)), colour)


@pytest.mark.parametrize(
    "options", [{"patch": 5}, {"width": 50}, {"width": 64, "heads": 3}, {"depth": 0}, {"patch": 0}]
)
def test_a_transformer_that_cannot_be(options: dict[str, int]) -> None:
    with pytest.raises(OptionError):
        VisionTransformer((3, 16, 16), **options)


def test_images_that_are_too_small_for_resnet18() -> None:
    with pytest.raises(OptionError, match="at least 8"):
        ResNet18((3, 6, 32))


def test_an_encoder_of_its_own_kind_makes_a_joint_embedding() -> None:
    energy = ll.energies.JointEmbedding(ResNet18((1, 8, 8), width=8), projector=(8,))
    assert energy(x=torch.rand(2, 1, 8, 8), y=torch.rand(2, 1, 8, 8)).shape == (2,)


def test_unpooled_places_follow_one_another() -> None:
    """An odd side is rounded up by each stage, and the mean over places is the pooled representation."""
    shape, maps = (1, 28, 23), (4, 6)
    flat, pooled = (ConvNet(shape, maps, pooled=kind).eval() for kind in (False, True))
    sample = torch.rand(3, *shape)
    assert flat.size == 6 * 7 * 6
    assert flat(sample).shape == (3, flat.size)
    torch.testing.assert_close(flat(sample).unflatten(1, (6, -1)).mean(dim=2), pooled(sample))

"""Masked and damaged images: the losses agree with the energies, and targets come from where they should."""

from __future__ import annotations

import copy

import pytest
import torch

import lowland as ll
from lowland.data.views import Damage
from lowland.energies.masked_prediction import TARGETS, MaskedPrediction
from lowland.errors import OptionError, ShapeError, UnsupportedError
from lowland.nn.encoders.convnet import ConvNet
from lowland.nn.encoders.perceptron import Perceptron
from lowland.nn.encoders.vision_transformer import VisionTransformer
from lowland.registry import registered
from lowland.shaping.base import Batch
from lowland.shaping.predictive.masked import IJEPA, MAE, Data2Vec
from lowland.shaping.predictive.masks import PatchMasks
from lowland.tensors import PerSampleRNG


def made(target: str) -> MaskedPrediction:
    encoder = VisionTransformer((3, 16, 16), width=24, depth=2)
    return MaskedPrediction(encoder, target, width=12, depth=2).double()


def images(count: int = 4) -> torch.Tensor:
    return PerSampleRNG(0, torch.arange(count), torch.float64).uniform(3, 16, 16)


@pytest.mark.parametrize("target", TARGETS)
def test_dropping_patches_and_hiding_them_give_one_energy(target: str) -> None:
    """The energy hides patches in the attention; the shapings leave them out of the batch, which is less work."""
    energy, y = made(target), images()
    mask = PatchMasks()(PerSampleRNG(1, torch.arange(4)), (4, 4))
    told, target_BND = energy.predict(y, *mask), energy.targets(y)
    error = (told - target_BND.gather(1, mask.hidden[:, :, None].expand_as(told))).square().mean(dim=(1, 2))
    torch.testing.assert_close(error, energy(x=y, y=y, z=mask.z(torch.float64)), rtol=1e-9, atol=1e-12)


def test_the_loss_of_mae_is_its_energy() -> None:
    energy, y = made("pixels"), images()
    loss = MAE()(energy, Batch(y)).losses["energy"]
    fresh = MAE()
    mask = fresh.masks(fresh.noise(y), (4, 4))
    torch.testing.assert_close(loss, energy(x=y, y=y, z=mask.z(torch.float64)).mean(), rtol=1e-9, atol=1e-12)


def test_the_first_loss_of_ijepa_is_its_energy() -> None:
    """Before the first step the slow encoder is the encoder itself."""
    energy, y = made("latents"), images()
    shaping, other = IJEPA(), IJEPA()
    for each in (shaping, other):
        each.prepare(energy, Batch(y))
    mask = other.masks(other.noise(y), (4, 4))
    loss = shaping(energy, Batch(y)).losses["energy"]
    torch.testing.assert_close(loss, energy(x=y, y=y, z=mask.z(torch.float64)).mean(), rtol=1e-9, atol=1e-12)


def test_targets_give_no_gradient_to_the_encoder_that_made_them() -> None:
    energy, y = made("latents"), images()
    shaping = Data2Vec(last=2)
    shaping.prepare(energy, Batch(y))
    assert not shaping.targets(energy, y).requires_grad
    with torch.no_grad():
        energy.encoder.embedding.weight.add_(1.0)
    before = shaping.targets(energy, y)
    shaping.after_step(energy, Batch(y))
    assert not torch.equal(shaping.targets(energy, y), before)


def test_data2vec_averages_the_last_blocks() -> None:
    energy, y = made("latents"), images()
    shaping = Data2Vec(last=2)
    shaping.prepare(energy, Batch(y))
    encoder = energy.encoder
    token = encoder.embedding(encoder.patches(y)) + encoder.places
    outputs = []
    for block in encoder.blocks:
        token = block(token)
        outputs.append(encoder.norm(token))
    mean = (outputs[0] + outputs[1]) / 2
    centred = mean - mean.mean(dim=2, keepdim=True)
    expected = centred / (centred.square().mean(dim=2, keepdim=True) + 1e-6).sqrt()
    torch.testing.assert_close(shaping.targets(energy, y), expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("masks", [PatchMasks(), PatchMasks.scattered(), PatchMasks(0.6, blocks=1, scale=(0.3, 0.4))])
def test_a_mask_is_one_split_of_the_patches_that_depends_on_its_row_alone(masks: PatchMasks) -> None:
    drawn = masks(PerSampleRNG(5, torch.arange(6)), (6, 8))
    both = torch.cat([drawn.shown, drawn.hidden], dim=1).sort(dim=1).values
    assert torch.equal(both, torch.arange(48).expand(6, -1))
    assert drawn.hidden.shape[1] == round(masks.share * 48)
    alone = masks(PerSampleRNG(5, torch.tensor([4])), (6, 8))
    assert torch.equal(alone.hidden[0], drawn.hidden[4])


def test_rectangles_hold_together() -> None:
    """Hidden patches in rectangles have more hidden neighbours than scattered ones."""

    def together(masks: PatchMasks) -> float:
        z = masks(PerSampleRNG(0, torch.arange(200)), (8, 8)).z().unflatten(1, (8, 8))
        return float((z[:, 1:] * z[:, :-1]).sum() / z[:, 1:].sum())

    assert together(PatchMasks()) > together(PatchMasks.scattered(0.5)) + 0.15


def test_what_is_shown_stays_in_a_filled_image() -> None:
    energy, y = made("normalised"), images()
    z = PatchMasks.scattered()(PerSampleRNG(1, torch.arange(4)), (4, 4)).z(torch.float64)
    filled = energy.encoder.patches(energy.filled(y, z))
    same = (filled == energy.encoder.patches(y)).all(dim=2)
    assert torch.equal(same, z < 0.5)
    with pytest.raises(OptionError, match="cannot be shown as an image"):
        made("latents").filled(y, z)


@pytest.mark.parametrize(("shaping", "target"), [(MAE(), "latents"), (IJEPA(), "pixels"), (Data2Vec(), "normalised")])
def test_a_method_and_a_target_that_do_not_go_together(shaping: MAE, target: str) -> None:
    with pytest.raises(UnsupportedError, match="target="):
        shaping(made(target), Batch(images()))


@pytest.mark.parametrize("options", [{"share": 0.0}, {"share": 1.0}, {"blocks": -1}, {"scale": (0.3, 0.2)}])
def test_masks_that_cannot_be(options: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        PatchMasks(**options)  # pyright: ignore[reportArgumentType]


def test_sizes_that_cannot_be() -> None:
    encoder = VisionTransformer((3, 16, 16), width=24, depth=1)
    with pytest.raises(OptionError, match="no target"):
        MaskedPrediction(encoder, "latent")
    with pytest.raises(OptionError, match="heads divide"):
        MaskedPrediction(encoder, width=50)
    with pytest.raises(OptionError, match="last must be"):
        Data2Vec(last=0)
    with pytest.raises(OptionError, match="none or all"):
        PatchMasks(0.01)(PerSampleRNG(0, torch.arange(1)), (4, 4))
    with pytest.raises(OptionError, match="no `shape` and `maps`"):
        ll.energies.Restoration(Perceptron((3,)))
    with pytest.raises(OptionError, match="less one"):
        ll.energies.Restoration(ConvNet((3, 32, 32)), decoder=(8,))
    with pytest.raises(UnsupportedError, match="Restoring needs a Restoration"):
        ll.shaping.Restoring(Damage())(ll.energies.PCA(4, 2), Batch(torch.zeros(3, 4)))


def test_damage_hides_a_share_and_keeps_the_rest() -> None:
    y = torch.rand(3, 3, 16, 16) * 0.4
    found = Damage(hidden=0.75)(y, PerSampleRNG(0, torch.arange(3)))
    assert torch.equal((found == 0.5).double().mean(dim=(1, 2, 3)), torch.full((3,), 0.75, dtype=torch.float64))
    assert torch.equal(found[found != 0.5], y[found != 0.5])
    alone = Damage(hidden=0.75)(y[2:], PerSampleRNG(0, torch.tensor([2])))
    assert torch.equal(alone[0], found[2])


def test_shrinking_keeps_flat_images_and_the_mean_of_the_rest() -> None:
    flat = torch.full((2, 1, 8, 8), 0.3)
    torch.testing.assert_close(Damage(shrink=4)(flat, PerSampleRNG(0, torch.arange(2))), flat)
    steps = torch.rand(2, 1, 8, 8)
    small = Damage(shrink=8)(steps, PerSampleRNG(0, torch.arange(2)))
    torch.testing.assert_close(small, steps.mean(dim=(2, 3), keepdim=True).expand_as(steps))


def test_damage_that_cannot_be() -> None:
    with pytest.raises(OptionError):
        Damage(hidden=1.0)
    with pytest.raises(ShapeError, match="do not tile"):
        Damage(shrink=3)(torch.rand(1, 1, 8, 8), PerSampleRNG(0, torch.arange(1)))


MEAN_ENERGIES = ("BackpropThroughModel", "ForwardTraining", "MAE", "Masked", "Restoring", "StraightThrough")


@pytest.mark.parametrize("name", MEAN_ENERGIES)
def test_a_loss_that_is_a_mean_energy_doubles_with_the_energy(name: str) -> None:
    """Without its terms that are none of E; what a metric says of the model stays as it is."""
    case = registered("shaping")[name].reference_case()
    if name == "ForwardTraining":
        case.shaping.kl = 0.0
    own = "error per pixel" if name == "Restoring" else "error" if name == "ForwardTraining" else None
    one, two = (copy.deepcopy(case.shaping)(energy, case.batch) for energy in (case.energy, 2.0 * case.energy))
    for group, loss in one.losses.items():
        torch.testing.assert_close(two.losses[group], 2 * loss)
    if own is not None:
        torch.testing.assert_close(two.metrics[own], one.metrics[own])

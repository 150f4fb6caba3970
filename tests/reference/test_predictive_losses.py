"""Losses of masked and damaged images against loops over images and patches, and a copy of the encoder made by hand.

All in float64, where sums of a few thousand terms in another order agree to a relative 1e-9.
"""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor

import lowland as ll
from lowland.data.views import Damage
from lowland.energies.masked_prediction import MaskedPrediction
from lowland.energies.restoration import Restoration
from lowland.nn.encoders.convnet import ConvNet
from lowland.nn.encoders.vision_transformer import VisionTransformer
from lowland.shaping.base import Batch
from lowland.shaping.predictive.masked import MAE
from lowland.shaping.predictive.masks import Mask
from lowland.tensors import PerSampleRNG

IMAGES = PerSampleRNG(0, torch.arange(4), torch.float64).uniform(3, 8, 8)
SIDE = 4
RATE = 0.05


def made(target: str) -> MaskedPrediction:
    encoder = VisionTransformer((3, 8, 8), patch=SIDE // 2, width=12, depth=3)
    return MaskedPrediction(encoder, target, width=12, depth=1).double()


def drawn(shaping: MAE) -> Mask:
    """The mask of the next call."""
    return shaping.masks(copy.deepcopy(shaping).noise(IMAGES), (SIDE, SIDE))


def standard(numbers: list[float]) -> list[float]:
    mean = sum(numbers) / len(numbers)
    deviation = math.sqrt(sum((one - mean) ** 2 for one in numbers) / len(numbers) + 1e-6)
    return [(one - mean) / deviation for one in numbers]


def patch(image: Tensor, number: int) -> list[float]:
    """Its pixels, channel by channel and row by row."""
    row, column = divmod(number, SIDE)
    side = image.shape[1] // SIDE
    return image[:, row * side : (row + 1) * side, column * side : (column + 1) * side].flatten().tolist()


def squared(r: float) -> float:
    return r * r


def huber(r: float) -> float:
    return r * r / (2 * 0.5) if abs(r) <= 0.5 else abs(r) - 0.5 / 2


@pytest.mark.parametrize("target", ["pixels", "normalised"])
def test_mae_by_loops_over_hidden_patches(target: str) -> None:
    energy, shaping = made(target), MAE()
    mask = drawn(shaping)
    assert mask.hidden.shape == (4, 12), "three quarters of 16"
    told, errors = energy.predict(IMAGES, *mask).tolist(), []
    for image, hidden, predicted in zip(IMAGES, mask.hidden.tolist(), told, strict=True):
        for number, guess in zip(hidden, predicted, strict=True):
            truth = patch(image, number) if target == "pixels" else standard(patch(image, number))
            errors += [squared(one - other) for one, other in zip(guess, truth, strict=True)]
    loss = shaping(energy, Batch(IMAGES)).losses["energy"]
    assert float(loss.detach()) == pytest.approx(sum(errors) / len(errors), rel=1e-9)


@pytest.mark.parametrize("name", ["IJEPA", "Data2Vec"])
def test_latents_by_loops_and_a_copy_of_the_encoder(name: str) -> None:
    """Three steps of plain gradient descent, after each of which the copy follows by hand."""
    options = {"IJEPA": {}, "Data2Vec": {"last": 2, "beta": 0.5}}[name]
    energy, shaping = made("latents"), getattr(ll.shaping, name)(momentum=0.8, **options).double()
    shaping.prepare(energy, Batch(IMAGES))
    slow = copy.deepcopy(energy.encoder)
    for _ in range(3):
        mask = drawn(shaping)
        tokens = [slow.norm(output) for output in outputs(slow, IMAGES)]
        target = tokens[-1] if name == "IJEPA" else (tokens[-1] + tokens[-2]) / 2
        errors, told = [], energy.predict(IMAGES, *mask).tolist()
        for image, hidden, predicted in zip(target.tolist(), mask.hidden.tolist(), told, strict=True):
            for number, guess in zip(hidden, predicted, strict=True):
                gaps = [one - other for one, other in zip(guess, standard(image[number]), strict=True)]
                errors += [squared(gap) if name == "IJEPA" else huber(gap) for gap in gaps]
        loss = shaping(energy, Batch(IMAGES)).losses["energy"]
        assert float(loss.detach()) == pytest.approx(sum(errors) / len(errors), rel=1e-9)
        gradients = torch.autograd.grad(loss, list(energy.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(energy.parameters(), gradients, strict=True):
                parameter -= RATE * gradient
            for mine, other in zip(slow.parameters(), energy.encoder.parameters(), strict=True):
                mine.copy_(0.8 * mine + 0.2 * other)
        shaping.after_step(energy, Batch(IMAGES))
        shaping.advance()


def outputs(encoder: VisionTransformer, image: Tensor) -> list[Tensor]:
    """What each block gives."""
    token, found = encoder.embedding(encoder.patches(image)) + encoder.places, []
    for block in encoder.blocks:
        token = block(token)
        found.append(token)
    return found


def test_restoring_by_loops_over_images() -> None:
    damage = Damage(hidden=0.5, patch=2)
    energy = Restoration(ConvNet((3, 8, 8), maps=(4, 8), norm=False), decoder=(4,)).double()
    shaping = ll.shaping.Restoring(damage)
    torn = damage(IMAGES, copy.deepcopy(shaping).noise(IMAGES))
    expected = 0.0
    for before, after in zip(torn, IMAGES, strict=True):
        restored = energy.decoder(energy.encoder.maps(before[None]))[0]
        gaps = (restored - after).flatten().tolist()
        expected += sum(gap * gap for gap in gaps) / 2 / len(IMAGES)
    found = shaping(energy, Batch(IMAGES))
    assert float(found.losses["energy"].detach()) == pytest.approx(expected, rel=1e-9)
    assert float(found.metrics["error per pixel"]) == pytest.approx(2 * expected / IMAGES[0].numel(), rel=1e-9)

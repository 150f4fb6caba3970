"""Every method of the list trains the energy that it makes."""

from __future__ import annotations

import pytest
import torch

from lowland.data import digits
from lowland.data.views import ImageViews
from lowland.nn.encoders import ConvNet
from lowland.shaping.base import Batch
from lowland.training.joint_methods import JOINT_METHODS


@pytest.mark.parametrize("name", JOINT_METHODS)
def test_every_method_trains_the_energy_that_it_makes(name: str) -> None:
    method, images = JOINT_METHODS[name], digits().train[:256]
    energy = method.energy(ConvNet((1, 8, 8), (4, 8)), torch.Generator().manual_seed(0))
    shaping, batch = method.shaping(ImageViews.mild(), 0), Batch(images, index=torch.arange(256))
    shaping.prepare(energy, batch)
    loss = shaping(energy, batch).losses["energy"]
    assert bool(torch.isfinite(loss))
    grads = torch.autograd.grad(loss, list(energy.branch.encoder.parameters()))
    assert all(bool(torch.isfinite(grad).all()) for grad in grads)
    assert any(bool((grad != 0).any()) for grad in grads)


def test_widened_heads() -> None:
    energy = JOINT_METHODS["byol"].energy(ConvNet((1, 8, 8), (4, 8)), torch.Generator(), widen=2)
    assert energy.size == 2 * JOINT_METHODS["byol"].projector[-1]


def test_methods_are_named_once() -> None:
    assert all(name == method.name for name, method in JOINT_METHODS.items())
    assert len({method.title for method in JOINT_METHODS.values()}) == len(JOINT_METHODS)

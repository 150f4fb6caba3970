"""What a linear probe reads from codes of rooms."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from lowland.envs.two_rooms import fixed_rooms
from lowland.evaluation.latent_worlds import place_probe
from lowland.worlds.latent import LatentWorld


class Centre(nn.Module):
    """The centre of the dot, which is its place, turned and moved."""

    def forward(self, image: Tensor) -> Tensor:
        dot = image[:, 0].double()
        at = (torch.arange(dot.shape[-1]) + 0.5) / dot.shape[-1]
        weight = dot.sum(dim=(1, 2))
        x, y = (dot.sum(dim=1) * at).sum(dim=1) / weight, (dot.sum(dim=2) * at).sum(dim=1) / weight
        return torch.stack([3 * x - y, y + 1], dim=1).float()


class Nothing(nn.Module):
    """The same code for all."""

    def forward(self, image: Tensor) -> Tensor:
        return torch.ones(len(image), 2)


def test_a_code_that_is_the_place_is_read_and_a_constant_one_is_not() -> None:
    found = place_probe(LatentWorld((2, 32, 32), 2, encoder=Centre()), fixed_rooms, 32, count=400)
    assert found > 99
    blind = place_probe(LatentWorld((2, 32, 32), 2, encoder=Nothing()), fixed_rooms, 32, count=400)
    assert blind == pytest.approx(0, abs=2)

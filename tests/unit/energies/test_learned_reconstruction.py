"""The learned prior: phases do not matter to it, and the phase of low frequencies is found."""

from __future__ import annotations

import math

import torch

from lowland.data.fourier import fourier
from lowland.energies.learned_reconstruction import LearnedReconstruction, smooth_phase_of, times


def test_a_phase_of_the_whole_image_comes_back() -> None:
    """U sees the image without its smooth phase, so that a constant phase of x is one of the answer."""
    energy = LearnedReconstruction(12, 10, maps=(2, 3)).double()
    torch.nn.init.constant_(energy.network.last.weight, 0.3)
    y = torch.rand(1, 2, 12, 10, generator=torch.Generator().manual_seed(0)).double() + 0.5
    turn = torch.tensor([math.cos(1.1), math.sin(1.1)]).double().reshape(1, 2, 1, 1).expand_as(y)
    ones = torch.ones(1, 1, 12, 10).double()
    plain, turned = (energy.encode(torch.cat([fourier(one), ones], dim=1)) for one in (y, times(y, turn)))
    torch.testing.assert_close(turned, times(plain, turn), rtol=0, atol=1e-6)


def test_an_image_without_signal_has_no_phase() -> None:
    assert float(smooth_phase_of(torch.zeros(1, 3, 8, 8)).abs().sum()) == 0

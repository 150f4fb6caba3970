"""A Gabor function fitted to an image (system S6): six numbers that describe a receptive field."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from lowland.domains import Reals
from lowland.energies.base import Energy, ReferenceCase
from lowland.errors import OptionError
from lowland.registry import register

_RIDGE = 1e-6


@register("energy")
class Gabor(Energy):
    """E(y, z) = min_{a, b} ½‖y − a g_cos(z) − b g_sin(z)‖², with y a square image.

        g(p) = exp(−½ (d∥ / σ∥)² − ½ (d⊥ / σ⊥)²) · {cos, sin}(2π f·d),   d = p − c

    d∥ is the part of d along the wave vector f and d⊥ the part across it. z = (c, log σ∥, log σ⊥, ½ artanh 2f), six
    numbers with c and f as (down, right), in pixels and cycles per pixel: so f stays below the Nyquist limit of half a
    cycle per pixel. The amplitudes a, b are minimised away: E is ½‖y‖² minus what the two functions explain. Source:
    Daugman (1985) for the function; Jones & Palmer (1987) for the fit.

    Args:
        size: S, side of the image in pixels; y is (B, S²).

    Raises:
        OptionError: if the size is below 2.

    >>> energy = Gabor(8)
    >>> z = torch.tensor([[3.5, 3.5, 0.7, 0.7, 0.0, 0.25]])
    >>> waves, envelope = energy.wave(z)
    >>> energy(y=waves[..., 0], z=z) < 1e-5
    tensor([True])
    """

    def __init__(self, size: int) -> None:
        if size < 2:
            raise OptionError(f"size must be at least 2 pixels, but it is {size}.")
        super().__init__(y=Reals(size**2), z=Reals(6))
        self.size = size
        place = torch.arange(size).to(torch.get_default_dtype())
        self.register_buffer("down", place.repeat_interleave(size))
        self.register_buffer("right", place.repeat(size))
        self.down: Tensor
        self.right: Tensor

    def frequency(self, z: Tensor) -> Tensor:
        """The wave vector f (B, 2), in cycles per pixel."""
        return 0.5 * torch.tanh(2 * z[:, 4:])

    def wave(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Both functions (B, S², 2), and the envelope (B, S²) that they share."""
        down, right, f = self.down - z[:, :1], self.right - z[:, 1:2], self.frequency(z)
        length = (f.square().sum(dim=1, keepdim=True) + 1e-12).sqrt()
        along = (down * f[:, :1] + right * f[:, 1:]) / length
        across = (right * f[:, :1] - down * f[:, 1:]) / length
        envelope = torch.exp(
            -0.5 * (along * torch.exp(-z[:, 2:3])).square() - 0.5 * (across * torch.exp(-z[:, 3:4])).square()
        )
        phase = 2 * math.pi * length * along
        return torch.stack([envelope * phase.cos(), envelope * phase.sin()], dim=2), envelope

    def energy(self, x: Any, y: Tensor, z: Tensor) -> Tensor:
        both, _ = self.wave(z)
        # A ridge keeps the amplitudes finite if the two functions are nearly equal, as at f = 0.
        gram = both.transpose(1, 2) @ both + _RIDGE * torch.eye(2, dtype=y.dtype, device=y.device)
        match = (both * y[:, :, None]).sum(dim=1)
        one, two, mixed = gram[:, 0, 0], gram[:, 1, 1], gram[:, 0, 1]
        first, second = match[:, 0], match[:, 1]
        amplitude = torch.stack([two * first - mixed * second, one * second - mixed * first], dim=1)
        amplitude = amplitude / (one * two - mixed.square())[:, None]
        # The same as ½(‖y‖² − match·amplitude), whose terms cancel if the fit is good.
        rest = y - (both * amplitude[:, None]).sum(dim=2)
        return 0.5 * (rest.square().sum(dim=1) + _RIDGE * amplitude.square().sum(dim=1))

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """The image is such a function; the start is a little off. The ridge leaves 5 × 10⁻⁷ of the square."""
        energy = cls(9)
        truth = torch.tensor([[4.0, 3.5, 0.8, 1.0, 0.1, 0.2]])
        y = energy.wave(truth)[0][:, :, 0]
        start = truth + torch.tensor([[0.3, -0.3, 0.1, -0.1, 0.01, 0.01]])
        return ReferenceCase(energy, {"y": y}, "z", minimum=torch.zeros(1), start=start)

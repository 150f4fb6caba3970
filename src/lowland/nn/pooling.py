"""Poolings of a ConvNet stage (system V2) that torch lacks.

Shape letters: B samples, C maps, H and W rows and columns, h and w those after pooling.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.errors import OptionError, check_number
from lowland.tensors import soft_minimum


class Pooling(nn.Module):
    """Base of the poolings that torch lacks: one number for each window of side × side pixels of a map.

    Args:
        side: of a window, in pixels.
        stride: between windows, in pixels; by default the side, so that windows do not overlap.

    Raises:
        OptionError: for a side or stride below 1.
    """

    def __init__(self, side: int = 2, stride: int | None = None) -> None:
        super().__init__()
        check_number("side", side, least=1, whole=True)
        check_number("stride", stride, least=1, whole=True, none="take the side")
        self.side, self.stride = side, stride or side

    def windows(self, maps: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, h, w, side²); pixels at the right and lower end that fill no window are left out."""
        return maps.unfold(2, self.side, self.stride).unfold(3, self.side, self.stride).flatten(-2)

    def connections(self, output: Tensor) -> int:
        """How many connections lead into one sample of an output: side² for each unit."""
        return self.side**2 * output[0].numel()


class LpPool(Pooling):
    """y = (Σ_i |x_i|^p)^{1/p} over a window: the sum of magnitudes at p = 1, their maximum for p → ∞.

    With `mean`, (mean_i |x_i|^p)^{1/p}, which differs by the factor n^{−1/p} for n pixels and has the same limit. The
    derivative at a window of zeros is 0. Any finite p is safe: magnitudes are measured in units of the largest. Source:
    Sermanet, Chintala & LeCun, "Convolutional neural networks applied to house numbers digit classification" (2012).

    Args:
        p: order, at least 1; infinity for the maximum.
        side, stride: see `Pooling`.
        mean: whether the mean takes the place of the sum.

    Raises:
        OptionError: for p below 1.

    >>> maps = torch.tensor([[[[3.0, 0.0], [0.0, -4.0]]]])
    >>> [LpPool(p)(maps).item() for p in (1, 2, float("inf"))]
    [7.0, 5.0, 4.0]
    """

    def __init__(self, p: float = 2.0, side: int = 2, stride: int | None = None, mean: bool = False) -> None:
        super().__init__(side, stride)
        if not p >= 1:
            raise OptionError(f"The order p of a pooling must be at least 1, but it is {p}.")
        self.p, self.mean = p, mean

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, h, w)."""
        sizes = self.windows(maps).abs()
        if math.isinf(self.p):
            return sizes.amax(dim=-1)
        # The value does not depend on the unit, so that the unit needs no derivative.
        unit = sizes.detach().amax(dim=-1)
        some = unit > 0
        powers = (sizes / torch.where(some, unit, 1)[..., None]).pow(self.p)
        total = powers.mean(dim=-1) if self.mean else powers.sum(dim=-1)
        return unit * torch.where(some, total, 1).pow(1 / self.p)


class LogSumExpPool(Pooling):
    """y = (1/b) log Σ_i exp(b x_i) over a window: for b → ∞ its maximum.

    With `mean`, (1/b) log mean_i exp(b x_i), which is (1/b) log n less for n pixels, has the same limit for b → ∞, and
    for b → 0 tends to the mean, where the sum diverges.

    Args:
        b: sharpness, in 1 / units of x; infinity for the maximum, and with `mean` 0 for the mean.
        side, stride: see `Pooling`.
        mean: whether the mean takes the place of the sum.

    Raises:
        OptionError: for a negative b, or 0 without `mean`.

    >>> maps = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]])
    >>> [LogSumExpPool(b, mean=True)(maps).item() for b in (0.0, float("inf"))]
    [3.0, 6.0]
    """

    def __init__(self, b: float = 1.0, side: int = 2, stride: int | None = None, mean: bool = False) -> None:
        super().__init__(side, stride)
        if not (b > 0 or (mean and b == 0)):
            raise OptionError(f"The sharpness b of a pooling must be positive, or 0 with mean=True, but it is {b}.")
        self.b, self.mean = b, mean

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, h, w)."""
        soft = soft_minimum(self.windows(maps), -self.b)
        return soft if self.mean else soft + math.log(self.side**2) / self.b


class Subsampling(Pooling):
    """y_i = c_i Σ x_i + b_i: the sum of each window of map i, with a trained coefficient and bias.

    Source: LeCun et al. (1998), section II B, layer S2.

    Args:
        maps: number of maps.
        side, stride: see `Pooling`.
        generator: draws c and b uniformly from ± 2.4 / side²; by default one with seed 0.

    >>> layer = Subsampling(6)
    >>> layer(torch.zeros(1, 6, 28, 28)).shape, sum(weights.numel() for weights in layer.parameters())
    (torch.Size([1, 6, 14, 14]), 12)
    """

    def __init__(
        self, maps: int, side: int = 2, stride: int | None = None, generator: torch.Generator | None = None
    ) -> None:
        super().__init__(side, stride)
        generator = generator or torch.Generator().manual_seed(0)
        bound = 2.4 / side**2
        self.coefficient, self.bias = (
            nn.Parameter(torch.empty(maps).uniform_(-bound, bound, generator=generator)) for _ in range(2)
        )

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, h, w)."""
        total = functional.avg_pool2d(maps, self.side, self.stride, divisor_override=1)
        return self.coefficient[:, None, None] * total + self.bias[:, None, None]

    def connections(self, output: Tensor) -> int:
        """How many connections lead into one sample of an output: its window and a bias for each unit."""
        return super().connections(output) + output[0].numel()

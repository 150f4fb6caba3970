"""The ConvNet stage (system V2): local normalisation and non-linearities around a filter bank; `nn.pooling` ends it.

A stage is normalisation → filter bank → non-linearity → pooling. Shape letters: B samples, C maps, H and W rows and
columns.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.errors import OptionError, check_number
from lowland.nn.convolutional import convolution
from lowland.nn.layers import linear
from lowland.nn.lista import shrink

_FLOOR = 1e-4


class _Local(nn.Module):
    """Base of the local normalisations: means of all maps over a Gaussian window."""

    line: Tensor

    def __init__(self, side: int = 9, width: float | None = None) -> None:
        super().__init__()
        check_number("side", side, least=1, whole=True)
        if side % 2 == 0:
            raise OptionError(f"The side of a window must be odd, so that it has a middle, but it is {side}.")
        check_number("width", width, above=0, none="take a quarter of the side")
        reach = torch.arange(side) - side // 2
        self.register_buffer("line", torch.exp(-reach.square() / (2 * (width or side / 4) ** 2)))

    def _mean(self, maps: Tensor) -> Tensor:
        """(B, C, H, W) → (B, 1, H, W), with weights that sum to 1 over the part of the window inside the image."""
        mean = maps.mean(dim=1, keepdim=True)
        for shape, axis in (((1, 1, -1, 1), 2), ((1, 1, 1, -1), 3)):
            window = self.line.view(shape)
            padding = [side // 2 for side in window.shape[2:]]
            inside = torch.ones_like(mean[:1].narrow(5 - axis, 0, 1))
            mean = functional.conv2d(mean, window, padding=padding) / functional.conv2d(inside, window, padding=padding)
        return mean


class SubtractiveNormalisation(_Local):
    """v_i = x_i − Σ_kp w_p x_k,p: each map less the mean of all C maps over a Gaussian window around the same place.

    Σ_kp w_p = 1, at the borders too, where the window is cut. Source: Jarrett, Kavukcuoglu, Ranzato & LeCun, "What is
    the best multi-stage architecture for object recognition?" (2009), section 2.
    `data.contrast.normalise_contrast`, for photographs, takes the mean of each channel for itself.

    Args:
        side: of the window, in pixels, an odd number; 9 in the paper.
        width: standard deviation of the Gaussian, in pixels; by default a quarter of the side.

    Raises:
        OptionError: for an even side, or a width that is not positive.

    >>> SubtractiveNormalisation()(torch.ones(1, 4, 12, 12)).abs().max() < 1e-6
    tensor(True)
    """

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, H, W), as it came."""
        return maps - self._mean(maps)


class DivisiveNormalisation(_Local):
    """y_i = v_i / max(c, σ), σ² = Σ_kp w_p v_k,p²: each map over the deviation of all maps around the same place.

    The window is that of `SubtractiveNormalisation`, which comes before, and c is the mean of σ over the image, so that
    flat parts are not blown up. Source: Jarrett et al. (2009), section 2, after Lyu & Simoncelli, "Nonlinear image
    representation using divisive normalization" (2008). Neither σ nor c counts for less than 1e-4.

    Args:
        side, width: see `SubtractiveNormalisation`.

    >>> maps = torch.rand(1, 2, 12, 12, generator=torch.Generator().manual_seed(0)) - 0.5
    >>> normalise = DivisiveNormalisation()
    >>> torch.allclose(normalise(maps), normalise(10 * maps))
    True
    """

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, H, W), as it came."""
        square = self._mean(maps.square())
        # The root has no derivative at 0, where the maps, and so the quotient, are 0 all around.
        deviation = torch.where(square > 0, square, 1).sqrt() * (square > 0)
        mean = deviation.mean(dim=(2, 3), keepdim=True)
        return maps / torch.maximum(deviation, mean).clamp_min(_FLOOR)


class ScaledTanh(nn.Module):
    """f(a) = A tanh(S a) with A = 1.7159 and S = 2/3: f(±1) = ±1, where |f″| is largest.

    Source: LeCun, Bottou, Bengio & Haffner, "Gradient-based learning applied to document recognition" (1998),
    appendix A.

    >>> ScaledTanh()(torch.tensor([-1.0, 0.0, 1.0]))
    tensor([-1.0000,  0.0000,  1.0000])
    """

    def forward(self, a: Tensor) -> Tensor:
        return 1.7159 * torch.tanh(2 / 3 * a)


class Shrinkage(nn.Module):
    """f(a) = sign(a) [|a| − θ_i]⁺ with a learned threshold θ_i ≥ 0 for each map i.

    Source: Kavukcuoglu, Sermanet, Boureau, Gregor, Mathieu & LeCun, "Learning convolutional feature hierarchies for
    visual recognition" (2010).

    Args:
        maps: C.
        threshold: θ at first, in units of a.

    Raises:
        OptionError: for a negative threshold.

    >>> Shrinkage(1, threshold=0.5)(torch.tensor([[[[-2.0, 0.25, 1.0]]]])).flatten().tolist()
    [-1.5, 0.0, 0.5]
    """

    def __init__(self, maps: int, threshold: float = 0.1) -> None:
        super().__init__()
        check_number("threshold", threshold, least=0)
        self.thresholds = nn.Parameter(torch.full((maps,), float(threshold)))

    def forward(self, a: Tensor) -> Tensor:
        return shrink(a, self.thresholds[:, None, None].expand(a.shape[1:]))


class StageNet(nn.Module):
    """Images (B, C, S, S) → scores (B, K): local normalisation, two stages, a bank of filters and a linear layer.

    A stage is filters, tanh, absolute values, local normalisation and averages of 2 × 2, in the order of the layers
    F_CSG, R_abs, N and P_A of Jarrett et al. (2009), who used it on small NORB. The third bank has filters as large as
    what is left, and tanh.

    Args:
        shape: (C, S, S) of an image, S = 4 n + 12.
        classes: K.
        maps: of the three banks, of 5 × 5, 5 × 5 and n × n.
        generator: draws the weights; by default one with seed 0.

    Raises:
        OptionError: for images of another size.

    >>> StageNet((2, 32, 32), 5)(torch.zeros(3, 2, 32, 32)).shape
    torch.Size([3, 5])
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        classes: int,
        maps: tuple[int, int, int] = (16, 48, 96),
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        channels, height, width = shape
        if height != width or height < 16 or height % 4:
            raise OptionError(f"Images must be squares of 4 n pixels, 16 or more, but they are {height} × {width}.")
        generator = generator or torch.Generator().manual_seed(0)
        first, second, third = maps
        self.banks = nn.ModuleList([
            convolution(channels, first, generator, 5, padding=0), convolution(first, second, generator, 5, padding=0),
            convolution(second, third, generator, (height - 12) // 4, padding=0),
        ])  # fmt: skip
        self.subtract, self.divide = SubtractiveNormalisation(), DivisiveNormalisation()
        self.read = linear(third, classes, generator)

    def forward(self, image: Tensor) -> Tensor:
        """(B, K)."""
        return self.read(self.maps(image)[-1].flatten(1))

    def maps(self, image: Tensor) -> list[Tensor]:
        """The normalised image, and what each stage makes of it."""
        found = [self.divide(self.subtract(image))]
        for bank in self.banks[:-1]:
            rectified = bank(found[-1]).tanh().abs()
            found.append(functional.avg_pool2d(self.divide(self.subtract(rectified)), 2))
        return [*found, self.banks[-1](found[-1]).tanh()]

"""LeNet-5 as an energy of an image and a digit (systems V3, E2)."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from lowland.domains import OneHot, Reals
from lowland.energies.base import Energy, ReferenceCase
from lowland.energies.structure import Structure
from lowland.errors import OptionError, check_number
from lowland.nn.lenet import SIDE, LeNet5, digit_bitmaps
from lowland.registry import register

_PAPER, _INK = -0.1, 1.175


@register("energy")
class LeNet(Energy):
    """E(x, y) = ‖F6(x) − w_y‖²: x an image, y a one-hot digit, F6 the last layer of LeNet-5, w_y the bitmap of y.

    The bitmaps are fixed, so that `MinimumEnergy`, the paper's equation 8, does not collapse. `MaximumLikelihood` is
    its equation 9, the mean of E(x, y) + log(e^{−j} + Σ_k e^{−E(x, k)}): a likelihood with one more class, rubbish, of
    energy j for every x. Energies far above j are not pushed up further. With a linear output f it is E(x, y) =
    −y·f(x), as that of `Classifier`. Source: LeCun, Bottou, Bengio & Haffner, "Gradient-based learning applied to
    document recognition" (1998), section II.

    Pixels from 0 (paper) to 1 (ink) become −0.1 to 1.175, and paper fills the image up to 32 × 32 (section III A).

    Args:
        shape: (H, W) of the images, each at most 32 pixels.
        output, modern: see `lowland.nn.lenet.LeNet5`.
        rubbish: j, in units of E; None for ten classes only. The paper gives no value. It goes with the bitmaps: with a
            linear output there is no such class.
        generator: draws the initial weights.

    Raises:
        OptionError: for images that do not fit into 32 × 32, a j that is not a number, or an unknown output.

    >>> energy = LeNet()
    >>> energy(x=torch.zeros(5, 1, 28, 28), y=torch.eye(10)[:5]).shape
    torch.Size([5])
    """

    def __init__(
        self,
        shape: tuple[int, int] = (28, 28),
        output: Literal["rbf", "linear"] = "rbf",
        modern: bool = False,
        rubbish: float | None = 40.0,
        generator: torch.Generator | None = None,
    ) -> None:
        if not all(1 <= side <= SIDE for side in shape):
            raise OptionError(f"LeNet-5 takes images of up to {SIDE} × {SIDE} pixels, but these are {shape}.")
        check_number("rubbish", rubbish, none="leave that class out")
        super().__init__(x=Reals(1, *shape), y=OneHot(10))
        self.output, self.rubbish = output, rubbish
        self.network = LeNet5(output, modern, generator)
        height, width = (SIDE - side for side in shape)
        self._margins = (width // 2, width - width // 2, height // 2, height - height // 2)

    def image(self, x: Tensor) -> Tensor:
        """The images that the network sees, (B, 1, 32, 32)."""
        return functional.pad(_PAPER + (_INK - _PAPER) * x, self._margins, value=_PAPER)

    def encode(self, x: Tensor) -> Tensor:
        """The energies of all ten digits, (B, 10)."""
        found = self.network(self.image(x))
        return found if self.output == "rbf" else -found

    def energy(self, x: Tensor, y: Tensor, z: Any) -> Tensor:
        return (x * y).sum(dim=1)

    def log_partition(self, x: Tensor) -> Tensor:
        if self.rubbish is not None and self.output == "rbf":
            x = torch.cat([x, torch.full_like(x[:, :1], self.rubbish)], dim=1)
        return torch.logsumexp(-x, dim=1)

    def structure(self, over: tuple[str, ...], x: Tensor | None, y: Any, z: Any) -> Structure:
        return Structure(table=lambda: x) if over == ("y",) and x is not None else Structure()

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """The last layer before the output has the bitmap of 3 for its bias, and little weight: 3 is the closest."""
        energy = cls((4, 5))
        weight, bias = energy.network.stages.get_submodule("F6.1").parameters()
        with torch.no_grad():
            weight.mul_(0.1)
            bias.copy_(digit_bitmaps()[3])
            x = torch.rand(3, 1, 4, 5, generator=torch.Generator().manual_seed(0))
            code = energy.network.maps(energy.image(x))["F6"]
            minimum = (code - digit_bitmaps()[3]).square().sum(dim=1)
        return ReferenceCase(energy, {"x": x}, "y", minimum, torch.eye(10)[[3, 3, 3]])

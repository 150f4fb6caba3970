"""Finding things in images: what an answer made of boxes costs, cell by cell (systems V6, V11).

Shape letters: B images, M cells of all scales, D numbers of a cell.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from lowland.domains import Box, Product, Reals
from lowland.energies.base import Energy, ReferenceCase
from lowland.energies.structure import Structure
from lowland.errors import OptionError
from lowland.nn.boxes import Cells, Found
from lowland.nn.layers import evaluating
from lowland.nn.pyramid import CellHead, FeaturePyramid
from lowland.registry import register

_RARE = 0.02
"""Heat of every cell before training, so that the many empty cells cost little at first."""


@register("energy")
class BoxFinder(Energy):
    """E(x, y) = Σ over cells c of |y_c − h_c|² · H(y_c, h_c) + λ y_c ‖b_c − b̂_c‖₁: x an image, y boxes on its cells.

    y_c in [0, 1] is the heat of the cell, how near it is to the centre of a thing, and b_c are the numbers of the box
    there: `Cells.paint` writes a set of boxes in this way. The network gives h_c and b̂_c. H(y, h) = −y log h − (1 − y)
    log(1 − h). The first term is the quality focal loss of Li et al., "Generalized focal loss" (2020), with their β
    of 2: cells that are told right already, nearly all of them empty, hardly count.

    E ≥ 0 is zero at y = h, b = b̂ alone. One h cannot make both a box and no box cheap, so `MinimumEnergy` trains it.
    `find` gives the set of boxes that is written at the peaks of h, without doubles.

    Args:
        side: H = W of the images, in pixels; a multiple of the coarsest stride.
        channels: C.
        turned: whether boxes have angles, as cosine and sine.
        widths, features: of the network, see `FeaturePyramid`; the scales have strides 4, 8, …
        balance: λ.
        generator: draws the weights.

    Raises:
        OptionError: for a λ that is not positive, or a side that the strides do not divide.

    >>> finder = BoxFinder(32, channels=1, widths=(4, 8, 8), features=8).eval()
    >>> heat, numbers = finder.cells.paint(torch.tensor([[4.0, 4, 20, 24]]))
    >>> finder(x=torch.zeros(1, 1, 32, 32), y={"heat": heat[None], "numbers": numbers[None]}).shape
    torch.Size([1])
    """

    def __init__(
        self,
        side: int = 128,
        channels: int = 3,
        turned: bool = False,
        widths: tuple[int, ...] = (16, 32, 64, 96),
        features: int = 48,
        balance: float = 0.3,
        generator: torch.Generator | None = None,
    ) -> None:
        if not balance > 0:
            raise OptionError(f"balance must be above 0, or boxes would not be learned, but it is {balance}.")
        cells = Cells(side, tuple(4 * 2**scale for scale in range(len(widths) - 1)), turned)
        heat, numbers = Box(cells.count), Reals(cells.numbers, cells.count)
        super().__init__(x=Reals(channels, side, side), y=Product({"heat": heat, "numbers": numbers}))
        generator = generator or torch.Generator().manual_seed(0)
        self.cells, self.balance = cells, balance
        self.pyramid = FeaturePyramid(channels, widths, features, generator)
        rare = math.log(_RARE / (1 - _RARE))
        self.heat = CellHead(features, 1, (rare,), generator)
        self.numbers = CellHead(features, cells.numbers, (0.0, 0.0, -0.3, -0.3, 1.0, 0.0)[: cells.numbers], generator)

    def encode(self, x: Tensor) -> dict[str, Tensor]:
        """The heat of each cell before its sigmoid, (B, M), and the numbers of its box, (B, D, M)."""
        maps = self.pyramid(x)
        return {"logits": self.heat(maps)[:, 0], "numbers": self.numbers(maps)}

    def energy(self, x: dict[str, Tensor], y: dict[str, Tensor], z: Any) -> Tensor:
        heat, logits = y["heat"], x["logits"]
        entropy = functional.binary_cross_entropy_with_logits(logits, heat, reduction="none")
        cells = (heat - logits.sigmoid()).square() * entropy
        apart = heat * (y["numbers"] - x["numbers"]).abs().sum(dim=1)
        return (cells + self.balance * apart).sum(dim=1)

    def structure(self, over: tuple[str, ...], x: dict[str, Tensor] | None, y: Any, z: Any) -> Structure:
        if over != ("y",) or x is None:
            return Structure()
        return Structure(minimiser=lambda: torch.cat([x["logits"].sigmoid(), x["numbers"].flatten(1)], dim=1))

    @torch.no_grad()
    def find(self, x: Tensor, batch: int = 32, **options: Any) -> list[Found]:
        """The boxes of each image, in evaluation mode; the options are those of `Cells.read`."""
        found: list[Found] = []
        with evaluating(self):
            for part in x.split(batch):
                told = self.encode(part.to(next(self.parameters())))
                found += self.cells.read(told["logits"].sigmoid().cpu(), told["numbers"].cpu(), **options)
        return found

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """What the network tells costs nothing."""
        energy = cls(16, 1, turned=True, widths=(2, 3, 4), features=3).eval()
        x = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))
        return ReferenceCase(energy, {"x": x}, "y", minimum=torch.zeros(2))

"""Networks that say what parts cost as letters: frames, columns of a line of text, or pieces between its cuts.

Legend: B samples, H and W rows and columns, C cells, L cells of the longest piece, K letters, F maps.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.errors import DomainError
from lowland.nn.convolutional import convolution
from lowland.nn.layers import mlp

STRIDE = 4
"""Columns of a frame."""
_BINS = 4
AROUND = 24
"""Columns behind a line that its last letters may see; paper, as they would in any other batch."""


def _stage(inputs: int, outputs: int, generator: torch.Generator, kernel: int = 5) -> list[nn.Module]:
    return [convolution(inputs, outputs, generator, kernel), nn.BatchNorm2d(outputs), nn.ReLU()]


class FrameCosts(nn.Module):
    """Costs of labels for each frame by the same affine map, (B, C, D) → (B, C, K): the network of a linear chain.

    Args:
        cells: C.
        n_inputs: D.
        labels: K.
        generator: draws the weights.

    >>> FrameCosts(6, 4, labels=3)(torch.zeros(2, 6, 4)).shape
    torch.Size([2, 6, 3])
    """

    def __init__(self, cells: int, n_inputs: int, labels: int, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.shape = (cells, n_inputs)
        generator = generator or torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(labels, n_inputs, generator=generator) / n_inputs**0.5)
        self.bias = nn.Parameter(torch.zeros(labels))

    def forward(self, frames: Tensor) -> Tensor:
        return -(frames @ self.weight.T + self.bias)


class CellCosts(nn.Module):
    """Costs of labels for each cell by one network that sees nothing else: the letters of a word, each alone.

    An x is {"cell": (B, C, *shape), "cells": (B,)}; what is behind the cells of a sample is not looked at, and costs 0.

    Args:
        network: (N, *shape) → scores (N, K), large for what is likely.
        cells: C.
        shape: of a cell.

    >>> costs = CellCosts(nn.Sequential(nn.Flatten(), nn.Linear(8, 3)), cells=6, shape=(1, 4, 2))
    >>> costs({"cell": torch.zeros(2, 6, 1, 4, 2), "cells": torch.tensor([6.0, 2.0])}).shape
    torch.Size([2, 6, 3])
    """

    def __init__(self, network: nn.Module, cells: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.counts_cells = True
        self.network, self.shape = network, {"cell": (cells, *shape)}

    def forward(self, x: dict[str, Tensor]) -> Tensor:
        cell = x["cell"]
        there = torch.arange(cell.shape[1], device=cell.device) < x["cells"][:, None]
        scores = self.network(cell[there])
        return scores.new_zeros(*there.shape, scores.shape[1]).index_put((there,), -scores)


class FrameReader(nn.Module):
    """Costs of a blank and K letters for each frame of four columns: a space-displacement network (SDNN).

    Every layer is a convolution, so that a network for single letters slides over the line, and each frame sees some 40
    columns. Source: Matan et al. 1992; LeCun et al. 1998, section VII. A line is {"image": (B, 1, H, W), "cells": (B,)
    its frames}; what is behind the longest line of the batch is not looked at.

    Args:
        height, width: H and W, multiples of 8 and 4.
        letters: K.
        maps: of the three stages.
        generator: draws the weights.

    >>> x = {"image": torch.zeros(2, 1, 32, 64), "cells": torch.tensor([10.0, 16.0])}
    >>> FrameReader(32, 64, letters=12)(x).shape
    torch.Size([2, 16, 13])
    """

    def __init__(
        self,
        height: int,
        width: int,
        letters: int,
        maps: tuple[int, int, int] = (16, 32, 64),
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        generator = generator or torch.Generator().manual_seed(0)
        self.counts_cells = True
        self.shape = {"image": (1, height, width)}
        low, middle, high = maps
        self.look = nn.Sequential(
            *_stage(1, low, generator), nn.MaxPool2d(2), *_stage(low, middle, generator), nn.MaxPool2d(2),
            *_stage(middle, high, generator, 3), nn.MaxPool2d((2, 1)),
        )  # fmt: skip
        rows = height // 8
        self.read = nn.Sequential(
            _wide(rows * high, 2 * high, 3, generator), nn.BatchNorm1d(2 * high), nn.ReLU(),
            _wide(2 * high, letters + 1, 3, generator),
        )  # fmt: skip

    def forward(self, x: dict[str, Tensor]) -> Tensor:
        image = x["image"]
        if torch.compiler.is_exporting() or not len(image):  # a graph has one width
            return -self.read(self.look(image).flatten(1, 2)).transpose(1, 2)
        most = int(x["cells"].max())
        maps = self.look(image[..., : STRIDE * most + AROUND])
        return -self.read(maps.flatten(1, 2))[..., :most].transpose(1, 2)

    def there(self, x: dict[str, Tensor]) -> Tensor:
        """Which frames there are, (B, C, 1) of booleans, without a look at the image."""
        frames = torch.arange(self.shape["image"][2] // STRIDE, device=x["cells"].device)
        return (frames < x["cells"][:, None])[:, :, None]


def _wide(inputs: int, outputs: int, kernel: int, generator: torch.Generator) -> nn.Conv1d:
    layer = nn.Conv1d(inputs, outputs, kernel, padding=kernel // 2, device="meta").to_empty(device="cpu")
    bound = 1 / math.sqrt(inputs * kernel)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(-bound, bound, generator=generator)
    return layer


class PieceReader(nn.Module):
    """Costs of K letters for each piece of 1 to L cells between cuts of a line.

    The line goes through convolutions once, whatever its pieces: a piece is the mean of their maps in four bins of its
    columns, and its width; these go through a small network. Lines are {"image": (B, 1, H, W), "cuts": (B, C + 1)
    columns, the last one repeated, "cells": (B,)}. A piece that is wider than `widest`, or would begin before the line,
    costs +∞.

    Args:
        height, width: H and W.
        cells: C.
        letters: K.
        longest: L.
        widest: columns of a piece.
        rubbish: whether there is one more letter for what is none; it is left out of the costs.
        normalised: whether the costs of a piece are −log of probabilities that sum to 1 over its letters, those of
            rubbish included, as if it were read alone.
        maps: of the stages.
        generator: draws the weights.

    Raises:
        DomainError: when called with cuts that are not ascending columns of the line.

    >>> x = {"image": torch.zeros(1, 1, 32, 64), "cells": torch.tensor([2.0])}
    >>> x["cuts"] = torch.tensor([[4.0, 10, 15, 15]])
    >>> PieceReader(32, 64, cells=3, letters=12, longest=2)(x).shape
    torch.Size([1, 2, 2, 12])
    """

    def __init__(
        self,
        height: int,
        width: int,
        cells: int,
        letters: int,
        longest: int = 7,
        widest: int = 32,
        rubbish: bool = False,
        normalised: bool = False,
        maps: tuple[int, int, int] = (16, 32, 64),
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        generator = generator or torch.Generator().manual_seed(0)
        self.counts_cells = True
        self.shape = {"image": (1, height, width), "cuts": (cells + 1,)}
        self.letters, self.longest, self.widest, self.normalised = letters, longest, widest, normalised
        low, middle, high = maps
        self.look = nn.Sequential(
            *_stage(1, low, generator), nn.MaxPool2d(2), *_stage(low, middle, generator), nn.MaxPool2d((2, 1)),
            convolution(middle, high, generator, 3), nn.BatchNorm2d(high), nn.ReLU(),
        )  # fmt: skip
        self.squeeze = nn.Sequential(_wide(high * (height // 4), high, 1, generator), nn.BatchNorm1d(high), nn.ReLU())
        self.judge = mlp(
            _BINS * high + 3, 2 * high, letters + rubbish, activation=nn.ReLU, generator=generator
        )  # fmt: skip

    def scores(self, x: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Scores of all letters and rubbish for all pieces (B, C, L, K), and which pieces there are (B, C, L)."""
        image, cuts, exporting = x["image"], x["cuts"].round().long(), torch.compiler.is_exporting()
        if not exporting and len(image):  # a graph has one width
            if bool((cuts < 0).any() | (cuts > image.shape[-1]).any() | (cuts.diff(dim=1) < 0).any()):
                raise DomainError(f"Cuts must be ascending columns of the line, from 0 to {image.shape[-1]}.")
            cuts = cuts[:, : int(x["cells"].max()) + 1]
            image = image[..., : int(cuts.max() + 3) // 4 * 4 + AROUND]
        maps = self.squeeze(self.look(image).flatten(1, 2))
        sums = functional.pad(maps.cumsum(dim=2), (1, 0)).transpose(1, 2)
        left, right, there = self._places(cuts, x["cells"])
        # A graph computes all, since their number would depend on the line.
        rows, end, size = (torch.ones_like(there) if exporting else there).nonzero(as_tuple=True)
        low, high = left[rows, end, size] / 2, right[rows, end, size] / 2
        edges = low[:, None] + (high - low)[:, None] * torch.arange(_BINS + 1, device=cuts.device) / _BINS
        whole = edges.floor().long().clamp_max(sums.shape[1] - 2)
        share = (edges - whole)[..., None].to(sums.dtype)
        at = sums[rows[:, None], whole] * (1 - share) + sums[rows[:, None], whole + 1] * share
        width = (high - low)[:, None].to(sums.dtype)
        bins = at.diff(dim=1) / width[:, None] * _BINS
        seen = torch.cat([bins.flatten(1), width / 8, width.square() / 128, 1 / width], dim=1)
        found = self.judge(seen)
        table = found.new_zeros(*there.shape, found.shape[1])
        return table.index_put((rows, end, size), found), there

    def there(self, x: dict[str, Tensor]) -> Tensor:
        """Which pieces there are, (B, C, L) of booleans, without a look at the image."""
        return self._places(x["cuts"].round().long(), x["cells"])[2]

    def _places(self, cuts: Tensor, cells: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Left and right column of each piece, and whether it is there, (B, C, L) each."""
        end, size = torch.arange(cuts.shape[1] - 1, device=cuts.device)[:, None], torch.arange(1, self.longest + 1)
        begin = end + 1 - size.to(cuts.device)
        left, right = cuts[:, begin.clamp_min(0)], cuts[:, 1:, None].expand(-1, -1, self.longest)
        there = (begin >= 0) & (right - left <= self.widest) & (right > left) & (end < cells[:, None, None])
        return left, right, there

    def forward(self, x: dict[str, Tensor]) -> Tensor:
        scores, there = self.scores(x)
        scores = scores.log_softmax(dim=3) if self.normalised else scores
        return (-scores[..., : self.letters]).masked_fill(~there[..., None], math.inf)

"""Labels of all pixels of an image: a conditional random field on the grid (system V8).

Legend: B images, H × W = P pixels, K classes, N pairs of directions.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import torch
from torch import Tensor, nn

from lowland.domains import OneHot, Reals
from lowland.energies.base import Energy, ReferenceCase
from lowland.energies.structure import Structure
from lowland.errors import OptionError, ShapeError, UnsupportedError, check_number
from lowland.nn.parsing import PointwiseScores
from lowland.registry import register

DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""From a pixel to four of its eight neighbours, (rows, columns); it is a neighbour of the other four."""


@register("energy")
class GridCRF(Energy):
    """E(x, y) = −Σ_p f_p(x)·y_p + λ Σ_(p,q) w_pq(x) (1 − y_p·y_q), y_p the one-hot label of pixel p of the image x.

    f(x) are the scores of a network. The second sum, over all pairs of neighbours among eight, counts where the labels
    differ: a Potts model. A border costs less where the image has an edge,

        w_pq = exp(−‖x_p − x_q‖² / 2σ²) / |p − q|,

    with σ² the mean of ‖x_p − x_q‖² over all pairs of the image. Source: Boykov & Jolly, "Interactive graph cuts for
    optimal boundary and region segmentation of objects in N-D images" (2001), σ as in Rother, Kolmogorov & Blake,
    "GrabCut" (2004).

    At λ = 0 pixels are independent: the best labels are exact, so is log Z, and `MaximumLikelihood` is the
    cross-entropy of each pixel. A pixel whose y_p is all zeros counts as unlabelled, and is left out of the likelihood.
    With λ > 0 the best labels are hard to find; `MeanField` and `Gibbs(temperature=0)` use that E is affine in sets of
    pixels of which no two are neighbours. At shares y_p of the classes in place of one-hot values E is its own mean.

    To use other networks of the same shape, assign `network`; λ is the attribute `smoothness`, and may be changed.

    Args:
        network: (B, C, H, W) → scores (B, K, H, W), with the attributes `shape` (C, H, W) and `classes`; and `slices`
            if an image is a volume, its slices below each other, which allows λ = 0 alone.
        smoothness: λ ≥ 0, in units of the scores (log-odds).

    Raises:
        OptionError: for a network without `shape` or `classes`, or a negative λ.
        UnsupportedError: when a volume is labelled with λ > 0.

    >>> energy = GridCRF(PointwiseScores((3, 2, 2), classes=2), smoothness=1.0)
    >>> y = energy.one_hot(torch.tensor([[[0, 0], [1, 1]]]))
    >>> energy(x=torch.zeros(1, 3, 2, 2), y=y).detach()  # two straight borders, and two diagonal ones at 1/√2
    tensor([3.4142])
    """

    def __init__(self, network: nn.Module, smoothness: float = 0.0) -> None:
        shape, classes = getattr(network, "shape", None), getattr(network, "classes", None)
        if shape is None or classes is None:
            raise OptionError(
                f"{type(network).__name__} has no `shape` and `classes`: a network of scores must state its input "
                "shape (C, H, W) and its number of classes."
            )
        check_number("smoothness", smoothness, least=0)
        self.size, self.classes = (int(shape[1]), int(shape[2])), int(classes)
        super().__init__(x=Reals(tuple(shape)), y=OneHot(self.classes, self.size[0] * self.size[1]))
        self.network, self.smoothness = network, smoothness

    def one_hot(self, labels: Tensor) -> Tensor:
        """Labels (B, H, W) as a y (B, P, K); −1, which stands for no label, becomes zeros.

        Raises:
            ShapeError: for labels of another shape, or outside −1 … K − 1.
        """
        if labels.shape[1:] != self.size or labels.is_floating_point():
            raise ShapeError(f"Labels must be whole numbers (B, {self.size[0]}, {self.size[1]}), not {labels.shape}.")
        if labels.numel() and not -1 <= int(labels.min()) <= int(labels.max()) < self.classes:
            raise ShapeError(f"Labels must lie between −1, for no label, and {self.classes - 1}.")
        kind = next((each.dtype for each in self.parameters()), torch.get_default_dtype())
        return (labels.flatten(1)[:, :, None] == torch.arange(self.classes, device=labels.device)).to(kind)

    def labels(self, y: Tensor) -> Tensor:
        """The label of each pixel, (B, H, W) int64, of a y (B, P, K)."""
        return y.argmax(dim=2).unflatten(1, self.size)

    def encode(self, x: Tensor) -> dict[str, Tensor]:
        """Costs −f (B, P, K), and at λ > 0 w of each direction, (B, N, H, W), zero where the neighbour is outside."""
        scores = self.network(x)
        if scores.shape[1:] != (self.classes, *self.size):
            raise ShapeError(
                f"{type(self.network).__name__} gave scores {tuple(scores.shape)}, but (B, {self.classes}, "
                f"{self.size[0]}, {self.size[1]}) are needed."
            )
        if self.smoothness and getattr(self.network, "slices", 1) > 1:
            raise UnsupportedError(
                f"{type(self.network).__name__} labels volumes as slices below each other, of which the first row of "
                "one is no neighbour of the last row of another: set smoothness to 0."
            )
        cost = -scores.flatten(2).transpose(1, 2)
        return {"cost": cost, "weight": contrast_weights(x)} if self.smoothness else {"cost": cost}

    def energy(self, x: dict[str, Tensor], y: Tensor, z: Any) -> Tensor:
        value = (x["cost"] * y).sum(dim=(1, 2))
        if not self.smoothness:
            return value
        for number, (one, other) in enumerate(pairs(y.unflatten(1, self.size))):
            height, width = one.shape[1:3]
            apart = x["weight"][:, number, :height, :width] * (1 - (one * other).sum(dim=3))
            value = value + self.smoothness * apart.sum(dim=(1, 2))
        return value

    def log_partition(self, x: dict[str, Tensor]) -> Tensor | None:
        return None if self.smoothness else torch.logsumexp(-x["cost"], dim=2).sum(dim=1)

    def log_likelihood(self, x: dict[str, Tensor], y: Tensor) -> Tensor:
        """Σ_p y_p · log softmax f_p(x), (B,), over the pixels that have a label; x is encoded.

        Raises:
            UnsupportedError: if λ > 0, where log Z is a sum over all K^P labelings.
        """
        if self.smoothness:
            raise UnsupportedError("With smoothness above 0 log Z has no closed form: train at 0, and raise it behind.")
        return (torch.log_softmax(-x["cost"], dim=2) * y).sum(dim=(1, 2))

    def structure(self, over: tuple[str, ...], x: Any, y: Any, z: Any) -> Structure:
        if over != ("y",) or x is None:
            return Structure()

        def best() -> Tensor:
            return nn.functional.one_hot(x["cost"].argmin(dim=2), self.classes).to(x["cost"].dtype).flatten(1)

        if not self.smoothness:
            return Structure(minimiser=best)
        return Structure(warm_start=best, blocks=_apart(self.size, self.classes, x["cost"].device))

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """A single pixel of another colour is not worth its border of (2 + 1/√2) / e, and two side by side are.

        Scores are 1 for the label of the own colour, and 0 for the other; λ = 1.1.
        """
        energy = cls(PointwiseScores((1, 2, 2), classes=2), smoothness=1.1)
        network: Any = energy.network
        network.weight.data.copy_(torch.tensor([-1.0, 1.0]).reshape(2, 1, 1, 1))
        network.bias.data.copy_(torch.tensor([1.0, 0.0]))
        x = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]], [[[1.0, 1.0], [0.0, 0.0]]]])
        minimum = torch.tensor([-3.0, 1.1 * (2 + math.sqrt(2)) * math.exp(-3 / 4) - 4])
        best = energy.one_hot(torch.tensor([[[0, 0], [0, 0]], [[1, 1], [0, 0]]]))
        return ReferenceCase(energy, {"x": x}, "y", minimum=minimum, minimiser=best.flatten(1))


def pairs(maps: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Both pixels of all pairs of neighbours, for each of `DIRECTIONS`: views of maps (B, H, W, F)."""
    height, width = maps.shape[1:3]
    found = []
    for down, right in DIRECTIONS:
        left = max(0, -right)
        one = maps[:, : height - down, left : width - max(0, right)]
        found.append((one, maps[:, down:, left + right : left + right + one.shape[2]]))
    return found


def contrast_weights(image: Tensor) -> Tensor:
    """w_pq = exp(−‖x_p − x_q‖² / 2σ²) / |p − q| of each direction, (B, C, H, W) → (B, N, H, W), filled up with zeros.

    σ² is the mean of ‖x_p − x_q‖² over all pairs of an image; in an image of one colour all pairs have w = 1 / |p − q|.
    """
    squares = [(one - other).square().sum(dim=3) for one, other in pairs(image.movedim(1, 3))]
    count = sum(each.shape[1] * each.shape[2] for each in squares)
    mean = torch.stack([each.sum(dim=(1, 2)) for each in squares]).sum(dim=0) / max(1, count)
    scale = 2 * torch.where(mean > 0, mean, 1)[:, None, None]
    height, width = image.shape[2:]
    return torch.stack([
        nn.functional.pad(
            torch.exp(-each / scale) / math.hypot(*direction), (0, width - each.shape[2], 0, height - each.shape[1])
        )
        for direction, each in zip(DIRECTIONS, squares, strict=True)
    ], dim=1)  # fmt: skip


@functools.lru_cache(maxsize=8)
def _apart(size: tuple[int, int], classes: int, device: torch.device) -> tuple[Tensor, ...]:
    """Four sets of pixels, by the parity of row and column, of which no two are neighbours, as coordinates of y."""
    coordinates = torch.arange(size[0] * size[1] * classes, device=device).reshape(*size, classes)
    sets = (coordinates[row::2, column::2].flatten() for row in range(2) for column in range(2))
    return tuple(each for each in sets if len(each))

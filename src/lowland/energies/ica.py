"""Square independent component analysis (system A1): a density that is normalised for any weights."""

from __future__ import annotations

import logging
import math
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lowland.domains import Reals
from lowland.energies.base import Energy, ReferenceCase
from lowland.errors import OptionError
from lowland.registry import register
from lowland.tensors import PerSampleRNG

log = logging.getLogger(__name__)


def _log_volume(matrix: Tensor) -> Tensor:
    """The logarithm of |det W|.

    ONNX only has the determinant, so the export takes it of rows of unit length, which does not overflow.
    """
    if not torch.compiler.is_exporting():
        return torch.linalg.slogdet(matrix).logabsdet
    lengths = matrix.square().sum(dim=1).sqrt()
    return lengths.log().sum() + torch.linalg.det(matrix / lengths[:, None]).abs().log()


@register("energy")
class SquareICA(Energy):
    """F(y) = −log |det W| + Σ_i ρ(s_i), s = W (y − μ): minus the log-density of y mixed from independent sources s.

    ρ is minus the log-density of a source: `"logistic"` ρ(s) = 2 log cosh(s/2) + log 4, or `"laplace"` ρ(s) = |s| + log
    2. Because of the volume term log |det W|, lowering F on the data cannot make it low everywhere. Source: Bell &
    Sejnowski (1995); Cardoso (1997) for the equivalence with maximum likelihood. Trained by
    `ll.shaping.NaturalGradient()`.

    Args:
        n_features: size of y, and number of sources.
        source: "logistic" or "laplace".
        generator: draws the initial rotation W.

    Raises:
        OptionError: for another kind of source.

    >>> energy = SquareICA(n_features=2)
    >>> energy.unmixing.data = torch.eye(2)
    >>> energy(y=torch.zeros(1, 2)).detach()                               # 2 log 4
    tensor([2.7726])
    """

    def __init__(
        self,
        n_features: int,
        source: Literal["logistic", "laplace"] = "logistic",
        generator: torch.Generator | None = None,
    ) -> None:
        if source not in ("logistic", "laplace"):
            raise OptionError(f"source must be 'logistic' or 'laplace', but it is {source!r}.")
        super().__init__(y=Reals(n_features))
        self.source = source
        generator = generator or torch.Generator().manual_seed(0)
        rotation = torch.linalg.qr(torch.randn(n_features, n_features, generator=generator)).Q
        self.unmixing = nn.Parameter(rotation.contiguous())
        self.mean = nn.Parameter(torch.zeros(n_features))

    def energy(self, x: Any, y: Tensor, z: Any) -> Tensor:
        sources = self.sources(y).abs()
        # Logistic: 2 log cosh(s/2) + log 4 = |s| + 2 log(1 + e^−|s|), which does not overflow.
        rest = math.log(2) if self.source == "laplace" else 2 * torch.log1p(torch.exp(-sources))
        return (sources + rest).sum(dim=1) - _log_volume(self.unmixing)

    def sources(self, y: Tensor) -> Tensor:
        """The sources s = W (y − μ), (B, n_features)."""
        return (y - self.mean) @ self.unmixing.T

    def initialise(self, x: Any, y: Tensor, noise: PerSampleRNG) -> None:
        """μ becomes the mean, and W a rotation after whitening to unit variance.

        Directions with less than a thousandth of the mean variance are not stretched further.
        """
        self.mean.copy_(y.mean(dim=0))
        centred = y.double() - self.mean
        values, vectors = torch.linalg.eigh(centred.T @ centred / len(y))
        if values[0] <= len(values) * torch.finfo(values.dtype).eps * values[-1]:
            log.warning(
                "The data do not vary in all %d directions: the density of SquareICA grows there without end. Use "
                "lowland.estimators.ICA, put PCA before it, or add noise to the data.",
                len(values),
            )
        deviations = values.clamp_min(1e-3 * values.mean()).sqrt()
        rotation = torch.linalg.qr(self.unmixing.double()).Q
        self.unmixing.copy_(rotation @ (vectors / deviations) @ vectors.T)

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """F is minimal where all sources are 0."""
        energy = cls(2)
        energy.unmixing.data = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
        minimum = torch.tensor([2 * math.log(4) - math.log(2)])
        return ReferenceCase(energy, {}, "y", minimum=minimum, minimiser=torch.zeros(1, 2))

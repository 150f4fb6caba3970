"""Convolutional LISTA (system S10): ISTA for convolutional sparse coding, with learned kernels and thresholds.

Legend: B samples, C channels, H height, W width, K filters, h side of a filter.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.errors import OptionError, ShapeError
from lowland.nn.lista import shrink


def spread(z: Tensor, filters: Tensor) -> Tensor:
    """Σ_k W_k ∗ z_k, circular: (B, K, H, W) and filters (K, C, h, h) → (B, C, H, W). Its adjoint is `gather`.

    >>> z = torch.zeros(1, 1, 3, 3)
    >>> z[0, 0, 2, 0] = 1
    >>> spread(z, torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]))
    tensor([[[[3., 4., 0.],
              [0., 0., 0.],
              [1., 2., 0.]]]])
    """
    margin = filters.shape[-1] - 1
    padded = torch.cat([z[..., z.shape[-2] - margin :, :], z], dim=-2)
    padded = torch.cat([padded[..., z.shape[-1] - margin :], padded], dim=-1)
    return functional.conv2d(padded, filters.flip(-2, -1).transpose(0, 1))


def gather(y: Tensor, filters: Tensor) -> Tensor:
    """Σ_c W_kc ⋆ y_c, circular correlation: (B, C, H, W) and filters (K, C, h, h) → (B, K, H, W)."""
    margin = filters.shape[-1] - 1
    padded = torch.cat([y, y[..., :margin, :]], dim=-2)
    return functional.conv2d(torch.cat([padded, padded[..., :margin]], dim=-1), filters)


class ConvolutionalLISTA(nn.Module):
    """z₁ = shrink_θ(W_e ⋆ y / L), z_{t+1} = shrink_θ(z_t + W_e ⋆ (y − W_d ∗ z_t) / L): T shrinkages of ISTA.

    W_e (correlation), W_d (convolution) and one threshold θ for each channel are learned. It is the recursion
    shrink_θ(W_e ⋆ y + S z) of Gregor & LeCun (2010) with the S of ISTA's form, z − W_e ⋆ (W_d ∗ z), as in Sreter &
    Giryes, "Learned convolutional sparse coding" (2018). Before training it is ISTA from z = 0: W_e = W_d = W and
    θ = λ / L. Boundaries are circular. L stays apart, so that W_e has weights of the size of the filters.

    Args:
        filters: W (K, C, h, h).
        sparsity: λ > 0, in units of y.
        curvature: L, the largest eigenvalue of ½‖W ∗ z‖² as a function of z, `structure(...).lipschitz` of the energy.
        shrinkages: T ≥ 1.

    Raises:
        OptionError: for λ ≤ 0, L ≤ 0 or T < 1.
        ShapeError: if the filters are not (K, C, h, h).

    >>> encoder = ConvolutionalLISTA(torch.ones(1, 1, 1, 1), sparsity=0.5, curvature=1.0, shrinkages=2)
    >>> encoder(torch.tensor([[[[2.0, 0.3], [-1.0, 0.0]]]])).detach()
    tensor([[[[ 1.5000,  0.0000],
              [-0.5000,  0.0000]]]])
    """

    gain: Tensor

    def __init__(self, filters: Tensor, sparsity: float, curvature: float, shrinkages: int = 1) -> None:
        super().__init__()
        if filters.ndim != 4 or filters.shape[2] != filters.shape[3]:
            raise ShapeError(f"Filters must have shape (K, C, h, h), not {tuple(filters.shape)}.")
        if not sparsity > 0 or not curvature > 0 or shrinkages < 1 or int(shrinkages) != shrinkages:
            raise OptionError(
                "sparsity and curvature must be positive and shrinkages a whole number of at least 1, but they are "
                f"{sparsity}, {curvature} and {shrinkages}."
            )
        self.shrinkages = shrinkages
        filters = filters.detach()
        self.analysis = nn.Parameter(torch.empty_like(filters))
        self.synthesis = nn.Parameter(torch.empty_like(filters)) if shrinkages > 1 else None
        self.thresholds = nn.Parameter(torch.empty_like(filters[:, 0, 0, 0]))
        self.register_buffer("gain", torch.empty_like(filters[0, 0, 0, 0]))
        self.start(filters, sparsity, curvature)

    @torch.no_grad()
    def start(self, filters: Tensor, sparsity: float, curvature: float) -> None:
        """Become ISTA for these filters, λ and L, in place."""
        self.analysis.copy_(filters)
        if self.synthesis is not None:
            self.synthesis.copy_(filters)
        self.thresholds.fill_(sparsity)
        self.gain.fill_(1 / curvature)

    def forward(self, y: Tensor) -> Tensor:
        """The codes (B, K, H, W) of y (B, C, H, W)."""
        filters = self.gain * self.analysis
        drive = gather(y, filters)
        threshold = (self.gain * self.thresholds)[:, None, None].expand(drive.shape[1:])
        z = shrink(drive, threshold)
        for _ in range(1, self.shrinkages):
            assert self.synthesis is not None
            z = shrink(z + drive - gather(spread(z, self.synthesis), filters), threshold)
        return z


class ConvolutionalLinear(nn.Module):
    """z = W_e ⋆ y / L: an encoder without thresholds, to compare others with. Before training W_e = W.

    Args:
        filters: W (K, C, h, h).
        curvature: L, as in `ConvolutionalLISTA`.

    >>> encoder = ConvolutionalLinear(torch.ones(2, 1, 3, 3), curvature=18.0)
    >>> encoder(torch.ones(1, 1, 8, 8)).unique().tolist()
    [0.5]
    """

    def __init__(self, filters: Tensor, curvature: float) -> None:
        super().__init__()
        self.analysis, self.curvature = nn.Parameter(filters.detach().clone()), curvature

    def forward(self, y: Tensor) -> Tensor:
        """(B, C, H, W) → (B, K, H, W)."""
        return gather(y, self.analysis / self.curvature)

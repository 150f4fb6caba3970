"""Representations of many samples, for evaluating a frozen encoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lowland.errors import OptionError


@torch.no_grad()
def represent(encoder: nn.Module, samples: Tensor, batch_size: int = 1024) -> Tensor:
    """The encoder's output for each sample, (N, D) float32, on the device of the samples.

    The encoder runs on its own device in evaluation mode, so that batch normalisation uses its running statistics and a
    representation depends only on its own sample. Its train modes are restored afterwards.

    Args:
        encoder: (B, *shape) → (B, D), such as one of `lowland.nn.encoders`, or `JointEmbedding.branch.encoder`.
        samples: (N, *shape).
        batch_size: samples per forward pass.

    >>> from lowland.nn.encoders import ConvNet
    >>> represent(ConvNet((1, 28, 28)), torch.zeros(3, 1, 28, 28)).shape
    torch.Size([3, 256])
    """
    if batch_size < 1 or not len(samples):
        raise OptionError(f"represent needs samples and a batch_size of at least 1, not {len(samples)}, {batch_size}.")
    own = next(iter(encoder.parameters()), samples)
    modes = {module: module.training for module in encoder.modules()}
    encoder.eval()
    try:
        parts = [encoder(part.to(own)).float().to(samples.device) for part in samples.split(batch_size)]
    finally:
        for module, mode in modes.items():
            module.training = mode
    return torch.cat(parts)


def principal_reconstruction(known: Tensor, y: Tensor, count: int, precision: torch.dtype | None = None) -> Tensor:
    """μ + Σ_k ⟨y − μ, v_k⟩ v_k, with v_k the first principal axes of known samples: what PCA makes of y, (B, n).

    Args:
        known: (N, n), of which μ is the mean.
        y: (B, n).
        count: axes.
        precision: of the decomposition; by default that of `known`.

    >>> known = torch.tensor([[1.0, 0.1], [-1.0, 0.1], [0.0, -0.2]])
    >>> principal_reconstruction(known, torch.tensor([[3.0, 5.0]]), 1).abs().round(decimals=4)
    tensor([[3., 0.]])
    """
    mean = known.mean(dim=0)
    axes = torch.linalg.svd((known - mean).to(precision or known.dtype), full_matrices=False).Vh[:count].to(y)
    return mean + (y - mean) @ axes.T @ axes

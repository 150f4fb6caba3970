"""Small samples to try things on: series that are made here, and the chemical measurements of wines."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def chirps(count: int, generator: torch.Generator, times: int = 128) -> Tensor:
    """Series of two channels, (count, 2, times): a wave whose pitch rises, and a bump.

    Args:
        count: series.
        generator: draws the pitch, its rise and the place of the bump.
        times: steps of a series.

    >>> chirps(3, torch.Generator().manual_seed(0)).shape
    torch.Size([3, 2, 128])
    """
    time = torch.linspace(0, 1, times)
    pitch, rise, place = torch.rand(3, count, 1, generator=generator)
    wave = torch.sin(2 * torch.pi * (2 + 3 * pitch + 2 * rise * time) * time)
    bump = torch.exp(-(((time - 0.2 - 0.6 * place) / 0.08) ** 2))
    return torch.stack([wave, bump], dim=1)


def wines(count: int, generator: torch.Generator) -> Tensor:
    """The 13 chemical measurements of wines (scikit-learn), standardised, (count, 13) in random order; 178 at most.

    >>> found = wines(178, torch.Generator().manual_seed(0))
    >>> found.shape, bool((found.mean(dim=0).abs() < 1e-5).all())
    (torch.Size([178, 13]), True)
    """
    from sklearn.datasets import load_wine

    measures = torch.from_numpy(np.asarray(load_wine(return_X_y=True)[0], dtype=np.float32))
    measures = (measures - measures.mean(dim=0)) / measures.std(dim=0)
    return measures[torch.randperm(len(measures), generator=generator)][:count]

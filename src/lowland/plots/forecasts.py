"""Forecasts of films: what happens, one answer, and samples that differ."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure
from torch import Tensor

from lowland.errors import ShapeError
from lowland.plots.images import image_rows


def forecast_rows(past: Tensor, future: Tensor, answer: Tensor, samples: Tensor, name: str = "one answer") -> Figure:
    """The frames of a film, one answer to its past, and the best, the median and the worst of several samples.

    Samples are ordered by their squared error. Only the first row shows the past.

    Args:
        past, future: (P, H, W) and (F, H, W), grey levels in [0, 1].
        answer: (F, H, W), a single prediction of the future.
        samples: (N, F, H, W), several of them.
        name: what the answer is called.

    Raises:
        ShapeError: for predictions that are not of the shape of the future.

    >>> drawn = forecast_rows(torch.rand(2, 8, 8), torch.rand(3, 8, 8), torch.rand(3, 8, 8), torch.rand(9, 3, 8, 8))
    >>> [text.get_text() for text in drawn.axes[0].texts]
    ['what happens', 'one answer', 'best sample', 'median sample', 'worst sample']
    """
    if answer.shape != future.shape or samples.shape[1:] != future.shape or not len(samples):
        raise ShapeError(
            f"Predictions must have the shape of the future, {tuple(future.shape)}, but the answer is "
            f"{tuple(answer.shape)} and the samples are {tuple(samples.shape)}."
        )
    order = (samples - future).flatten(1).square().sum(dim=1).argsort()
    chosen = {"best sample": order[0], "median sample": order[len(order) // 2], "worst sample": order[-1]}
    rows = {name: answer} | {label: samples[index] for label, index in chosen.items()}
    empty = torch.full_like(past, torch.nan)
    films = {"what happens": torch.cat([past, future.clamp(0, 1)])}
    films |= {label: torch.cat([empty, row.clamp(0, 1)]) for label, row in rows.items()}
    return image_rows(films, signed=False, each=False, ruled=True)

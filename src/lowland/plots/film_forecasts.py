"""Forecasts of films: what happens, one answer, samples that differ, and what a latent variable changes in them."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure
from torch import Tensor

from lowland.energies.conditional_autoencoder import ConditionalAutoencoder
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


@torch.no_grad()
def latent_axes(
    energy: ConditionalAutoencoder, x: Tensor, shape: tuple[int, int, int], generator: torch.Generator
) -> list[Figure]:
    """What z changes: answers to the first x along the two widest axes of the prior, then the deviation over z by x.

    Along an axis z goes from two standard deviations below the mean of the prior to two above it; with one latent
    there is one axis.

    Args:
        energy: trained, with its prior fitted.
        x: (N, n_inputs).
        shape: (F, H, W) of an answer.
        generator: draws 50 z for the deviations.

    >>> energy = ConditionalAutoencoder(n_inputs=3, n_features=8, n_latents=2)
    >>> len(latent_axes(energy, torch.zeros(2, 3), (2, 2, 2), torch.Generator().manual_seed(0)))
    3
    """
    ways, panels = torch.linspace(-2, 2, 7), []
    names = [f"{round(way, 1) + 0.0:+.1f}" for way in ways.tolist()]
    for axis in range(min(2, len(energy.prior_mean))):
        panels.append(dict(zip(names, energy.predict_along(x[:1], ways, axis)[0], strict=True)))
    noise = torch.randn(50, len(energy.prior_mean), generator=generator)
    z = (energy.prior_mean + noise @ energy.prior_root.T)[None]
    panels.append({str(n + 1): energy.predict(one[None], z)[0].std(dim=0) for n, one in enumerate(x)})
    drawn = [{name: row.reshape(shape).clamp_min(0) for name, row in panel.items()} for panel in panels]
    return [image_rows(panel, signed=False, each=False, ruled=True) for panel in drawn]

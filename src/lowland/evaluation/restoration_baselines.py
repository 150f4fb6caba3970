"""Restoration by scikit-image, with the best settings for each image: baselines for learned methods."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from lowland.evaluation.restoration import psnr

DENOISERS = ("wavelets", "non-local means", "total variation")


def has_scikit_image() -> bool:
    """Whether scikit-image is installed, which the functions below need."""
    return importlib.util.find_spec("skimage") is not None


def denoisers(noisy: Tensor, sigma: float) -> dict[str, dict[str, Callable[[], Tensor]]]:
    """For each method and setting, a function that denoises the image.

    Wavelets with both thresholds of scikit-image, soft and hard; non-local means with patches of 5 and 7 pixels, looked
    for up to 11 pixels away, each with three strengths h; total variation with seven weights.

    Args:
        noisy: (C, H, W); channels are denoised separately.
        sigma: standard deviation of the noise, in units of the image.

    >>> {name: len(settings) for name, settings in denoisers(torch.rand(1, 16, 16), 0.1).items()}
    {'wavelets': 4, 'non-local means': 6, 'total variation': 7}
    """
    from skimage.restoration import denoise_nl_means, denoise_tv_chambolle, denoise_wavelet

    channels = noisy.double().numpy()

    def each(function: Any, /, **options: Any) -> Callable[[], Tensor]:
        return lambda: torch.stack([torch.as_tensor(function(one, **options)).float() for one in channels]).clamp(0, 1)

    wavelets = {
        f"{method}, {mode}": each(denoise_wavelet, sigma=sigma, method=method, mode=mode, rescale_sigma=True)
        for method in ("BayesShrink", "VisuShrink")
        for mode in ("soft", "hard")
    }
    means = {
        f"patches of {size}, h = {h:g} σ": each(
            denoise_nl_means, patch_size=size, patch_distance=11, h=h * sigma, sigma=sigma, fast_mode=True
        )
        for size in (5, 7)
        for h in (0.4, 0.6, 0.8)
    }
    variation = {
        f"weight {weight:g}": each(denoise_tv_chambolle, weight=weight)
        for weight in (0.04, 0.06, 0.08, 0.1, 0.12, 0.16, 0.2)
    }
    return dict(zip(DENOISERS, (wavelets, means, variation), strict=True))


def best_setting(candidates: Mapping[str, Callable[[], Tensor]], truth: Tensor) -> tuple[Tensor, str]:
    """The result closest to the truth, and its setting.

    Choosing the setting by the true image favours the baseline, since no user could do so.

    >>> best_setting({"a": lambda: torch.zeros(1, 2, 2), "b": lambda: torch.ones(1, 2, 2)}, torch.ones(1, 2, 2))[1]
    'b'
    """
    made = {setting: make() for setting, make in candidates.items()}
    chosen = max(made, key=lambda setting: psnr(made[setting], truth))
    return made[chosen], chosen


def biharmonic(picture: Tensor, hidden: Tensor) -> Tensor:
    """Hidden pixels by the biharmonic equation, channel by channel, (C, H, W).

    Args:
        picture: (C, H, W); values at hidden pixels are ignored.
        hidden: (1, H, W) of booleans.

    >>> hidden = torch.zeros(1, 9, 9, dtype=torch.bool)
    >>> hidden[:, 4, 4] = True
    >>> round(float(biharmonic(torch.full((1, 9, 9), 0.5), hidden)[0, 4, 4]), 3)
    0.5
    """
    from skimage.restoration import inpaint_biharmonic

    mask = hidden[0].numpy()
    channels = [inpaint_biharmonic((channel * ~hidden[0]).double().numpy(), mask) for channel in picture]
    return torch.stack([torch.as_tensor(one) for one in channels]).float().clamp(0, 1)

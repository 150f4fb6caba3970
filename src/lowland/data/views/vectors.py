"""Views of vectors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lowland.data.views.options import check_probabilities, check_samples, check_strengths
from lowland.tensors import PerSampleRNG


@dataclass(frozen=True)
class VectorViews:
    """Gaussian noise on the features of vectors (B, D), and features set to zero.

    The corruptions of Vincent et al. 2008 and 2010 (denoising autoencoders: additive Gaussian noise, masking noise).
    Features should be standardised, so that zero carries no information and `noise` is relative to their spread.

    Args:
        noise: standard deviation of the noise added to each feature.
        drop: probability of setting a feature to zero.

    Raises:
        OptionError: for a negative standard deviation, or a probability outside [0, 1].
        ShapeError: when called with anything but vectors with one stream each.

    >>> VectorViews(noise=0, drop=0.5)(torch.ones(1, 6), PerSampleRNG(0, torch.arange(1)))
    tensor([[1., 0., 0., 1., 0., 0.]])
    """

    noise: float = 0.1
    drop: float = 0.2

    def __post_init__(self) -> None:
        check_strengths(noise=self.noise)
        check_probabilities(drop=self.drop)

    @classmethod
    def none(cls) -> VectorViews:
        """No augmentation."""
        return cls(noise=0, drop=0)

    @torch.no_grad()
    def __call__(self, samples: Tensor, noise: PerSampleRNG) -> Tensor:
        check_samples(samples, noise, "(B, D)")
        features = samples.shape[1]
        if self.noise:
            samples = samples + self.noise * noise.normal(features)
        if self.drop:
            samples = samples * (noise.uniform(features) >= self.drop)
        return samples

"""Views of series."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lowland.data.views.options import check_probabilities, check_range, check_samples, check_strengths
from lowland.errors import OptionError
from lowland.tensors import PerSampleRNG


@dataclass(frozen=True)
class SeriesViews:
    """Crop and resize, time warp, scale, jitter and mask of series (B, C, T), in this order.

    Um et al. 2017 (jitter, scaling, time warping, cropping), with the strengths that the survey of Iwana & Uchida 2021
    recommends where it names one. Crop and warp are one resampling in time, by linear interpolation:

        y(t) = x(τ(t)),   dτ/dt ∝ exp(w(t)),

    with w linear between `knots` draws from N(0, warp²), so time never runs backwards.

    Args:
        crop: fraction of the time to keep, uniform between the two ends; (1, 1) for no crop.
        warp: standard deviation of the log speed; 0 for no warp.
        knots: number of draws for the speed.
        scale: standard deviation of the factor of each channel, drawn from N(1, scale²).
        jitter: standard deviation of the noise, relative to that of the channel over time.
        mask: probability that a span of time is set to the mean of each channel.
        masked: fraction of the time it covers, uniform between the two ends.

    Raises:
        OptionError: for an invalid probability, strength or range.
        ShapeError: when called with anything but series with one stream each.

    >>> views = SeriesViews(warp=0.3)
    >>> views(torch.rand(4, 2, 100), PerSampleRNG(0, torch.arange(4))).shape
    torch.Size([4, 2, 100])
    """

    crop: tuple[float, float] = (0.5, 1.0)
    warp: float = 0.2
    knots: int = 6
    scale: float = 0.1
    jitter: float = 0.05
    mask: float = 0.0
    masked: tuple[float, float] = (0.05, 0.2)

    def __post_init__(self) -> None:
        check_range("crop", self.crop, 1)
        check_range("masked", self.masked, 1)
        check_strengths(warp=self.warp, scale=self.scale, jitter=self.jitter)
        check_probabilities(mask=self.mask)
        if self.knots < 2:
            raise OptionError(f"A warp has at least 2 knots, but knots is {self.knots}.")

    @classmethod
    def none(cls) -> SeriesViews:
        """No augmentation."""
        return cls(crop=(1, 1), warp=0, scale=0, jitter=0)

    @classmethod
    def crop_only(cls) -> SeriesViews:
        """Only crop and resize."""
        return cls(warp=0, scale=0, jitter=0)

    @torch.no_grad()
    def __call__(self, samples: Tensor, noise: PerSampleRNG) -> Tensor:
        check_samples(samples, noise, "(B, C, T)")
        channels, times = samples.shape[1:]
        drawn, normal = noise.uniform(6), noise.normal(self.knots + channels)
        if self.crop[0] < 1 or self.warp:
            samples = _resample(samples, self._clock(times, drawn, self.warp * normal[:, : self.knots]))
        if self.scale:
            samples = samples * (1 + self.scale * normal[:, self.knots :, None])
        if self.jitter:
            spread = (samples - samples.mean(dim=2, keepdim=True)).square_().mean(dim=2, keepdim=True).sqrt_()
            samples = torch.addcmul(samples, self.jitter * spread, noise.normal(channels, times))
        if self.mask:
            length = self.masked[0] + (self.masked[1] - self.masked[0]) * drawn[:, 3:4]
            share = (torch.arange(times, device=samples.device).to(samples) + 0.5) / times
            past = share - drawn[:, 4:5] * (1 - length)
            inside = (drawn[:, 5:6] < self.mask) & (past >= 0) & (past < length)
            samples = torch.where(inside[:, None], samples.mean(dim=2, keepdim=True), samples)
        return samples

    def _clock(self, times: int, drawn: Tensor, log_speed: Tensor) -> Tensor:
        """τ(t), (B, T), in samples."""
        share = self.crop[0] + (self.crop[1] - self.crop[0]) * drawn[:, :1]
        first = drawn[:, 1:2] * (1 - share) * (times - 1)
        place = torch.linspace(0, self.knots - 1, times, device=drawn.device, dtype=drawn.dtype)
        speed = _resample(log_speed[:, None], place.expand(len(drawn), -1))[:, 0].exp()
        passed = (speed.cumsum(dim=1) - speed[:, :1]) / (speed.sum(dim=1, keepdim=True) - speed[:, :1]).clamp_min(1e-12)
        return first + share * (times - 1) * passed


def _resample(series: Tensor, place: Tensor) -> Tensor:
    """(B, C, S) sampled at positions (B, T) in [0, S − 1], by linear interpolation."""
    last = series.shape[2] - 1
    before = place.clamp(0, last).floor()
    index = before.long()[:, None].expand(-1, series.shape[1], -1)
    after = (index + 1).clamp_max(last)
    return torch.lerp(series.gather(2, index), series.gather(2, after), (place - before).to(series)[:, None])

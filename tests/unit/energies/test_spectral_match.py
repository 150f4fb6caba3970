"""The distance of sounds by their spectra, against another implementation of the transform."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lowland.energies.spectral_match import SpectralMatch, log_spectra
from lowland.errors import OptionError, ShapeError


def test_spectra_are_those_of_torch() -> None:
    """torch.stft with zeros around the sound is another path to the same numbers."""
    y = torch.randn(3, 4096, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    window = torch.hann_window(512, dtype=torch.float64)
    other = torch.stft(y, 512, 128, window=window, center=True, pad_mode="constant", return_complex=True)
    torch.testing.assert_close(log_spectra(y, 512, 128, 0.5), (0.5 + other.abs().square()).log())


def test_a_phase_costs_less_than_a_semitone() -> None:
    """Tones without sharp ends that differ in phase alone sound the same; one of the next pitch does not."""
    time, loudness = torch.arange(8192) / 8000, torch.hann_window(8192)
    tones = torch.stack([loudness * torch.sin(2 * torch.pi * 440 * time + phase) for phase in (0.0, 1.0, 2.0)])
    sharp = loudness * torch.sin(2 * torch.pi * 440 * 2 ** (1 / 12) * time)[None]
    energy = SpectralMatch(nn.Identity(), 8192)
    same, other = energy(x=tones[:1].expand(2, -1), y=tones[1:]), energy(x=tones[:1], y=sharp)
    assert float(same.max()) < 0.1 * float(other)


def test_the_mean_of_known_numbers() -> None:
    """A lone impulse in the middle of a window has a flat spectrum: its height squared, in one frame of 3."""
    y = torch.zeros(1, 4)
    y[0, 2] = 3.0
    energy = SpectralMatch(nn.Identity(), 4, window=4, hop=2)
    # Frames are centred on samples 0, 2 and 4; Hann's window is 1 in the middle and 0 two samples beside it.
    expected = torch.log(torch.tensor(10.0)) / 3
    torch.testing.assert_close(energy(x=torch.zeros(1, 4), y=y)[0], expected)


def test_bad_arguments_are_one_sentence() -> None:
    with pytest.raises(OptionError, match="must be even, but it is 5"):
        SpectralMatch(nn.Identity(), 8, window=5)
    with pytest.raises(OptionError, match="floor"):
        SpectralMatch(nn.Identity(), 8, floor=0.0)
    with pytest.raises(ShapeError, match=r"sounds \(B, 8\), but it made \(2, 4\)"):
        SpectralMatch(nn.Linear(8, 4), 8, window=4, hop=2)(x=torch.zeros(2, 8), y=torch.zeros(2, 8))

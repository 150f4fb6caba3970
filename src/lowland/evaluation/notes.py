"""How near made notes are to the true ones, and notes that need no network (system M11).

Legend: N notes, L samples of each.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from lowland.data.notes import Notes
from lowland.energies.spectral_match import log_spectra

_PIECE = 64
_PADDED = 4
IN_TUNE = 50.0
"""Cents within which a partial counts as right: half a semitone."""


@torch.no_grad()
def spectral_losses(made: Tensor, true: Tensor) -> Tensor:
    """E of `SpectralMatch` for each pair of sounds, (N, L) twice → (N,).

    >>> spectral_losses(torch.zeros(2, 2048), torch.zeros(2, 2048)).tolist()
    [0.0, 0.0]
    """
    pairs = zip(made.split(_PIECE), true.split(_PIECE), strict=True)
    return torch.cat([(log_spectra(one) - log_spectra(other)).abs().mean(dim=(1, 2)) for one, other in pairs])


def nearest_rows(known: Notes, wanted: Notes) -> Tensor:
    """For each wanted note the number of the known one of its instrument and velocity with the nearest pitch, (N,).

    Of two that are equally near it is the lower one.

    >>> from lowland.data.notes import all_notes
    >>> notes = all_notes(torch.zeros(3, 8), ["flute"], [60, 62, 67], [100], 8000)
    >>> nearest_rows(notes.take(torch.tensor([0, 2])), notes.take(torch.tensor([1]))).tolist()
    [0]
    """
    other = (known.symbols[:, None, [0, 2]] != wanted.symbols[None, :, [0, 2]]).any(dim=2)
    far = known.keys[:, None] - wanted.keys[None]
    cost = (2 * far.abs() + (far > 0)).masked_fill(other, torch.iinfo(far.dtype).max)
    return cost.argmin(dim=0)


def resampled(waves: Tensor, semitones: Tensor) -> Tensor:
    """Sounds raised by so many semitones, (N, L) and (N,) → (N, L): played at 2^(s/12) times their speed.

    The interpolation is exact below the new half rate, and silence follows the sound.

    >>> tone = torch.sin(2 * torch.pi * 0.01 * torch.arange(1200))[None]
    >>> octave = torch.sin(2 * torch.pi * 0.02 * torch.arange(1200))
    >>> bool((resampled(tone, torch.tensor([12])) - octave)[0, 50:550].abs().max() < 0.02)
    True
    """
    from scipy.signal import resample

    length = waves.shape[1]
    raised = []
    for wave, step in zip(waves.double().numpy(), semitones.tolist(), strict=True):
        count = round(2 * length / 2 ** (step / 12))
        # As much silence behind, since the transform takes the sound for a period.
        whole = torch.from_numpy(resample(torch.nn.functional.pad(torch.from_numpy(wave), (0, length)).numpy(), count))
        raised.append(torch.nn.functional.pad(whole, (0, max(0, length - count)))[:length])
    return torch.stack(raised).to(waves.dtype)


def strongest_partials(waves: Tensor, rate: int) -> Tensor:
    """Hertz of the highest peak of each sound's spectrum, (N, L) → (N,); NaN for silence.

    The spectrum is of the whole sound under Hann's window; a parabola through the logarithms of its three highest
    points finds the peak between them.

    >>> tone = torch.sin(2 * torch.pi * 441.3 * torch.arange(8000) / 8000)[None]
    >>> round(float(strongest_partials(tone, 8000)), 1)
    441.3
    """
    length = waves.shape[1]
    window = torch.hann_window(length, dtype=torch.float64)
    found = []
    for part in waves.double().split(_PIECE):
        power = torch.fft.rfft(part * window, _PADDED * length).abs().square()
        top = power[:, 1:-1].argmax(dim=1, keepdim=True) + 1
        left, middle, right = (power.gather(1, top + step).clamp_min(1e-300).log() for step in (-1, 0, 1))
        curve = left - 2 * middle + right
        place = top + torch.where(curve < 0, 0.5 * (left - right) / curve, 0.0)
        found.append(torch.where(power.amax(dim=1) > 1e-12, place[:, 0] * rate / (_PADDED * length), torch.nan))
    return torch.cat(found).to(waves.dtype)


def cents_off(made: Tensor, true: Tensor, rate: int) -> Tensor:
    """How far the strongest partial of a made note is from that of the true one, in cents ≥ 0, (N,).

    1200 |log2(f / f*)|: 100 for a semitone. Where another harmonic is the strongest, it is 1200 or more.
    """
    return 1200 * (strongest_partials(made, rate) / strongest_partials(true, rate)).log2().abs()


def judged_notes(made: Mapping[str, Tensor], true: Notes) -> dict[str, dict[str, float]]:
    """Of each method, by name: the mean spectral loss, the share of notes in tune and the median of cents.

    A note is in tune where its strongest partial is within 50 cents of that of the true note; silence is not, and has
    no cents. What makes nothing but silence has only a loss.

    Args:
        made: (N, L) by method.
        true: the N notes.
    """
    rows = {}
    for name, waves in made.items():
        rows[name] = {"loss": float(spectral_losses(waves, true.waves).mean())}
        cents = cents_off(waves, true.waves, true.rate)
        if not bool(cents.isnan().all()):
            right = float((cents <= IN_TUNE).double().mean())
            rows[name] |= {"in tune": 100 * right, "cents": float(cents.nanmedian())}
    return rows


def simple_notes(train: Notes, wanted: Notes) -> dict[str, Tensor]:
    """Sounds (N, L) without learning: "silence", the "nearest" known note, and this one "resampled" to the pitch."""
    rows = nearest_rows(train, wanted)
    near = train.waves[rows]
    return {
        "silence": torch.zeros_like(near), "nearest": near, "resampled": resampled(near, wanted.keys - train.keys[rows])
    }  # fmt: skip


@torch.no_grad()
def times_real_time(network: nn.Module, symbols: Tensor, seconds: float) -> float:
    """Seconds of sound that are made in a second of the processor, one note at a time.

    Args:
        network: from symbols (1, 3) to a sound.
        symbols: (N, 3) of the notes to make.
        seconds: how long each of them is.
    """
    network(symbols[:1])
    began = time.process_time()
    for one in symbols.split(1):
        network(one)
    return seconds * len(symbols) / max(time.process_time() - began, 1e-9)

"""Notes as waveforms with their instrument, pitch and velocity (system M11).

Legend: N notes, L samples of each, K harmonics.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from lowland.errors import DataError, OptionError

_KEYS = 128
"""Pitches and velocities of MIDI are from 0 to 127."""


def frequency(pitch: Tensor) -> Tensor:
    """Hertz of the numbers of keys in equal temperament: 440 · 2^((p − 69) / 12).

    >>> frequency(torch.tensor([69, 57])).tolist()
    [440.0, 220.0]
    """
    return 440.0 * 2.0 ** ((pitch.to(torch.get_default_dtype()) - 69) / 12)


@dataclass(frozen=True)
class Notes:
    """N notes of L samples.

    Attributes:
        waves: (N, L), about −1 to 1.
        symbols: (N, 3) whole numbers: the places of instrument, pitch and velocity in the lists below.
        instruments: names.
        pitches: numbers of keys, 60 for middle C.
        velocities: how hard keys are struck, from 1 to 127.
        rate: samples per second.
    """

    waves: Tensor = field(repr=False)
    symbols: Tensor = field(repr=False)
    instruments: tuple[str, ...]
    pitches: tuple[int, ...]
    velocities: tuple[int, ...]
    rate: int

    def __len__(self) -> int:
        return len(self.waves)

    def take(self, rows: Tensor) -> Notes:
        """Some of the notes, by their numbers (M,)."""
        lists = self.instruments, self.pitches, self.velocities
        return Notes(self.waves[rows], self.symbols[rows], *lists, self.rate)

    @property
    def keys(self) -> Tensor:
        """The pitch of each note, (N,)."""
        return torch.tensor(self.pitches)[self.symbols[:, 1]]

    @property
    def sizes(self) -> tuple[int, int, int]:
        """How many instruments, pitches and velocities there are."""
        return len(self.instruments), len(self.pitches), len(self.velocities)

    def name(self, row: int) -> str:
        """What a note is, in words.

        >>> all_notes(torch.zeros(1, 8), ["flute"], [60], [100], 8000).name(0)
        'flute, pitch 60, velocity 100'
        """
        instrument, pitch, velocity = self.symbols[row].tolist()
        return f"{self.instruments[instrument]}, pitch {self.pitches[pitch]}, velocity {self.velocities[velocity]}"


class SplitNotes(NamedTuple):
    """Notes to learn from, to choose settings on, and to test on."""

    train: Notes
    validation: Notes
    test: Notes


def all_notes(
    waves: Tensor, instruments: Sequence[str], pitches: Sequence[int], velocities: Sequence[int], rate: int
) -> Notes:
    """Notes in the order of instruments, pitches and velocities, the last of which changes fastest.

    Args:
        waves: (N, L), N the product of the numbers of all three.
        instruments, pitches, velocities, rate: see `Notes`.

    Raises:
        DataError: for another number of waves.
    """
    sizes = len(instruments), len(pitches), len(velocities)
    symbols = torch.cartesian_prod(*map(torch.arange, sizes)).reshape(-1, 3)
    if len(symbols) != len(waves):
        raise DataError(f"There are {len(waves)} waves, but {' × '.join(map(str, sizes))} notes.")
    return Notes(waves, symbols, tuple(instruments), tuple(pitches), tuple(velocities), rate)


def check_notes(
    instruments: Sequence[str], pitches: Sequence[int], velocities: Sequence[int], rate: int, samples: int
) -> None:
    """Raise an OptionError unless there are such notes at this rate."""
    if not instruments or not pitches or not velocities or samples < 1 or rate < 1:
        raise OptionError("Notes need at least one instrument, pitch, velocity and sample, and a rate of at least 1.")
    for pitch in pitches:
        if not 0 <= pitch < _KEYS:
            raise OptionError(f"A pitch is the number of a key from 0 to {_KEYS - 1}, but one is {pitch}.")
        if float(frequency(torch.tensor(pitch))) >= rate / 2:
            raise OptionError(f"Pitch {pitch} is above half of {rate} samples per second: give a lower pitch.")
    for velocity in velocities:
        if not 1 <= velocity < _KEYS:
            raise OptionError(f"A velocity is from 1 to {_KEYS - 1}, but one is {velocity}.")


def split_notes(notes: Notes, generator: torch.Generator, held: float = 0.1) -> SplitNotes:
    """A split by pairs of instrument and pitch, as Défossez et al. (2018, section 4.1) split NSynth.

    No pair of one part is in another, at any velocity. Of each pitch there is an instrument to learn from, and of each
    instrument a pitch.

    Args:
        notes: all of them.
        generator: draws the pairs.
        held: the share of pairs for the test; as many are for validation.

    Raises:
        DataError: if a part would be empty, or a pitch or an instrument would be in no pair to learn from.

    >>> notes = all_notes(torch.zeros(50, 4), "abcde", range(60, 65), (60, 100), 8000)
    >>> [len(part) for part in split_notes(notes, torch.Generator().manual_seed(0))]
    [42, 4, 4]
    """
    instruments, pitches, _ = notes.sizes
    pairs = instruments * pitches
    count = round(held * pairs)
    pair = notes.symbols[:, 0] * pitches + notes.symbols[:, 1]
    order = torch.randperm(pairs, generator=generator)
    # One pair of each instrument and one of each pitch always stay, on shifted diagonals.
    kept = torch.zeros(instruments, pitches, dtype=torch.bool)
    longest = torch.arange(max(instruments, pitches))
    kept[longest % instruments, longest % pitches] = True
    free = [one for one in order.tolist() if not bool(kept.flatten()[one])]
    if count < 1 or len(free) < 2 * count:
        raise DataError(
            f"{instruments} instruments at {pitches} pitches are {pairs} pairs, too few to hold out {held:.0%} of them "
            "twice: give more."
        )
    place = torch.zeros(pairs, dtype=torch.long)
    place[torch.tensor(free[:count])] = 2
    place[torch.tensor(free[count : 2 * count])] = 1
    return SplitNotes(*(notes.take((place[pair] == part).nonzero()[:, 0]) for part in range(3)))


def synthetic_notes(
    instruments: int, pitches: Sequence[int], velocities: Sequence[int], generator: torch.Generator,
    rate: int = 8000, samples: int = 8192, harmonics: int = 8,
) -> Notes:  # fmt: skip
    """Sums of decaying harmonics, a stand-in that needs no download: Σ_k a_k sin(2π k f t + φ_k) exp(−d_k t).

    Each instrument draws its own a_k, φ_k and d_k. All amplitudes together are the velocity over 127.

    Args:
        instruments: how many.
        pitches, velocities, rate, samples: see `Notes`.
        generator: draws the instruments.
        harmonics: K; those above half the rate are left out.

    Raises:
        OptionError: for pitches or velocities that do not exist.

    >>> synthetic_notes(2, [60, 62], [100], torch.Generator().manual_seed(0), samples=256).waves.shape
    torch.Size([4, 256])
    """
    names = [f"instrument {number + 1}" for number in range(instruments)]
    check_notes(names, pitches, velocities, rate, samples)
    time_L = torch.arange(samples) / rate
    number_K = torch.arange(1, harmonics + 1)
    waves = []
    for _ in range(instruments):
        size_K = torch.rand(harmonics, generator=generator) / number_K
        turn_K = 2 * torch.pi * torch.rand(harmonics, generator=generator)
        decay_K = 4 * torch.rand(harmonics, generator=generator) * number_K
        for tone in frequency(torch.tensor(pitches)).tolist():
            heard_K = (number_K * tone < rate / 2).float() * size_K / size_K.sum()
            phase_KL = 2 * torch.pi * tone * number_K[:, None] * time_L + turn_K[:, None]
            wave_L = (heard_K[:, None] * phase_KL.sin() * torch.exp(-decay_K[:, None] * time_L)).sum(dim=0)
            waves += [wave_L * velocity / (_KEYS - 1) for velocity in velocities]
    return all_notes(torch.stack(waves), names, pitches, velocities, rate)

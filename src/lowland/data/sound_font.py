"""The SoundFont TimGM6mb, recorded notes of the instruments of General MIDI, and notes that are played from it."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lowland.data.catalogue import dataset
from lowland.data.lookup import read
from lowland.data.notes import Notes, all_notes, check_notes
from lowland.data.source import Source
from lowland.errors import DataError, OptionError, UnsupportedError, nearest

_ARCHIVE, _FILE = "timgm6mb-soundfont_1.3-5_all.deb", "TimGM6mb.sf2"
_SOURCE = Source(
    name="sound-font",
    package="timgm6mb-soundfont",
    version="1.3-5",
    sha256={
        _ARCHIVE: "034abdfb296d9353433513dad5dbdcab46425ee6008fc02fe7039b46e75edc54",
        _FILE: "c5378b62028c920cb11e4803327983fee2f2cdff5dc89c708e39da417e51c854",
    },
    client="apt",
    archive=_ARCHIVE,
    size=5_426_644,
    root="usr/share/sounds/sf2",
    installed=("/usr/share/sounds/sf2",),
)
GENERAL_MIDI = tuple(
    """acoustic grand piano, bright piano, electric grand piano, honky-tonk piano, electric piano 1, electric piano 2,
    harpsichord, clavinet, celesta, glockenspiel, music box, vibraphone, marimba, xylophone, tubular bells, dulcimer,
    drawbar organ, percussive organ, rock organ, church organ, reed organ, accordion, harmonica, bandoneon,
    nylon guitar, steel guitar, jazz guitar, clean guitar, muted guitar, overdriven guitar, distortion guitar,
    guitar harmonics, acoustic bass, fingered bass, picked bass, fretless bass, slap bass 1, slap bass 2, synth bass 1,
    synth bass 2, violin, viola, cello, contrabass, tremolo strings, pizzicato strings, harp, timpani, strings,
    slow strings, synth strings 1, synth strings 2, choir aahs, voice oohs, synth voice, orchestra hit, trumpet,
    trombone, tuba, muted trumpet, french horn, brass section, synth brass 1, synth brass 2, soprano sax, alto sax,
    tenor sax, baritone sax, oboe, english horn, bassoon, clarinet, piccolo, flute, recorder, pan flute, blown bottle,
    shakuhachi, whistle, ocarina, square lead, saw lead, calliope lead, chiff lead, charang lead, voice lead,
    fifths lead, bass and lead, new age pad, warm pad, poly synth pad, choir pad, bowed pad, metallic pad, halo pad,
    sweep pad, rain, soundtrack, crystal, atmosphere, brightness, goblins, echoes, sci-fi, sitar, banjo, shamisen, koto,
    kalimba, bagpipe, fiddle, shanai""".replace("\n    ", " ").split(", ")
)
"""Names of the programs 0 to 111 of General MIDI, those that play a pitch, in its order."""
_FINE = 4
"""Notes are played at this many times their rate, and filtered, since the synthesiser does not filter."""
_QUIET = 1e-3
_RELEASED = 0.75


@dataclass(frozen=True)
class SoundFont:
    """The content of a file in the format SoundFont 2."""

    content: bytes = field(repr=False)

    @property
    def summary(self) -> str:
        """How large it is."""
        return f"a SoundFont of {len(self.content):,} bytes"


@dataset(
    what="TimGM6mb, a SoundFont with recorded notes of the instruments of General MIDI.",
    size="5,969,788 bytes",
    licence="GPL-2",
    source=_SOURCE,
)
def sound_font(data_dir: str | Path | None = None) -> SoundFont:
    """TimGM6mb by Tim Brechbill, from the Debian package timgm6mb-soundfont.

    Args:
        data_dir: folder with the Debian package or the file TimGM6mb.sf2. Without it, see `lookup`.

    Raises:
        DataError: for missing or damaged files.
    """
    return SoundFont(read(_SOURCE, [_FILE], data_dir).content[_FILE])


def programs(names: Sequence[str]) -> list[int]:
    """The numbers of instruments in General MIDI, from 0.

    Raises:
        OptionError: for an unknown name, or one that comes twice.

    >>> programs(["violin", "flute"])
    [40, 73]
    """
    for number, name in enumerate(names):
        if name not in GENERAL_MIDI:
            raise OptionError(f"General MIDI has no instrument called {name!r}. {nearest(name, GENERAL_MIDI)}")
        if name in names[:number]:
            raise OptionError(f"The instrument {name!r} is named twice.")
    return [GENERAL_MIDI.index(name) for name in names]


def played_notes(
    font: SoundFont, instruments: Sequence[str], pitches: Sequence[int], velocities: Sequence[int],
    rate: int = 8000, samples: int = 8192,
) -> Notes:  # fmt: skip
    """Each instrument at each pitch and velocity, played from a SoundFont.

    A note is held for three quarters of its length. It is played at four times the rate by tinysoundfont, the mean of
    both channels is filtered below half the rate, the loudest note of all has a peak of 1, and the same arguments give
    the same numbers.

    Args:
        font: see `sound_font`.
        instruments: names of General MIDI, see `GENERAL_MIDI`.
        pitches: numbers of keys, 60 for middle C.
        velocities: how hard keys are struck, from 1 to 127.
        rate: samples per second.
        samples: of each note.

    Raises:
        OptionError: for an unknown instrument, a pitch outside of 0 to 127 or above half the rate, or a velocity
            outside of 1 to 127.
        DataError: for an instrument that has no sound at a pitch, or a file that is no SoundFont.
        UnsupportedError: without tinysoundfont.
    """
    check_notes(instruments, pitches, velocities, rate, samples)
    numbers = programs(instruments)
    synth = _synthesiser(font, rate * _FINE)
    names = [(name, number) for name, number in zip(instruments, numbers, strict=True)]
    played = [
        _one(synth, number, pitch, velocity, rate, samples, name)
        for name, number in names for pitch in pitches for velocity in velocities
    ]  # fmt: skip
    waves = torch.from_numpy(np.stack(played))
    return all_notes(waves / waves.abs().max(), instruments, pitches, velocities, rate)


def _synthesiser(font: SoundFont, rate: int) -> Any:
    try:
        tinysoundfont: Any = importlib.import_module("tinysoundfont")
    except ImportError:
        raise UnsupportedError(
            "Notes are played by tinysoundfont: run `pip install --no-deps tinysoundfont` (its dependency pyaudio is "
            "not needed)."
        ) from None
    synth = tinysoundfont.Synth(samplerate=rate)
    try:
        synth.sfload(font.content)
    except Exception as error:
        raise DataError(f"The file is no SoundFont that can be played ({error}). {_SOURCE.remedy}") from error
    return synth


def _one(
    synth: Any, program: int, pitch: int, velocity: int, rate: int, samples: int, name: str
) -> NDArray[np.float32]:
    """One note (samples,), filtered and at the given rate."""
    from scipy.signal import resample_poly

    synth.program_select(0, 0, 0, program)
    held = round(_RELEASED * samples) * _FINE
    synth.noteon(0, pitch, velocity)
    first = _heard(synth, held)
    synth.noteoff(0, pitch)
    wave = np.concatenate([first, _heard(synth, samples * _FINE - held)])
    synth.sounds_off(0)
    # What still sounds, for a few milliseconds, would be in the next note.
    _heard(synth, rate)
    if not np.abs(wave).max() > _QUIET:
        raise DataError(f"The instrument {name!r} has no sound at pitch {pitch} in this SoundFont: leave one out.")
    return resample_poly(wave, 1, _FINE).astype(np.float32)


def _heard(synth: Any, count: int) -> NDArray[np.float32]:
    """The next samples, the mean of both channels."""
    both = np.frombuffer(bytes(synth.generate(count)), dtype=np.float32)
    return both.reshape(-1, 2).mean(axis=1)

"""Notes: their splits, the stand-in, and what a SoundFont plays."""

from __future__ import annotations

import struct
import sys
from itertools import product

import pytest
import torch

from lowland.data.notes import all_notes, frequency, split_notes, synthetic_notes
from lowland.data.sound_font import GENERAL_MIDI, SoundFont, played_notes, programs
from lowland.errors import DataError, OptionError, UnsupportedError


def tone_font(root: int = 69, rate: int = 32000) -> SoundFont:
    """A SoundFont with one preset, a looped sine of 440 Hz that is recorded as pitch `root`, up to pitch 80."""
    period = 800  # samples, which hold 11 periods of 440 Hz at 32,000 a second
    angle = 2 * torch.pi * 440 / rate * torch.arange(4 * period)
    samples = (20000 * angle.sin()).round().short().numpy().tobytes() + b"\0" * 92

    def chunk(name: bytes, content: bytes) -> bytes:
        return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)

    def generators(*pairs: tuple[int, int]) -> bytes:
        return b"".join(struct.pack("<HH", *pair) for pair in pairs)

    name = b"tone".ljust(20, b"\0")
    end = b"end".ljust(20, b"\0")
    info = chunk(b"LIST", b"INFO" + chunk(b"ifil", struct.pack("<HH", 2, 1)) + chunk(b"INAM", b"tone\0\0"))
    data = chunk(b"LIST", b"sdta" + chunk(b"smpl", samples))
    preset = struct.pack("<HHHIII", 0, 0, 0, 0, 0, 0)
    last = struct.pack("<HHHIII", 0, 0, 1, 0, 0, 0)
    header = struct.pack("<IIIIIBbHH", 0, 4 * period, period, 2 * period, rate, root, 0, 0, 1)
    tables = {
        b"phdr": name + preset + end + last,
        b"pbag": struct.pack("<HHHH", 0, 0, 1, 0),
        b"pmod": b"\0" * 10,
        b"pgen": generators((41, 0), (0, 0)),
        b"inst": name + struct.pack("<H", 0) + end + struct.pack("<H", 1),
        b"ibag": struct.pack("<HHHH", 0, 0, 3, 0),
        b"imod": b"\0" * 10,
        b"igen": generators((43, 80 << 8), (54, 1), (53, 0), (0, 0)),
        b"shdr": name + header + end + b"\0" * 26,
    }
    articles = chunk(b"LIST", b"pdta" + b"".join(chunk(key, content) for key, content in tables.items()))
    return SoundFont(chunk(b"RIFF", b"sfbk" + info + data + articles))


def test_no_pair_of_instrument_and_pitch_is_in_two_parts() -> None:
    notes = synthetic_notes(4, range(60, 72), (60, 110), torch.Generator().manual_seed(0), samples=256)
    parts = split_notes(notes, torch.Generator().manual_seed(1), held=0.2)
    pairs = [{tuple(row) for row in part.symbols[:, :2].tolist()} for part in parts]
    assert [len(one) for one in pairs] == [28, 10, 10]
    assert set.union(*pairs) == set(product(range(4), range(12)))
    assert sum(map(len, parts)) == len(notes)
    assert {pair[0] for pair in pairs[0]} == set(range(4))
    assert {pair[1] for pair in pairs[0]} == set(range(12))


def test_too_few_pairs_are_refused() -> None:
    notes = all_notes(torch.zeros(4, 8), ["a", "b"], [60, 61], [100], 8000)
    with pytest.raises(DataError, match="4 pairs, too few to hold out 50%"):
        split_notes(notes, torch.Generator(), held=0.5)


def test_the_stand_in_sounds_at_its_pitch() -> None:
    notes = synthetic_notes(1, [69], [127], torch.Generator().manual_seed(0), samples=8000, harmonics=1)
    assert int(torch.fft.rfft(notes.waves[0]).abs().argmax()) == 440
    assert float(notes.waves.abs().max()) <= 1


def test_instruments_of_general_midi() -> None:
    assert len(set(GENERAL_MIDI)) == len(GENERAL_MIDI) == 112
    # Numbers as the standard has them, counted from 0.
    assert programs(["acoustic grand piano", "violin", "trumpet", "shanai"]) == [0, 40, 56, 111]
    with pytest.raises(OptionError, match="named twice"):
        programs(["flute", "flute"])


def test_a_machine_without_the_synthesiser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tinysoundfont", None)
    with pytest.raises(UnsupportedError, match="pip install --no-deps tinysoundfont"):
        played_notes(SoundFont(b""), ["flute"], [60], [100])


def test_a_note_is_played_at_its_pitch_and_ends() -> None:
    """The font records 440 Hz as pitch 69, so that an octave below sounds 220 Hz; velocities change the loudness."""
    pytest.importorskip("tinysoundfont")
    notes = played_notes(tone_font(), ["acoustic grand piano"], [57, 69], (40, 120), rate=8000, samples=8000)
    for wave, pitch in zip(notes.waves, notes.keys, strict=True):
        heard = int(torch.fft.rfft(wave[500:4500] * torch.hann_window(4000), 8000).abs().argmax())
        assert abs(heard - float(frequency(pitch))) <= 1
    loud = notes.waves.abs().amax(dim=1)
    assert float(loud.max()) == 1
    assert bool((loud[0::2] < 0.7 * loud[1::2]).all())
    assert float(notes.waves[:, 7500:].abs().max()) < 0.01
    again = played_notes(tone_font(), ["acoustic grand piano"], [57, 69], (40, 120), rate=8000, samples=8000)
    assert torch.equal(again.waves, notes.waves)


def test_what_a_font_cannot_play() -> None:
    pytest.importorskip("tinysoundfont")
    with pytest.raises(DataError, match="no sound at pitch 90"):
        played_notes(tone_font(), ["acoustic grand piano"], [60, 90], [100], samples=512)
    with pytest.raises(DataError, match="no SoundFont"):
        played_notes(SoundFont(b"RIFF"), ["flute"], [60], [100])

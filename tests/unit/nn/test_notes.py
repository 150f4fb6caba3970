"""Networks of notes."""

from __future__ import annotations

import pytest
import torch

from lowland.errors import OptionError
from lowland.nn.notes import NoteDecoder, NoteEncoder, NoteSequence, frames_of


def test_a_shift_by_a_frame_shifts_codes_and_sounds() -> None:
    draw = torch.Generator().manual_seed(0)
    encoder, decoder = NoteEncoder(3, 6, draw), NoteDecoder(3, 6, draw)
    y = torch.zeros(1, 16 * 256)
    y[0, 7 * 256 : 9 * 256] = torch.randn(512, generator=draw)
    codes = encoder(y)
    assert codes.shape == (1, 16, 3)
    torch.testing.assert_close(encoder(y.roll(256, dims=1))[:, 7:12], codes[:, 6:11])
    made = decoder(codes)
    assert made.shape == y.shape
    torch.testing.assert_close(decoder(codes.roll(1, dims=1))[0, 2304:3328], made[0, 2048:3072])


def test_phases_turn_with_the_pitch() -> None:
    """Half a period from frame to frame turns the first harmonic by 180°, and the second by 360°."""
    sequence = NoteSequence((1, 2, 1), frames=3, codes=1, hidden=2, turns=(0.5, 1.0), harmonics=2)
    cosines = sequence.phases[0, :, :2]
    torch.testing.assert_close(cosines[1:, 0], -cosines[:-1, 0])
    torch.testing.assert_close(cosines[1:, 1], cosines[:-1, 1])
    assert sequence.mixed is not None
    with torch.no_grad():
        sequence.mixed.weight.zero_()
        sequence.mixed.bias.copy_(torch.tensor([1.0, 0.0, 0.0, 1.0]))
    symbols = torch.tensor([[0, 0, 0], [0, 1, 0]])
    with torch.no_grad():
        plain = sequence.out(sequence.layer(_inputs(sequence, 0))[0])
        wanted = plain[0, :, 0] + sequence.phases[0, :, 0] + sequence.phases[0, :, 3]
        torch.testing.assert_close(sequence(symbols)[0, :, 0], wanted)


def _inputs(sequence: NoteSequence, pitch: int) -> torch.Tensor:
    instrument, pitches, velocity = sequence.symbols
    note = torch.cat([instrument[0], pitches[pitch], velocity[0]]).expand(len(sequence.time), -1)
    return torch.cat([note, sequence.time], dim=1)[None]


def test_without_harmonics_it_is_the_lstm_alone() -> None:
    sequence = NoteSequence((2, 2, 1), frames=4, codes=3, hidden=5, turns=(1.0, 2.0), harmonics=0)
    found = sequence(torch.tensor([[0, 1, 0]]))
    torch.testing.assert_close(found, sequence.out(sequence.layer(_inputs(sequence, 1))[0]))


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(OptionError, match="multiple of 256"):
        frames_of(1000)
    with pytest.raises(OptionError, match="Each of 2 pitches"):
        NoteSequence((1, 2, 1), frames=3, codes=1, hidden=2, turns=(0.5,))

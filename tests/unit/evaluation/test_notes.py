"""Measures of notes, on tones whose pitch is known."""

from __future__ import annotations

import torch

from lowland.data.notes import all_notes, synthetic_notes
from lowland.evaluation.notes import (
    cents_off,
    judged_notes,
    nearest_rows,
    resampled,
    simple_notes,
    spectral_losses,
    strongest_partials,
    times_real_time,
)
from lowland.nn.notes import NoteDecoder, NoteSequence


def tones(*hertz: float) -> torch.Tensor:
    return torch.stack([torch.sin(2 * torch.pi * one * torch.arange(8000) / 8000) for one in hertz])


def test_cents_of_tones() -> None:
    torch.testing.assert_close(strongest_partials(tones(100.25, 1234.5), 8000), torch.tensor([100.25, 1234.5]))
    off = cents_off(tones(440.0, 880.0, 440.0 * 2 ** (1 / 12)), tones(440.0, 440.0, 440.0), 8000)
    torch.testing.assert_close(off, torch.tensor([0.0, 1200.0, 100.0]), atol=0.5, rtol=0)
    assert bool(strongest_partials(torch.zeros(1, 8000), 8000).isnan())


def test_resampling_moves_the_pitch_and_the_end() -> None:
    raised = resampled(tones(440.0, 440.0), torch.tensor([12, -12]))
    torch.testing.assert_close(strongest_partials(raised, 8000), torch.tensor([880.0, 220.0]), atol=0.2, rtol=0)
    assert float(raised[0, 4200:].abs().max()) < 0.05  # twice as fast, it ends in the middle


def test_the_nearest_note_is_of_the_same_instrument_and_velocity() -> None:
    notes = all_notes(torch.zeros(20, 4), ["a", "b"], [60, 61, 63, 64, 69], [50, 100], 8000)
    known = notes.take(torch.tensor([0, 1, 2, 4, 6, 7, 9, 10]))
    wanted = notes.take(torch.tensor([3, 5, 8]))  # a at 61 and 63 with 100, a at 69 with 50
    rows = nearest_rows(known, wanted)
    assert [known.name(row) for row in rows.tolist()] == [
        "a, pitch 60, velocity 100", "a, pitch 64, velocity 100", "a, pitch 64, velocity 50"
    ]  # fmt: skip


def test_silence_has_a_loss_and_no_pitch() -> None:
    notes = synthetic_notes(1, [60, 61, 62], [100], torch.Generator().manual_seed(0), samples=4096, harmonics=2)
    train, test = notes.take(torch.tensor([0, 2])), notes.take(torch.tensor([1]))
    rows = judged_notes(simple_notes(train, test) | {"true": test.waves}, test)
    assert set(rows["silence"]) == {"loss"}
    assert rows["true"] == {"loss": 0.0, "in tune": 100.0, "cents": 0.0}
    assert rows["nearest"]["in tune"] == 0
    assert abs(rows["nearest"]["cents"] - 100) < 2
    assert rows["resampled"]["in tune"] == 100
    assert rows["resampled"]["loss"] < rows["nearest"]["loss"]
    torch.testing.assert_close(float(spectral_losses(test.waves * 0, test.waves)[0]), rows["silence"]["loss"])


def test_speed_is_a_number_above_zero() -> None:
    draw = torch.Generator().manual_seed(0)
    sequence = NoteSequence((1, 1, 1), frames=2, codes=2, hidden=2, turns=(1.0,), generator=draw)
    network = torch.nn.Sequential(sequence, NoteDecoder(2, 4, draw))
    assert times_real_time(network, torch.zeros(3, 3, dtype=torch.long), seconds=0.064) > 0

"""Training of notes: each stage lowers what it is trained on."""

from __future__ import annotations

import torch
from torch import nn

from lowland.data.notes import frequency, synthetic_notes
from lowland.evaluation.notes import spectral_losses
from lowland.nn.notes import NoteDecoder, NoteEncoder, NoteSequence
from lowland.training.notes import in_pieces, train_note_autoencoder, train_note_generator, train_note_sequence


def test_each_stage_lowers_its_energy() -> None:
    notes = synthetic_notes(2, [60, 64], [120], torch.Generator().manual_seed(0), samples=1024, harmonics=2)
    draw = torch.Generator().manual_seed(1)
    encoder, decoder = NoteEncoder(6, 32, draw), NoteDecoder(6, 32, draw)
    turns = (frequency(torch.tensor(notes.pitches)) * 256 / notes.rate).tolist()
    sequence = NoteSequence(notes.sizes, 4, codes=6, hidden=16, turns=turns, harmonics=2, generator=draw)
    whole = nn.Sequential(sequence, decoder)

    def loss(network: nn.Module, inputs: torch.Tensor) -> float:
        return float(spectral_losses(in_pieces(network, inputs), notes.waves).mean())

    silence = float(spectral_losses(0 * notes.waves, notes.waves).mean())
    train_note_autoencoder(encoder, decoder, notes, steps=80, rate=3e-3)
    assert loss(nn.Sequential(encoder, decoder), notes.waves) < 0.8 * silence
    codes = in_pieces(encoder, notes.waves)
    found = train_note_sequence(sequence, codes, notes, steps=60, rate=1e-2)
    curve = found.history["loss/energy"].values
    assert curve[-1] < 0.5 * curve[0]
    before = loss(whole, notes.symbols)
    train_note_generator(sequence, decoder, notes, steps=60, rate=3e-3)
    assert loss(whole, notes.symbols) < 0.9 * before

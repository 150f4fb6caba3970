"""SING's three stages of training: an auto-encoder of notes, codes from symbols, and both ends together (system M11).

Legend: N notes, L samples of each, T frames, D numbers of a code.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from lowland.data.notes import Notes
from lowland.domains import Reals
from lowland.energies.base import Energy
from lowland.energies.prediction import Prediction
from lowland.energies.spectral_match import SpectralMatch
from lowland.nn.notes import NoteDecoder, NoteEncoder, NoteSequence
from lowland.shaping.regularised.minimum_energy import MinimumEnergy
from lowland.training.fit import FitResult, fit
from lowland.training.schedules import falling

_PIECE = 64


def train_note_autoencoder(
    encoder: NoteEncoder, decoder: NoteDecoder, notes: Notes, steps: int, batch: int = 16, rate: float = 1e-3,
    seed: int = 0,
) -> FitResult:  # fmt: skip
    """Train encoder and decoder in place, so that a decoded code sounds like its note: `SpectralMatch` with x = y.

    The first half of the steps lowers ½‖y − Dec(Enc(y))‖² instead. `SpectralMatch` has no slope at silence, where it is
    as low as at wrong sounds, so that without a start the auto-encoder falls silent.

    Args:
        notes: to learn from.
        steps, batch: updates in all, and notes in each.
        rate: of Adam at the start of each half; it falls to 0.
        seed: of the order of the notes.

    Returns:
        What the second half did.
    """
    both, samples = nn.Sequential(encoder, decoder), notes.waves.shape[1]
    start = Prediction(1, 1, hidden=())
    start.domains.update(x=Reals(samples), y=Reals(samples))  # without its own network of samples²
    start.network = both
    _fitted(start, notes.waves, notes.waves, max(1, steps // 2), batch, rate, seed)
    energy = SpectralMatch(both, samples)
    return _fitted(energy, notes.waves, notes.waves, max(1, steps - steps // 2), batch, rate, seed)


def train_note_sequence(
    sequence: NoteSequence, codes: Tensor, notes: Notes, steps: int, batch: int = 64, rate: float = 3e-3, seed: int = 0
) -> FitResult:
    """Train the sequence in place by squared error, so that symbols give the codes of their notes.

    Args:
        codes: (N, T, D), what a trained encoder says to the notes.
        notes, steps, batch, rate, seed: see `train_note_autoencoder`.
    """
    energy = Prediction(3, codes[0].numel(), hidden=())
    energy.network = nn.Sequential(sequence, nn.Flatten())
    return _fitted(energy, notes.symbols.to(codes.dtype), codes.flatten(1), steps, batch, rate, seed)


def train_note_generator(
    sequence: NoteSequence, decoder: NoteDecoder, notes: Notes, steps: int, batch: int = 16, rate: float = 1e-3,
    seed: int = 0,
) -> FitResult:  # fmt: skip
    """Train sequence and decoder in place, end to end: `SpectralMatch` of a note and what its symbols give.

    Args:
        notes, steps, batch, rate, seed: see `train_note_autoencoder`.
    """
    energy = SpectralMatch(nn.Sequential(sequence, decoder), notes.waves.shape[1], Reals(3))
    return _fitted(energy, notes.symbols.to(notes.waves.dtype), notes.waves, steps, batch, rate, seed)


def _fitted(energy: Energy, x: Tensor, y: Tensor, steps: int, batch: int, rate: float, seed: int) -> FitResult:
    options: dict[str, Any] = {"validation": 0.0, "progress": False, "log_every": max(1, steps // 60)}
    return fit(
        energy, (x, y), MinimumEnergy(), steps, min(batch, len(y)), rate, seed=seed, clip=1.0,
        schedule=partial(falling, steps), **options,
    )  # fmt: skip


@torch.no_grad()
def in_pieces(network: nn.Module, inputs: Tensor) -> Tensor:
    """What a network makes of inputs (N, …), some at a time.

    >>> in_pieces(nn.Identity(), torch.ones(3, 2)).shape
    torch.Size([3, 2])
    """
    return torch.cat([network(part) for part in inputs.split(_PIECE)])

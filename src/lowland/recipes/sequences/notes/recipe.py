"""Notes as waveforms from an instrument, a pitch and a velocity, by SING's three stages."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from lowland.data.notes import Notes, all_notes, frequency, split_notes, synthetic_notes
from lowland.data.sound_font import played_notes, programs, sound_font
from lowland.evaluation.notes import judged_notes, simple_notes, times_real_time
from lowland.nn.notes import HOP, NoteDecoder, NoteEncoder, NoteSequence, frames_of
from lowland.plots.curves import curves
from lowland.plots.spectrograms import spectrograms
from lowland.recipes.base import Bound, Count, Positive, SeededRecipe, recipe
from lowland.reports.run import Run
from lowland.training.fit import FitResult
from lowland.training.notes import in_pieces, train_note_autoencoder, train_note_generator, train_note_sequence

RATE = 8000
HEARD = {
    "true": "true", "resampled": "resampled", "coder": "auto-encoder", "before": "codes alone", "after": "end to end"
}  # fmt: skip


class Left(NamedTuple):
    """What the page needs of a seed: some test notes, what each method makes of them, and the energies of training."""

    names: list[str]
    sounds: dict[str, Tensor]
    losses: dict[str, tuple[list[float], list[float]]]


@recipe
@dataclass(frozen=True)
class NotesRecipe(SeededRecipe):
    """E(x, y) = mean |log(1 + |STFT(y)|²) − log(1 + |STFT(f(x))|²)|: x what a note is, y its sound, f a network."""

    data: Literal["sound-font", "synthetic"] = "sound-font"
    """Recorded notes of a SoundFont, or sums of harmonics, a stand-in that needs no download."""
    instruments: tuple[str, ...] = (
        "acoustic grand piano", "electric piano 1", "harpsichord", "celesta", "music box", "vibraphone", "marimba",
        "church organ", "accordion", "harmonica", "nylon guitar", "jazz guitar", "acoustic bass", "violin", "cello",
        "harp", "strings", "choir aahs", "trumpet", "french horn", "alto sax", "oboe", "clarinet", "flute",
    )  # fmt: skip
    """Names of General MIDI."""
    lowest: Annotated[int, Bound(least=0, most=127)] = 48
    """Lowest pitch, the number of a key; 60 is middle C."""
    pitches: Annotated[int, Bound(least=2, most=128)] = 25
    """How many, a semitone apart."""
    velocities: tuple[int, ...] = (60, 110)
    """How hard keys are struck, from 1 to 127."""
    samples: Annotated[int, Bound(least=1024, most=2**20)] = 8192
    """Of a note, at 8,000 a second; a multiple of 256."""
    held: Annotated[float, Bound(above=0, below=0.5)] = 0.1
    """Share of the pairs of instrument and pitch for the test, and again for validation."""
    codes: Count = 64
    """Numbers of a code."""
    channels: Annotated[int, Bound(least=2)] = 256
    """Of the convolutions."""
    hidden: Count = 128
    """Units of the LSTM."""
    harmonics: Annotated[int, Bound(least=0, most=64)] = 8
    """Whose phase the LSTM's codes are told; 0 for none."""
    coder_steps: Annotated[int, Bound(least=2)] = 1200
    """Steps of the auto-encoder, half of them by squared error."""
    code_steps: Count = 600
    """Steps of the LSTM on codes."""
    steps: Count = 1500
    """Steps end to end."""
    rate: Positive = 1e-3
    """Learning rate of Adam at the start, of the first and the last stage; three times it for the codes."""
    heard: Count = 4
    """Test notes that the page plays."""

    accelerated: ClassVar[bool] = False
    stages: ClassVar[int] = 6
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"data": "synthetic", "instruments": ("flute", "violin", "harp"), "pitches": 8, "samples": 1024,
                  "codes": 4, "channels": 8, "hidden": 8, "coder_steps": 4, "code_steps": 4, "steps": 4, "seeds": 1},
    }  # fmt: skip

    def measure(self, run: Run, seed: int) -> tuple[dict[str, dict[str, Any]], Left]:
        frames, notes = frames_of(self.samples), self._notes(run, seed)
        train, validation, test = split_notes(notes, self.generator(1000 + seed), self.held)
        run.show(notes=len(notes), train=len(train), validation=len(validation), test=len(test))
        draw, own = self.generator(2000 + seed), self.seed + seed
        turns = (frequency(torch.tensor(notes.pitches)) * HOP / RATE).tolist()
        encoder, decoder = NoteEncoder(self.codes, self.channels, draw), NoteDecoder(self.codes, self.channels, draw)
        sequence = NoteSequence(notes.sizes, frames, self.codes, self.hidden, turns, self.harmonics, draw)
        coder, whole = nn.Sequential(encoder, decoder), nn.Sequential(sequence, decoder)
        made = simple_notes(train, test)
        work: Callable[[], FitResult] = partial(
            train_note_autoencoder, encoder, decoder, train, self.coder_steps, rate=self.rate, seed=own
        )
        done = {"coder": run.stage("coder", partial(_fitted, work), [encoder, decoder])}
        made["coder"], chosen = in_pieces(coder, test.waves), {"coder": in_pieces(coder, validation.waves)}
        codes = in_pieces(encoder, train.waves)
        work = partial(train_note_sequence, sequence, codes, train, self.code_steps, rate=3 * self.rate, seed=own)
        done["before"] = run.stage("codes", partial(_fitted, work), [sequence])
        made["before"], chosen["before"] = (in_pieces(whole, part.symbols) for part in (test, validation))
        work = partial(train_note_generator, sequence, decoder, train, self.steps, rate=self.rate, seed=own)
        done["after"] = run.stage("ends", partial(_fitted, work), [sequence, decoder])
        made["after"], chosen["after"] = (in_pieces(whole, part.symbols) for part in (test, validation))
        numbers: dict[str, dict[str, Any]] = run.stage("judge", partial(judged_notes, made, test))
        for name, row in judged_notes(simple_notes(train, validation) | chosen, validation).items():
            numbers[name]["validation"] = row["loss"]
        for name, found in done.items():
            numbers[name]["seconds"] = found["seconds"]
        speed = run.stage("speed", partial(times_real_time, whole, test.symbols[:20], self.samples / RATE))
        numbers["after"]["real time"] = speed
        rows = torch.randperm(len(test), generator=self.generator(3000 + seed))[: self.heard]
        sounds = {name: waves[rows] for name, waves in ({"true": test.waves} | made).items() if name in HEARD}
        losses = {HEARD[name]: (done[name]["steps"], done[name]["loss"]) for name in ("coder", "after")}
        return numbers, Left([test.name(row) for row in rows.tolist()], sounds, losses)

    def _notes(self, run: Run, seed: int) -> Notes:
        pitches, names = range(self.lowest, self.lowest + self.pitches), self.instruments
        if self.data == "synthetic":
            run.stand_in("Sums of harmonics stand in for recorded notes.")
            draw = self.generator(seed)
            return synthetic_notes(len(names), pitches, self.velocities, draw, RATE, self.samples)
        programs(names)

        def play() -> Tensor:
            return played_notes(sound_font(), names, pitches, self.velocities, RATE, self.samples).waves

        return all_notes(run.stage("play", play), names, pitches, self.velocities, RATE)

    def figures(self, run: Run, first: Left) -> None:
        shown = {HEARD[name]: waves for name, waves in first.sounds.items()}
        run.figure("spectra", partial(spectrograms, shown, first.names, RATE))
        ordered = [(waves[row], f"{HEARD[name]}: {text}") for row, text in enumerate(first.names)
                   for name, waves in first.sounds.items()]  # fmt: skip
        run.sounds("players", ordered, RATE, columns=len(first.sounds))
        run.figure("training", partial(curves, first.losses, xlabel="step", ylabel="spectral loss of a batch"))


def _fitted(work: Callable[[], FitResult]) -> dict[str, Any]:
    """Steps and losses of a training, and its seconds of the processor."""
    began = time.process_time()
    line = work().history["loss/energy"]
    seconds = time.process_time() - began
    return {"steps": list(map(float, line.steps)), "loss": list(line.values), "seconds": seconds}

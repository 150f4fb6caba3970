"""A reader of amounts on checks: trained on characters or on whole amounts, with segmentation and without."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import torch

from lowland.data.amounts import amount_lines
from lowland.data.catalogue import load
from lowland.data.handwriting import LETTERS
from lowland.energies.lattice import Lattice
from lowland.evaluation.reading import Reading, read_lines, rejection, threshold
from lowland.evaluation.success import success_row
from lowland.plots.curves import curves
from lowland.plots.lattices import piece_lattices
from lowland.plots.lines import lines_with_cuts
from lowland.recipes.base import Bound, Count, Positive, SeededRecipe, recipe
from lowland.reports.run import Run
from lowland.training.line_reading import (
    LineSet,
    LineShape,
    Method,
    chosen_pieces,
    line_set,
    new_reader,
    reading_energy,
    train_reader,
)

GRAMMAR = "frames and grammar"


class Left(NamedTuple):
    """What the pictures need of a seed: test lines, the reader trained on whole amounts, and all readings."""

    lines: LineSet
    energy: Lattice
    readings: dict[str, Reading]


@recipe
@dataclass(frozen=True)
class ChecksRecipe(SeededRecipe):
    """E(x, y, z) = Σ over the pieces of the path z of c(x, piece, letter): x a line of digits, y an amount."""

    data: Literal["mnist10k", "mnist", "digits"] = "mnist10k"
    """Handwritten digits of which lines are made, those of test lines from other images."""
    lines: Annotated[int, Bound(least=8)] = 10000
    """Lines to learn from."""
    tested: Count = 2000
    """Lines on which the threshold is chosen, and as many others for the test."""
    steps: Count = 1600
    """Training steps of a reader of pieces; those trained on amounts begin with half of them on characters."""
    frame_steps: Count = 1600
    """Training steps of the reader without segmentation, which takes less time for a step."""
    batch: Count = 16
    """Lines of a step."""
    rate: Positive = 0.002
    """Highest learning rate of Adam."""
    wrong: Annotated[float, Bound(least=0, most=100)] = 1.0
    """Percent of all lines that may be read wrongly; less sure ones are rejected."""

    accelerated: ClassVar[bool] = False
    stages: ClassVar[int] = 13
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"data": "digits", "lines": 32, "tested": 24, "steps": 4, "frame_steps": 4, "batch": 8, "seeds": 1},
        "short": {"steps": 200, "frame_steps": 400},
        "long": {"lines": 40000, "steps": 8000, "frame_steps": 12000},
    }

    def measure(self, run: Run, seed: int) -> tuple[dict[str, dict[str, Any]], Left]:
        digits, generator = load(self.data), self.generator(1000 + seed)
        counts = {"train": self.lines, "validation": self.tested, "test": self.tested}
        made = {part: amount_lines(digits, part, count, generator).upright() for part, count in counts.items()}
        shape = LineShape.of(*made.values())
        sets = {part: line_set(lines, shape) for part, lines in made.items()}
        found: dict[str, dict[str, Any]] = {}
        readings: dict[str, Reading] = {}
        kept: Any = None
        plan: tuple[Method, ...] = ("characters", "rubbish", "Viterbi", "forward", "frames")
        first = new_reader("characters", shape, self.generator(seed))
        self._score(run, "untrained", reading_energy(first, shape), sets, found, readings)
        half = run.stage("half", partial(self._train, "characters", first, sets["train"], shape, seed, True), [first])
        for method in plan:
            reader = new_reader(method, shape, self.generator(seed))
            whole = method in ("Viterbi", "forward")
            if whole:
                reader.load_state_dict(first.state_dict())
            work = partial(self._train, method, reader, sets["train"], shape, seed, whole)
            took = run.stage(f"train/{method}", work, [reader])
            energy = reading_energy(reader, shape, constrained=method != "frames")
            self._score(run, method, energy, sets, found, readings)
            found[method]["seconds"] = took["seconds"] + (half["seconds"] if whole else 0.0)
            if method == "forward":
                kept = energy
            if method == "frames":
                self._score(run, GRAMMAR, reading_energy(reader, shape), sets, found, readings)
                found[GRAMMAR]["seconds"] = found[method]["seconds"]
        return found, Left(sets["test"], kept, readings)

    def _train(
        self, method: Method, reader: Any, lines: LineSet, shape: LineShape, seed: int, half: bool
    ) -> dict[str, Any]:
        steps = self.frame_steps if method == "frames" else max(1, self.steps // 2) if half else self.steps
        began = time.process_time()
        found = train_reader(method, reader, lines, shape, steps, self.batch, self.rate, seed)
        return {"seconds": time.process_time() - began, "curve": found.curves}

    def _score(
        self, run: Run, name: str, energy: Lattice, sets: dict[str, LineSet], found: Any, readings: dict[str, Reading]
    ) -> None:
        """Read validation and test lines; the validation lines choose below which confidence lines are rejected."""

        def read() -> dict[str, Any]:
            return {part: read_lines(energy, sets[part].inputs(energy))._asdict() for part in ("validation", "test")}

        both = {part: Reading(**one) for part, one in run.stage(f"read/{name.replace(' ', '-')}", read).items()}
        right = {part: sets[part].right(one.answers) for part, one in both.items()}
        least = threshold(both["validation"].confidence, right["validation"], self.wrong / 100)
        found[name] = {"read": success_row(right["test"])["success"]}
        found[name] |= rejection(both["test"].confidence, right["test"], least)
        readings[name] = both["test"]

    def figures(self, run: Run, first: Left) -> None:
        lines = {}
        for name, reading in first.readings.items():
            right = first.lines.right(reading.answers)[reading.confidence.argsort(descending=True)]
            taken = torch.arange(1, len(right) + 1)
            lines[name] = (100 * taken / len(right)).tolist(), (100 * (~right).cumsum(0) / taken).tolist()
        del lines["untrained"]
        run.figure("rejection", curves(lines, xlabel="lines that are not rejected, %", ylabel="of these wrong, %"))
        reading = first.readings["forward"]
        right = first.lines.right(reading.answers)
        order = reading.confidence.argsort(descending=True)
        kinds = order[~right[order]][:4], order[right[order]][-4:], order[:4]
        hard = list(dict.fromkeys(torch.cat(kinds).tolist()))
        rows = first.lines.take(torch.tensor(hard))
        texts = ["".join(LETTERS[letter] for letter in reading.answers[row]) for row in hard]
        pieces = chosen_pieces(first.energy, rows)
        run.figure("read", lines_with_cuts(
            rows.pictures(), [torch.tensor(edges) for edges, _ in pieces], texts,
            reading.confidence[torch.tensor(hard)].exp(), truths=rows.texts,
        ))  # fmt: skip
        some = rows.take(torch.tensor([0, len(hard) // 2]))
        run.figure("lattices", piece_lattices(
            some.pictures(), some.edges(), first.energy.shares(some.pieces()),
            [path for _, path in chosen_pieces(first.energy, some)], LETTERS,
        ))  # fmt: skip

"""A reader of the user's own lines of text: the command `lowland read`."""

from __future__ import annotations

import dataclasses
import math
import os
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar

import torch

from lowland.data.folder import report_skipped
from lowland.data.label_files import label_path
from lowland.data.line_samples import sample_lines
from lowland.data.text_lines import TextLines, alphabet_of, check_lines, rare, read_text_lines
from lowland.errors import CheckpointError, OptionError
from lowland.evaluation.text_reading import Read, confusions, measures, readings, write_readings
from lowland.files import fingerprint
from lowland.nn.line_readers import FrameReader
from lowland.plots.curves import curves
from lowland.plots.lines import lines_with_cuts
from lowland.recipes.base import Bound, Count, NotNegative, Positive, Recipe, recipe
from lowland.reports.run import Run
from lowland.terminal import shell
from lowland.training.model_card import check_writable
from lowland.training.reader_files import write_reader
from lowland.training.text_reading import (
    BATCH,
    TextTraining,
    fitting,
    read_grammar,
    refused,
    room_for,
    split_lines,
    text_energy,
    usual_steps,
)
from lowland.words import escaped, verbatim

READER, FREE = "reader", "without grammar"
_SHOWN, _CONFUSED = 12, 15


@recipe
@dataclass(frozen=True)
class ReadRecipe(Recipe):
    """E(x, y, z) = Σ over frames of c(x, frame, label): x the picture of a line, y its text, z which frame is what."""

    folder: str = ""
    """Folder of pictures of single lines, `a.png` with its text in `a.txt`; empty for lines drawn here."""
    transcripts: str = ""
    """CSV of two columns, file and text, instead of text files."""
    grammar: str = ""
    """What may be read: a file of words, one a line, or a regular expression such as "[0-9]+,[0-9]{2}"."""
    wrong: Annotated[float, Bound(least=0, most=100)] = 1.0
    """Percent of all lines that may be read wrongly; less sure ones are not accepted."""
    steps: int = 0
    """Training steps of 16 lines; 0 chooses by the number of lines."""
    minutes: NotNegative = 0.0
    """Train for about this many minutes instead; a few steps are timed first."""
    rate: Positive = 0.002
    """Highest learning rate of Adam."""
    distort: bool = True
    """Whether lines are stretched, slanted and moved a little, anew in each step."""
    out: str = ""
    """Folder for the reader; by default `reader` in the folder of the run."""
    onnx: bool = False
    """Whether the reader is also written as ONNX, with code that needs onnxruntime in place of torch."""
    lines: Count = 300
    """Lines with a transcript that are drawn, if no folder is given."""

    files: ClassVar[tuple[str, ...]] = ("transcripts",)
    presets: ClassVar[dict[str, dict[str, Any]]] = {"smoke": {"lines": 40, "steps": 4}}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps < 0 or (self.steps and self.minutes):
            raise OptionError("steps must be a positive number, or 0 to choose it, and without minutes.")
        for name in ("folder", "out"):  # a run is resumed from any place
            if getattr(self, name):
                object.__setattr__(self, name, os.path.realpath(getattr(self, name)))
        object.__setattr__(self, "transcripts", label_path(self.transcripts, self.folder))
        if self.grammar and os.path.isfile(self.grammar):  # noqa: PTH113  pathlib raises at long names
            object.__setattr__(self, "grammar", os.path.realpath(self.grammar))

    def run(self, run: Run) -> None:
        out = check_writable(Path(self.out) if self.out else run.folder / "reader")
        found = read_text_lines(self._folder(run), self.transcripts, run.doing)
        lines = fitting(found, alphabet_of(found))
        lines.notes.extend(rare(lines))
        report_skipped(lines, run.folder / "skipped.txt")
        check_lines(lines)
        alphabet, known, new = alphabet_of(lines), lines.take(lines.known), lines.take(lines.unknown)
        rows = split_lines(len(known.files), self.seed)
        train, validation, test = (known.take(part) for part in rows)
        energy = text_energy(alphabet, room_for(lines.images), self.seed)
        energies, notes = {READER: energy}, list(lines.notes)
        if self.grammar:
            grammar, more = read_grammar(self.grammar, alphabet)
            energies = {READER: energy.constrained(grammar), FREE: energy}
            notes += [*more, *refused(grammar, known, alphabet)]
        work = TextTraining(energy.to(self.device), train, alphabet, 1, self.rate, self.distort, self.seed)
        self._check_unchanged(run, lines, energies[READER])
        steps = self.steps or usual_steps(len(train.files))
        if self.minutes:
            pace = run.stage("pace", lambda: {"seconds": work.seconds()})
            steps = max(1, round(60 * self.minutes / pace["seconds"]))
        run.expect(3 + bool(self.minutes))
        run.show(
            name=self._name, letters=" ".join(alphabet), count=len(known.files), new=len(new.files), light=lines.light,
            trained=len(train.files), chosen_on=len(validation.files), tests=len(test.files), steps=steps, batch=BATCH,
            notes=notes, skipped=len(lines.skipped), all=len(lines.files), weights="", least=0.0, mistakes=0,
        )  # fmt: skip
        curve = run.stage("train", partial(self._train, run, dataclasses.replace(work, steps=steps)), [energy])
        parts = {"validation": validation.images, "test": test.images, "new": new.images}
        read = run.stage(
            "read", partial(readings, {name: one.cpu() for name, one in energies.items()}, parts, alphabet)
        )
        both = {part: Read(**one) for part, one in read[READER].items()}
        numbers, least = measures(read, train.said, validation.said, test.said, self.wrong / 100)
        run.measured.add(numbers)
        # What is taken away reads without the grammar, and is as sure as it is without.
        alone = {READER: read[FREE if self.grammar else READER]}
        own, bound = measures(alone, train.said, validation.said, test.said, self.wrong / 100)
        card = {
            "characters": verbatim(alphabet, 0),
            "learned from": f"{len(train.files):,} lines of {verbatim(self._name)}",
            "training": f"{steps:,} steps of {BATCH}, rate {self.rate:g}, seed {self.seed}",
        }  # fmt: skip
        assert isinstance(energy.network, FrameReader)
        run.made.append(write_reader(
            out, energy.network, alphabet, bound, card, own[READER], len(test.files), self.grammar, self.onnx
        ))  # fmt: skip
        found = [both["test"], both["new"]]
        run.made.append(write_readings(run.folder / "read.csv", test.files + new.files, found, least))
        mistakes = confusions(both["test"].texts, test.said)
        run.show(weights=shell([str(out)]), mistakes=len(mistakes), least=math.exp(least) if least <= 0 else 2.0)
        run.part(_show, lines, test, new, both, mistakes)
        line = {"loss": (curve["steps"], curve["loss"])}
        run.part(Run.figure, "training", partial(curves, line, xlabel="step", ylabel="loss of a batch"))

    def _train(self, run: Run, work: TextTraining) -> dict[str, Any]:
        found = work.fit(run=run.folder / "fit", resume=True)
        line = found.history["loss/energy"]
        return {"steps": list(line.steps), "loss": list(line.values)}

    @property
    def _name(self) -> str:
        return escaped(Path(self.folder).name) or "drawn lines"

    def _folder(self, run: Run) -> Path:
        if self.folder:
            return Path(self.folder)
        run.stand_in("The lines are drawn here: give a folder of your own to learn from it.")
        place, part = run.folder / "lines", run.folder / "lines.part"
        if not place.is_dir():
            shutil.rmtree(part, ignore_errors=True)  # of a run that was killed
            sample_lines(part, self.lines).rename(place)
        return place

    def _check_unchanged(self, run: Run, lines: TextLines, energy: Any) -> None:
        now = {"sha256": fingerprint(lines.files, lines.texts, lines.images, repr(energy.automaton))}
        if run.stage("files", lambda: now) != now:
            raise CheckpointError("The folder or the grammar has changed since the run began: start a new run.")


def _show(run: Run, lines: TextLines, test: TextLines, new: TextLines, both: dict[str, Read], mistakes: Any) -> None:
    rows = [(verbatim(one) or "nothing", verbatim(two) or "nothing", count)
            for one, two, count in mistakes[:_CONFUSED]]  # fmt: skip
    if rows:
        run.table(("right", "read", "times"), rows, name="confusions")
    if lines.skipped:
        run.table(("file", "why"), [(verbatim(a), verbatim(b, 200)) for a, b in lines.skipped[:40]], name="skipped")
    for name, some in (("test", test), ("new", new)):
        if some.files:
            order = both[name].confidence.argsort()
            chosen = order[torch.linspace(0, len(order) - 1, min(_SHOWN, len(order))).long()].tolist()
            run.figure(name, lines_with_cuts(
                [torch.from_numpy(some.images[row] / 255.0) for row in chosen], [torch.empty(0)] * len(chosen),
                [both[name].texts[row] for row in chosen], both[name].confidence[chosen].exp(),
                truths=[some.said[row] for row in chosen] if name == "test" else (),
            ))  # fmt: skip

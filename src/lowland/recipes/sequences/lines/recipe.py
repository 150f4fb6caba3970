"""Unusual lines of the user's own log: the command `lowland lines`."""

from __future__ import annotations

import csv
import io
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple

from lowland.data.log_lines import LogLines, read_log
from lowland.data.simulated_log import LabelledLog, simulated_log
from lowland.errors import DataError, OptionError
from lowland.evaluation.log_lines import OURS, judge, plant
from lowland.files import write_atomically
from lowland.plots.curves import curves
from lowland.recipes.base import Bound, Count, Positive, Recipe, recipe
from lowland.reports.run import Run
from lowland.terminal import shell
from lowland.training.line_files import LineModel, write_lines
from lowland.training.line_scoring import LineScore, LineScorer, marked
from lowland.training.log_lines import BATCH, FEWEST, LineTraining, line_energy, usual_steps, vocabulary_of
from lowland.training.model_card import check_writable
from lowland.words import escaped, verbatim

_SHOWN = 20
_LONGEST = 240


class _Trained(NamedTuple):
    """What one training left."""

    model: LineModel
    validation: LabelledLog
    test: LabelledLog
    rows: dict[str, dict[str, float]]
    scores: list[float]
    chosen: float
    cost: dict[str, float]
    curve: dict[str, Any]


@recipe
@dataclass(frozen=True)
class LinesRecipe(Recipe):
    """E(x, y, z) = −Σ z_i log p(y_i | rest): y the words of a line, z which are hidden, x the lines before."""

    file: str = ""
    """Log of normal lines: any text, packed by gzip or not, or an export of the journal; empty for a simulated one."""
    new: str = ""
    """Another log, whose lines are scored by the model."""
    alarms: Annotated[float, Bound(above=0, most=50)] = 1.0
    """Percent of normal lines that may be called unusual."""
    steps: int = 0
    """Training steps of 64 lines; 0 chooses by the number of lines."""
    rate: Positive = 0.005
    """Highest learning rate of Adam."""
    before: Annotated[int, Bound(least=1, most=64)] = 4
    """How many lines before each one are seen."""
    planted: Annotated[float, Bound(above=0, most=0.5)] = 0.04
    """Share of the lines for choosing and testing that are made faulty."""
    seeds: int = 0
    """Trainings, each with its own data, weights and faults; 0 is one for a log of yours and three otherwise."""
    lines: Count = 6000
    """Normal lines to learn from that are simulated, if no log is given."""
    out: str = ""
    """Folder for the model; by default `lines` in the folder of the run."""

    files: ClassVar[tuple[str, ...]] = ("file", "new")
    presets: ClassVar[dict[str, dict[str, Any]]] = {"smoke": {"lines": 400, "steps": 8, "seeds": 1}}

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("steps", "seeds"):
            if getattr(self, name) < 0:
                raise OptionError(
                    f"{name} must be a positive number, or 0 to choose it, but it is {getattr(self, name)}."
                )
        for name in ("file", "new", "out"):  # a run is resumed from any place
            if getattr(self, name):
                object.__setattr__(self, name, os.path.realpath(getattr(self, name)))

    def run(self, run: Run) -> None:
        out = check_writable(Path(self.out) if self.out else run.folder / "lines")
        own = read_log(self.file) if self.file else None
        new = read_log(self.new) if self.new else None
        if own is None:
            run.stand_in("The log is simulated: give a log of your own to learn from it.")
        seeds = self.seeds or (1 if own else 3)
        run.expect(2 * seeds)
        trained = []
        for seed in range(self.seed, self.seed + seeds):
            with run.below(f"seed-{seed}"):
                trained.append(self._seed(run, own, seed))
            run.measured.add(trained[-1].rows)
        first = trained[0]
        run.made.append(self._files(out, first))
        notes = [note for log in (own, new) if log for note in log.notes]
        kinds, scores, least = first.test.kinds, first.scores, first.model.threshold
        missed = [row for row, kind in enumerate(kinds) if kind and scores[row] < least]
        run.show(
            name=self._name, chosen_on=len(first.validation.texts), tests=len(kinds),
            faults=len(kinds) - kinds.count(""),
            ways=list(first.model.scorer.ways), chosen=first.chosen, weights=shell([str(out)]), notes=notes,
            missed=len(missed), new=0, unusual=0,
        )  # fmt: skip
        run.table(("", "first training"), list(first.cost.items()), name="cost")
        run.part(_show, first, missed)
        if new is not None:
            scored = list(first.model.scorer.stream(new.texts))
            run.made.append(_write(run.folder / "scored.csv", new, scored, first.model))
            run.show(new=len(scored), unusual=sum(one.score >= least for one in scored))
            run.part(_show_new, first.model, new, scored)
        line = {"loss": (first.curve["steps"], first.curve["loss"])}
        run.part(Run.figure, "training", partial(curves, line, xlabel="step", ylabel="energy of a line, nats"))

    @property
    def _name(self) -> str:
        return escaped(Path(self.file).name) or "a simulated log"

    def _seed(self, run: Run, own: LogLines | None, seed: int) -> _Trained:
        train, validation, test = self._logs(own, seed)
        words = vocabulary_of(train)
        energy = line_energy(words, train, self.before, seed=seed).to(self.device)
        steps = self.steps or usual_steps(len(train))
        work = LineTraining(energy, words, train, steps, self.rate, seed=seed)
        curve = run.stage("train", partial(self._train, run, work), [energy])
        scorer = LineScorer(energy.network.cpu(), words, {})
        found = run.stage("judge", partial(self._judge, scorer, train, validation, test, seed))
        scorer.ways = {way: tuple(pair) for way, pair in found["ways"].items()}
        rows, model = found["rows"], LineModel(scorer, found["least"], found["mark"])
        rows[OURS]["milliseconds"] = found["milliseconds"]
        cost = {
            "training, s of a processor": curve["seconds"], "lines to learn from": len(train),
            f"steps of {BATCH} lines": steps,
            "parameters": sum(part.numel() for part in energy.parameters()), "words": len(words),
            "a line of a stream, ms": found["milliseconds"],
        }  # fmt: skip
        return _Trained(model, validation, test, rows, found["scores"], max(found["choices"].values()), cost, curve)

    def _logs(self, own: LogLines | None, seed: int) -> tuple[list[str], LabelledLog, LabelledLog]:
        """Normal lines to learn from, and lines with faults to choose and to test on, later in the log."""
        if own is None:
            some = max(100, self.lines // 2)
            return (
                simulated_log(self.lines, 3 * seed).texts,
                simulated_log(some, 3 * seed + 1, self.planted, unknown=0),
                simulated_log(some, 3 * seed + 2, self.planted, unknown=1),
            )
        count = len(own.texts)
        if count < FEWEST:
            raise DataError(
                f"A model needs at least {FEWEST} normal lines, better some thousand, but {self.file} has {count}."
            )
        first, second = 6 * count // 10, 8 * count // 10
        held, last = own.texts[first:second], own.texts[second:]
        return own.texts[:first], plant(held, self.planted, 2 * seed), plant(last, self.planted, 2 * seed + 1)

    def _train(self, run: Run, work: LineTraining) -> dict[str, Any]:
        clock: list[tuple[int, float]] = []

        def tick(step: int, metrics: Any) -> bool:
            clock.append((step, time.process_time()))
            return False

        found = work.fit(run=run.folder / "fit" / str(work.seed), resume=True, callback=tick)
        line = found.history["loss/energy"]
        # From the rows of this process alone, so that a training that was resumed costs what it would have at once.
        pace = (clock[-1][1] - clock[0][1]) / max(1, clock[-1][0] - clock[0][0]) if clock else 0.0
        return {"steps": list(line.steps), "loss": list(line.values), "seconds": pace * work.steps}

    def _judge(
        self, scorer: LineScorer, train: list[str], validation: LabelledLog, test: LabelledLog, seed: int
    ) -> dict[str, Any]:
        found = judge(scorer, train, validation, test, self.alarms / 100, seed)
        return {**found._asdict(), "ways": {way: list(pair) for way, pair in scorer.ways.items()}}

    def _files(self, out: Path, first: _Trained) -> Path:
        row = first.rows[OURS]
        facts = {
            name: f"{value:,.4g}" if isinstance(value, float) else f"{value:,}" for name, value in first.cost.items()
        }
        facts |= {
            "learned from": verbatim(self._name), "rate, seed": f"{self.rate:g}, {self.seed}",
            "score": ", ".join(first.model.scorer.ways), "least score": f"{first.model.threshold:.3f}",
        }  # fmt: skip
        measured = {
            "AUC of planted faults": f"{row['AUC']:.4f}",
            "average precision": f"{row['average precision']:.4f}",
            "faults called unusual": f"{row['caught']:.1f} %",
            "normal lines called unusual": f"{row['false alarms']:.2f} %",
        }
        return write_lines(out, first.model, facts, measured, len(first.test.texts))


def _write(path: Path, new: LogLines, scored: Sequence[LineScore], model: LineModel) -> Path:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["line", "score", "unusual", "text"])
    for number, line, one in zip(new.numbers, new.texts, scored, strict=True):
        unusual = one.score >= model.threshold
        table.writerow([number, f"{one.score:.3f}", "yes" if unusual else "no",
                        marked(line, one, model.mark) if unusual else line])  # fmt: skip
    write_atomically(path, text.getvalue().encode())
    return path


def _show(run: Run, first: _Trained, missed: Sequence[int]) -> None:
    """Test lines of the highest scores, and the faults that were missed."""
    kinds, texts, scores = first.test.kinds, first.test.texts, first.scores
    scored = list(first.model.scorer.stream(texts))
    columns = ("score", "fault", "line")
    for name, chosen in (("highest", range(len(scores))), ("missed", missed)):
        order = sorted(chosen, key=lambda row: -scores[row])[:_SHOWN]
        lines = {row: marked(texts[row], scored[row], first.model.mark) for row in order}
        rows = [(scores[row], kinds[row] or "none", verbatim(line, _LONGEST)) for row, line in lines.items()]
        if rows:
            run.table(columns, rows, name=name)


def _show_new(run: Run, model: LineModel, new: LogLines, scored: Sequence[LineScore]) -> None:
    order = sorted(range(len(scored)), key=lambda row: -scored[row].score)[:_SHOWN]
    texts = {row: marked(new.texts[row], scored[row], model.mark) for row in order}
    rows = [(new.numbers[row], scored[row].score, verbatim(text, _LONGEST)) for row, text in texts.items()]
    run.table(("line", "score", "text"), rows, name="new")

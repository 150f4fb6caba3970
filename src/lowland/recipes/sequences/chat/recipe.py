"""Questions to one's own documents: the command `lowland chat`."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from lowland.data.documents import Documents, docstrings, read_documents
from lowland.data.folder import report_skipped
from lowland.data.self_questions import CLOZE, HEADING, Question, cloze_questions, heading_questions, split_questions
from lowland.data.text_features import TextFeatures
from lowland.errors import OptionError
from lowland.evaluation.passages import answered_by_threshold, chosen_settings, features_of, measured_rows, recall_bars
from lowland.plots.bars import interval_bars
from lowland.plots.curves import curves
from lowland.plots.style import BLUE
from lowland.recipes.base import Bound, Count, Recipe, recipe
from lowland.reports.run import Run
from lowland.terminal import say, shell
from lowland.training.memory_files import write_memory
from lowland.training.model_card import check_writable
from lowland.training.passage_memory import (
    MatchSettings,
    PassageMemory,
    answer_cells,
    told,
    with_headings,
    word_table,
)
from lowland.words import escaped, verbatim

WHOLE, BM25 = "whole", "bm25"
SHORT = {"chance": "random order", "tfidf": "TF-IDF", BM25: "BM25", "parts": "BM25, parts", "vectors": "BM25, vectors",
         WHOLE: "energy"}  # fmt: skip
_FEWEST, _SHOWN, _LONGEST = 20, 8, 240


class _Judged(NamedTuple):
    """What one split left."""

    rows: dict[str, dict[str, float]]
    chosen: dict[str, MatchSettings]
    threshold: float
    test: list[Question]
    least: dict[str, list[Any]]


@recipe
@dataclass(frozen=True)
class ChatRecipe(Recipe):
    """E(x, z) = −match of question x and passage z: the least z answers x, and nothing does where it is high."""

    folder: str = ""
    """Folder of documents: txt, md, rst, html, packed by gzip or not; empty for descriptions of functions."""
    packages: tuple[str, ...] = ("sklearn",)
    """Installed Python packages whose docstrings stand in for documents, if no folder is given."""
    ask: tuple[str, ...] = ()
    """Questions of your own; the answers stand on the page and are printed."""
    questions: Annotated[int, Bound(least=10)] = 300
    """Questions of each kind on which settings are chosen, and as many for the test, at most."""
    seeds: Count = 3
    """Splits of the documents into those for choosing and for the test, each with its own questions."""
    features: Annotated[int, Bound(least=2)] = 100
    """Numbers of a vector of a word."""
    support: Count = 5
    """Passages whose sentences may be the answer."""
    out: str = ""
    """Folder for the memory; by default `memory` in the folder of the run."""

    accelerated: ClassVar[bool] = False
    files: ClassVar[tuple[str, ...]] = ("folder",)
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"packages": ("json", "logging"), "questions": 15, "seeds": 1, "features": 8}
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.folder and not self.packages:
            raise OptionError("Name a folder of documents, or packages whose docstrings stand in for one.")
        for name in ("folder", "out"):  # a run is resumed from any place
            if getattr(self, name):
                object.__setattr__(self, name, os.path.realpath(getattr(self, name)))

    def run(self, run: Run) -> None:
        out = check_writable(Path(self.out) if self.out else run.folder / "memory")
        documents = self._documents(run)
        features = features_of(documents)
        run.expect(1 + 2 * self.seeds)
        kept = run.stage("vectors", partial(self._vectors, documents, features))["table"]
        table = kept if len(kept) else None
        judged = [one for seed in range(self.seeds) if (one := self._seed(run, documents, features, table, seed))]
        for one in judged:
            run.measured.add(one.rows)
        first = judged[0] if judged else None
        settings = first.chosen[WHOLE] if first else MatchSettings(support=self.support)
        memory = with_headings(documents, settings, features, table, first.threshold if first else 0.0)
        run.made.append(write_memory(out, memory))
        begun = time.process_time()
        asked = [(question, memory.ask(question)) for question in self.ask]
        took = 1000 * (time.process_time() - begun) / max(1, len(asked))
        run.show(
            name=self._name, passages=len(documents.passages), documents=len(documents.names),
            words=len(features.vocabulary), judged=len(judged), notes=list(documents.notes),
            skipped=len(documents.skipped), weights=shell([str(out)]), threshold=memory.threshold, took=took,
            headings=sum(one.kind == HEADING for one in first.test) if first else 0,
            clozes=sum(one.kind == CLOZE for one in first.test) if first else 0, asked=len(asked),
            chosen={name: asdict(one) for name, one in first.chosen.items()} if first else {},
        )  # fmt: skip
        for question, answer in asked:
            say(f"? {question}", told(memory, answer))
        run.part(self._show, memory, documents, first, asked)

    def _documents(self, run: Run) -> Documents:
        if self.folder:
            found = read_documents(self.folder)
            report_skipped(found, run.folder / "skipped.txt")
            return found
        run.stand_in("What Python functions say of themselves stands in for documents: give a folder of your own.")
        return docstrings(self.packages)

    @property
    def _name(self) -> str:
        return escaped(Path(self.folder).name) if self.folder else f"the docstrings of {', '.join(self.packages)}"

    def _vectors(self, documents: Documents, features: TextFeatures) -> dict[str, Tensor]:
        found = word_table(documents, features.vocabulary, self.features)
        return {"table": torch.zeros(0, 1) if found is None else found}

    def _seed(
        self, run: Run, documents: Documents, features: TextFeatures, table: Tensor | None, seed: int
    ) -> _Judged | None:
        """Settings chosen on some questions and measured on others; None where there are too few questions."""
        draw = self.generator(seed)
        made = heading_questions(documents) + cloze_questions(documents, draw, 12 * self.questions)
        choosing, test = split_questions(made, draw, self.questions)
        if min(len(choosing), len(test)) < _FEWEST:
            return None
        with run.below(f"seed-{seed}"):
            found = run.stage("choose", partial(chosen_settings, documents, choosing, table, self.support, features))
            chosen, least = {name: MatchSettings(**one) for name, one in found["chosen"].items()}, found["threshold"]
            draw = self.generator(1000 + seed)
            tested = run.stage("test", partial(measured_rows, documents, test, chosen, least, table, features, draw))
        return _Judged(tested["rows"], chosen, least, test, tested["least"])

    def _show(
        self, run: Run, memory: PassageMemory, documents: Documents, first: _Judged | None, asked: list[Any]
    ) -> None:
        rows = [(verbatim(question, _LONGEST), *answer_cells(memory, answer)) for question, answer in asked]
        if rows:
            run.table(("question", "answer", "where", "energy"), rows, name="asked")
        if documents.skipped:
            rows = [(verbatim(name), verbatim(why, 200)) for name, why in documents.skipped[:40]]
            run.table(("file", "why"), rows, name="skipped")
        if first is None:
            length = sorted(float(len(one.text.split())) for one in documents.passages)
            run.figure("lengths", curves({"words": length}, xlabel="passage, sorted", ylabel="words"))
            return
        questions = first.test[:_SHOWN] + first.test[-_SHOWN:]
        rows = [(verbatim(one.text, _LONGEST), *answer_cells(memory, memory.ask(one.text))) for one in questions]
        run.table(("question", "answer", "where", "energy"), rows, name="examples")
        for kind in (HEADING, CLOZE):
            if bars := recall_bars(first.rows, kind, SHORT):
                run.figure(kind, partial(interval_bars, bars, xlabel="first passage right, %",
                                         colours={SHORT[WHOLE]: BLUE}))  # fmt: skip
        run.figure(
            "threshold",
            partial(curves, answered_by_threshold(first.least), xlabel="threshold", ylabel="questions answered, %"),
        )

"""Questions about scenes, answered by programs that are learned from few examples and then from answers alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, NamedTuple

from torch import Tensor

from lowland.data.block_programs import ANSWERS
from lowland.data.block_questions import BlockQuestion
from lowland.data.block_scenes import BlockScenes
from lowland.energies.program_answer import ProgramAnswer
from lowland.errors import OptionError
from lowland.evaluation.question_programs import answer_row, asked, frequent_answers, listed_programs, seen_rightly
from lowland.plots.programs import program_tree
from lowland.recipes.base import Bound, Count, Positive, SeededRecipe, recipe
from lowland.reports.run import Run
from lowland.solvers.beam_search import BeamSearch
from lowland.training.question_programs import (
    Found,
    QuestionSet,
    direct_answers,
    drawn_questions,
    nearest_programs,
    program_energy,
    programs_of,
    question_sets,
    reinforce,
    seeing_energy,
    seen,
    train_directly,
    train_on_answers,
    train_on_programs,
    train_to_see,
)

NOTHING, BY_KIND, NEAREST, DIRECT, REINFORCE = "most frequent", "by kind", "nearest", "direct", "reinforce"
_SHOWN, _LISTED = 4, 6
PARTS = ("validation", "test", "deep")
"""Questions that are not learned from. Nothing is chosen on the last two."""


class Left(NamedTuple):
    """What the pictures need of a seed: pictures, questions, programs that were found, and a list with energies."""

    pictures: BlockScenes
    questions: dict[str, list[BlockQuestion]]
    programs: dict[str, Found]
    listed: Callable[..., list[dict[str, Any]]]


@recipe
@dataclass(frozen=True)
class ProgramsRecipe(SeededRecipe):
    """E(x, y, z) = −log p(z | question) + γ [z, run on the scene, does not say y]: z a program, y an answer."""

    programs: tuple[Count, ...] = (100, 300, 1000)
    """Numbers of questions that come with a program."""
    questions: Annotated[int, Bound(least=20)] = 2000
    """Questions to learn from; those beyond the largest number of programs come with answers alone."""
    chosen: Annotated[int, Bound(least=10)] = 300
    """Questions to choose settings on, about pictures of their own."""
    tested: Annotated[int, Bound(least=10)] = 400
    """Questions of the test."""
    deeper: Annotated[int, Bound(least=1)] = 100
    """Questions of the test with a relation more than any to learn from."""
    scenes: Annotated[int, Bound(least=10)] = 400
    """Pictures to ask about, as many to learn to see from, and two thirds as many each to choose on and to test on."""
    steps: Count = 600
    """Training steps on programs."""
    rounds: Count = 3
    """Searches for programs that explain the answers."""
    more: Count = 300
    """Training steps after each search."""
    seeing: Count = 600
    """Training steps of the network that sees."""
    rewarded: Count = 100
    """Training steps with drawn programs, of the rival."""
    straight: Count = 500
    """Training steps of the network without programs."""
    beam: Count = 8
    """Programs that a search keeps."""
    mismatch: Positive = 10.0
    """γ, in nats."""
    width: Annotated[int, Bound(least=2)] = 64
    """Units of the networks, an even number."""

    accelerated: ClassVar[bool] = False
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {
            "programs": (10,), "questions": 30, "chosen": 10, "tested": 10, "deeper": 2, "scenes": 20, "steps": 4,
            "rounds": 1, "more": 2, "seeing": 2, "rewarded": 2, "straight": 2, "beam": 2, "width": 8, "seeds": 1,
        },
        "long": {"programs": (30, 100, 300, 1000, 3000), "questions": 8000, "steps": 1500, "more": 1000},
    }  # fmt: skip

    def run(self, run: Run) -> None:
        if max(self.programs) >= self.questions:
            raise OptionError(
                f"programs asks for {max(self.programs)} programs, but there are {self.questions} questions, and some "
                "must be left with answers alone: raise questions."
            )
        counts = sorted(set(self.programs))
        chosen = 300 if 300 in counts else counts[-1]
        run.show(counts=counts, chosen=chosen, answers_alone=self.questions - counts[-1])
        super().run(run)

    def measure(self, run: Run, seed: int) -> tuple[dict[str, dict[str, Any]], Left]:
        counts = sorted(set(self.programs))
        run.expect((len(counts) + 4) * self.seeds)
        counts_of = {"train": self.questions, "validation": self.chosen, "test": self.tested, "deep": self.deeper}
        pictures, questions = drawn_questions(self.scenes, counts_of, self.generator(2000 + seed))
        eyes = seeing_energy(self.generator(10 + seed))
        looked = run.stage("see", partial(self._see, eyes, pictures, seed), [eyes])
        looked_at = {part: seen(eyes, pictures[part]) for part in ("ask", "validation", "test")}
        sets = question_sets(questions, looked_at)
        known, words = sets["train"], int(sets["train"].words.max())
        alone = known.take(slice(counts[-1], None))
        rows: dict[str, dict[str, Any]] = frequent_answers(sets)
        left: dict[str, Found] = {}
        listed: Callable[..., list[dict[str, Any]]] | None = None
        chosen = 300 if 300 in counts else counts[-1]
        first: dict[str, Tensor] = {}
        for count in counts:
            energy = program_energy(words, self.width, self.mismatch, self.generator(20 + seed))
            work = partial(self._learn, energy, known.take(slice(0, count)), alone, sets, seed)
            found = run.stage(f"programs-{count}", work, [energy])
            rows |= {f"{count}": found["before"], f"{count} answers": found["after"]}
            if count == chosen:
                first = found["first"]
                left = {part: programs_of(energy, sets[part], BeamSearch(self.beam)) for part in ("test", "deep")}
                listed = partial(
                    listed_programs, energy, sets["test"], generator=self.generator(50 + seed), most=_LISTED
                )
        energy = program_energy(words, self.width, self.mismatch, self.generator(20 + seed))
        work = partial(self._rival, energy, first, known.take(slice(0, chosen)), alone, sets, seed)
        rows[REINFORCE] = run.stage("reinforce", work)
        rows[DIRECT] = run.stage("direct", partial(self._straight, known, words, sets, seed))
        nearest = {part: nearest_programs(known.take(slice(0, chosen)), sets[part]) for part in PARTS}
        said = {part: energy.answers(sets[part].x(), nearest[part]) for part in nearest}
        rows[NEAREST] = answer_row(said, sets, nearest)
        rows["seen"] = looked
        if listed is None:
            raise OptionError("programs needs at least one number.")
        return rows, Left(pictures["test"], questions, left, listed)

    def _see(self, eyes: Any, pictures: dict[str, BlockScenes], seed: int) -> dict[str, float]:
        began = time.process_time()
        train_to_see(eyes, pictures["see"], self.seeing, seed)
        return seen_rightly(seen(eyes, pictures["test"]), pictures["test"].scenes) | {
            "seconds": time.process_time() - began
        }

    def _learn(
        self, energy: ProgramAnswer, known: QuestionSet, asked: QuestionSet, sets: dict[str, QuestionSet], seed: int
    ) -> dict[str, Any]:
        draw, solver = self.generator(30 + seed), BeamSearch(self.beam)
        began = time.process_time()
        train_on_programs(energy, known, self.steps, draw)
        before = self._row(energy, sets, began)
        first = {name: value.clone() for name, value in energy.state_dict().items()}
        began = time.process_time()
        history = train_on_answers(energy, known, asked, solver, self.rounds, self.more, draw)
        after = self._row(energy, sets, began - before["seconds"])
        return {"before": before, "after": after | history[-1], "first": first}

    def _rival(
        self, energy: ProgramAnswer, first: dict[str, Tensor], known: QuestionSet, asked: QuestionSet,
        sets: dict[str, QuestionSet], seed: int,
    ) -> dict[str, float]:  # fmt: skip
        began = time.process_time()
        energy.load_state_dict(first)
        reinforce(energy, known, asked, self.rewarded, self.generator(40 + seed))
        return self._row(energy, sets, began)

    def _straight(self, known: QuestionSet, words: int, sets: dict[str, QuestionSet], seed: int) -> dict[str, float]:
        began = time.process_time()
        energy = train_directly(known, words, self.straight, self.width, seed, self.generator(60 + seed))
        said = {part: direct_answers(energy, sets[part]) for part in PARTS}
        return answer_row(said, sets) | {"seconds": time.process_time() - began}

    def _row(self, energy: ProgramAnswer, sets: dict[str, QuestionSet], began: float) -> dict[str, float]:
        seconds = time.process_time() - began
        found = {part: programs_of(energy, sets[part], BeamSearch(self.beam)) for part in PARTS}
        programs = {part: own.program for part, own in found.items()}
        return answer_row({part: own.answer for part, own in found.items()}, sets, programs) | {"seconds": seconds}

    def figures(self, run: Run, first: Left) -> None:
        for part in ("test", "deep"):
            own, found = first.questions[part], first.programs[part]
            good = [
                row
                for row in range(len(own))
                if ANSWERS[found.answer[row]] == own[row].answer and found.answer[row] >= 0
            ]
            bad = [row for row in range(len(own)) if row not in good and found.answer[row] >= 0]
            # One of each kind, the longest first, and two that are wrong.
            longest = sorted(good, key=lambda row: -len(own[row].program))
            kinds = {own[row].kind: row for row in reversed(longest)}
            rows = [*list(kinds.values())[:_SHOWN], *bad[:2]] or [0]
            run.grid(part, [(self._panel(first, part, row), "") for row in rows], columns=2)
        row = max(range(len(first.questions["test"])), key=lambda row: first.questions["test"][row].depth)
        listed = first.listed(row=row)
        cells = [[one["program"], one["proposal"], one["mismatch"], one["answer"] or "none"] for one in listed]
        question = first.questions["test"][row]
        run.show(question=asked(question), truth=question.answer)
        run.table(["program", "proposal, nats", "mismatch, nats", "answer"], cells, name="listed")

    def _panel(self, first: Left, part: str, row: int) -> Any:
        question, found = first.questions[part][row], first.programs[part]
        image = first.pictures.pixels(question.scene)
        if found.answer[row] < 0:  # no program that can be run was found: the right one is drawn
            return program_tree(image, asked(question), list(question.program), "none", question.answer)
        program = [int(number) for number in found.program[row].tolist() if number >= 0]
        return program_tree(image, asked(question), program, ANSWERS[found.answer[row]], question.answer)

"""Questions about short stories, answered by several soft looks into a memory."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from lowland.data.stories import KINDS, Question, load_stories, write_stories
from lowland.data.story_puzzles import WORLDS
from lowland.plots.attention import attention_by_hop
from lowland.recipes.base import Bound, Count, Positive, SeededRecipe, recipe
from lowland.reports.run import Run
from lowland.training.story_answering import (
    StorySet,
    StoryTraining,
    answering,
    most_frequent_errors,
    story_errors,
    story_sets,
    train_on_stories,
)

NOTHING, WHOLE = "most frequent", "PE LS RN"
PLANS = {
    "question": StoryTraining("words", hops=0, linear=0, noise=False),
    "BoW": StoryTraining("words", linear=0, noise=False),
    "PE": StoryTraining(linear=0, noise=False),
    "PE LS": StoryTraining(noise=False),
    WHOLE: StoryTraining(),
    "1 hop": StoryTraining(hops=1),
    "2 hops": StoryTraining(hops=2),
    "LW": StoryTraining(tying="layer-wise"),
}
_SHOWN = (2, 15, 16)


class Left(NamedTuple):
    """What the pictures need of a seed: stories with their questions and what each hop attends to."""

    asked: dict[str, Question]
    attention: dict[str, Tensor]
    answers: dict[str, str]


@recipe
@dataclass(frozen=True)
class BabiRecipe(SeededRecipe):
    """E(x, y) = −y·f(x): x a story and a question, y an answer, f a network that looks into a memory of sentences."""

    kinds: tuple[Annotated[int, Bound(least=1, most=20)], ...] = KINDS
    """Which of the twenty kinds of question; each has networks of its own."""
    data_dir: str = ""
    """Folder of the published files, such as tasks_1-20_v1-2/en; without it, simulated worlds write the stories."""
    questions: Annotated[int, Bound(least=20)] = 1000
    """Questions of a kind to learn from, a tenth of them for validation, and as many others for the test."""
    seeds: Count = 1
    """Repetitions, each with its own stories, if they are written, and first weights."""
    restarts: Count = 3
    """Copies of each network, of which the one of least training loss is taken."""
    epochs: Count = 60
    """Passes over the questions, after those of a linear start, which are 60 at most."""
    memory: Count = 50
    """Most sentences of a memory."""
    rate: Positive = 0.01
    """First rate."""

    networks: tuple[Literal["question", "BoW", "PE", "PE LS", "PE LS RN", "1 hop", "2 hops", "LW"], ...] = (
        "question", "BoW", "PE", "PE LS RN", "1 hop",
    )  # fmt: skip
    """Which networks; PE LS RN is always among them."""

    accelerated: ClassVar[bool] = False
    files: ClassVar[tuple[str, ...]] = ("data_dir",)
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"kinds": (1, 16), "questions": 40, "restarts": 2, "epochs": 2},
        "long": {"seeds": 3, "restarts": 10, "epochs": 100, "networks": tuple(PLANS)},
    }

    def run(self, run: Run) -> None:
        run.show(chosen=sorted(set(self.kinds)), every=len(set(self.kinds)) == len(KINDS))
        if not self.data_dir:
            run.stand_in("Stories of simulated worlds, of the published kinds, stand in for the published files.")
        super().run(run)

    def measure(self, run: Run, seed: int) -> tuple[dict[str, dict[str, Any]], Left]:
        plans = {name: plan for name, plan in PLANS.items() if name in (*self.networks, WHOLE)}
        run.expect(len(self.kinds) * len(plans) * self.seeds)
        rows: dict[str, dict[str, Any]] = {name: {} for name in (NOTHING, *plans)}
        left = Left({}, {}, {})
        for kind in dict.fromkeys(self.kinds):
            parts = self._parts(kind, seed)
            sets, spelling = story_sets(parts, self.memory)
            rows[NOTHING][f"kind {kind}"] = most_frequent_errors(sets)
            for name, plan in plans.items():
                plan = plan._replace(epochs=self.epochs, restarts=self.restarts, rate=self.rate)
                work = partial(self._train, sets, spelling, plan, seed, seed == 0 and name == WHOLE)
                found = run.stage(f"kind-{kind}/{name.replace(' ', '-')}", work)
                rows[name] |= {f"kind {kind}": found["error"], f"seconds {kind}": found["seconds"]}
                if "attention" in found:
                    text = f"{kind}: {WORLDS[kind][0]}"
                    left.asked[text], left.attention[text] = parts["test"][0], found["attention"]
                    left.answers[text] = found["answer"]
        for row in rows.values():
            errors = [row[f"kind {kind}"] for kind in dict.fromkeys(self.kinds)]
            row |= {"mean": sum(errors) / len(errors), "failed": sum(error > 5 for error in errors)}
            row["seconds"] = sum(value for key, value in row.items() if key.startswith("seconds "))
        return rows, left

    def _parts(self, kind: int, seed: int) -> dict[str, list[Question]]:
        if self.data_dir:
            known = load_stories(Path(self.data_dir), kind, "train")[: self.questions]
            test = load_stories(Path(self.data_dir), kind, "test")
        else:
            known, test = (
                write_stories(WORLDS[kind][1], self.questions, self.generator(1000 * (2 * seed + part) + kind))
                for part in (0, 1)
            )
        held = max(1, len(known) // 10)
        return {"train": known[held:], "validation": known[:held], "test": test}

    def _train(
        self, sets: dict[str, StorySet], spelling: Any, plan: StoryTraining, seed: int, shown: bool
    ) -> dict[str, Any]:
        began = time.process_time()
        network, found = train_on_stories(sets, spelling, plan, self.generator(seed))
        numbers: dict[str, Any] = {"seconds": time.process_time() - began, "validation": found["validation"].tolist()}
        numbers["error"] = float(story_errors(network, sets["test"])[0])
        if shown:
            energy, x = answering(network, spelling), sets["test"].inputs(torch.tensor([0]))
            with torch.no_grad():
                numbers["attention"] = energy.attention(x)[0]
                numbers["answer"] = spelling.answers[int(energy.encode(x)[0].argmax())]
        return numbers

    def figures(self, run: Run, first: Left) -> None:
        panels = []
        for kind in [kind for kind in _SHOWN if kind in self.kinds] or [self.kinds[0]]:
            text = f"{kind}: {WORLDS[kind][0]}"
            asked, look, answer = first.asked[text], first.attention[text], first.answers[text]
            story, question = [" ".join(one) for one in asked.story], " ".join(asked.words)
            drawn = attention_by_hop(look, story, question, answer, asked.answer, asked.support)
            panels.append((drawn, f"Kind {text}"))
        run.grid("attention", panels)

"""Handwritten words: each letter read alone, and a chain of letters of least energy, by three losses."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import torch

from lowland.data.handwritten_words import ALPHABET, FOLDS, SHAPE, Words, digit_words, spelled, words
from lowland.energies.lattice import Lattice
from lowland.evaluation.reading import label_errors, read_lines
from lowland.plots.lines import lines_with_cuts
from lowland.plots.neighbours import neighbour_costs
from lowland.recipes.base import Bound, Count, Positive, SeededRecipe, recipe
from lowland.reports.run import Run
from lowland.training.word_reading import LONGEST, WordMethod, neighbours, train_words, word_energy

NOTHING, ALONE, CHAIN = "most frequent", "ConvNet", "ConvNet chain"
METHODS = {
    "linear": WordMethod("linear", chained=False),
    "linear chain": WordMethod("linear", chained=True),
    ALONE: WordMethod("ConvNet", chained=False),
    CHAIN: WordMethod("ConvNet", chained=True),
    "ConvNet perceptron": WordMethod("ConvNet", chained=True, loss="perceptron"),
    "ConvNet hinge": WordMethod("ConvNet", chained=True, loss="hinge"),
}
_SHOWN = 6


class Left(NamedTuple):
    """What the pictures need of a seed: the test words, what was read of them, and the chain."""

    words: Words
    answers: dict[str, list[list[int]]]
    chain: Lattice


@recipe
@dataclass(frozen=True)
class WordsRecipe(SeededRecipe):
    """E(x, y) = Σ_t c(x_t)[y_t] + Σ_t w[y_t−1, y_t]: x the images of the letters of a word, y the letters."""

    data: Literal["words", "digits"] = "words"
    """Handwritten words, or digits in a row that count upwards, which are always available."""
    seeds: Annotated[int, Bound(least=1, most=FOLDS)] = 3
    """Repetitions, each with another of the ten published folds for the test."""
    steps: Count = 800
    """Training steps of each method."""
    batch: Count = 32
    """Words of a step."""
    rate: Positive = 0.003
    """Learning rate of AdamW at first."""
    held: Annotated[float, Bound(above=0, below=1)] = 0.1
    """Share of the other folds that is held out for validation."""

    stages: ClassVar[int] = len(METHODS)
    presets: ClassVar[dict[str, dict[str, Any]]] = {"smoke": {"data": "digits", "seeds": 1, "steps": 40, "batch": 8}}

    def measure(self, run: Run, seed: int) -> tuple[dict[str, dict[str, Any]], Left]:
        if self.data == "digits":
            run.stand_in("Digits that count upwards stand in for handwritten words.")
        whole = words() if self.data == "words" else digit_words(120, self.generator(1000))
        parts = whole.split(seed, self.held, self.generator(100 + seed))
        energies, answers = {}, {}
        common = [int(parts["train"].letters.bincount().argmax())]
        guess = [common * len(answer) for answer in parts["test"].answers]
        numbers: dict[str, dict[str, Any]] = {NOTHING: label_errors(guess, parts["test"].answers)}
        for name, method in METHODS.items():
            energies[name] = word_energy(method.network, method.chained, self.generator(seed))
            work = partial(self._train, energies[name], method, parts, seed)
            found = run.stage(name.replace(" ", "-"), work, [energies[name]])
            numbers[name], answers[name] = found["numbers"], found["answers"]
        if seed == 0:
            known = set(parts["train"].texts)
            new = sum(text not in known for text in parts["test"].texts)
            run.show(different=len(known), new=new, trained=len(parts["train"].texts), tested=len(parts["test"].texts))
        return numbers, Left(parts["test"], answers, energies[CHAIN])

    def _train(self, energy: Lattice, method: WordMethod, parts: dict[str, Words], seed: int) -> dict[str, Any]:
        began = time.process_time()
        train_words(energy.to(self.device), parts["train"], method.loss, self.steps, self.batch, self.rate, seed)
        numbers = {"seconds": time.process_time() - began}
        energy.cpu()
        answers: list[list[int]] = []
        for part in ("validation", "test"):
            answers = read_lines(energy, parts[part].inputs(LONGEST)).answers
            errors = label_errors(answers, parts[part].answers)
            numbers |= errors if part == "test" else {"validation": errors["labels"]}
        return {"numbers": numbers, "answers": answers}

    def figures(self, run: Run, first: Left) -> None:
        run.figure("neighbours", partial(neighbour_costs, neighbours(first.chain), ALPHABET))
        truths = first.words.answers
        alone, chain = ([a != b for a, b in zip(first.answers[name], truths, strict=True)] for name in (ALONE, CHAIN))
        helped = [row for row in range(len(truths)) if alone[row] and not chain[row]][:_SHOWN]
        lost = [row for row in range(len(truths)) if chain[row]][:_SHOWN]
        rows = helped + lost or list(range(_SHOWN))
        shown = first.words.take(torch.tensor(rows))
        pictures = [picture for picture in shown.pictures for _ in range(2)]
        run.figure("read", lines_with_cuts(
            pictures, [torch.arange(SHAPE[2], picture.shape[1], SHAPE[2]) for picture in pictures],
            [spelled(first.answers[name][row]) for row in rows for name in (ALONE, CHAIN)],
            truths=[text for text in shown.texts for _ in range(2)],
        ))  # fmt: skip

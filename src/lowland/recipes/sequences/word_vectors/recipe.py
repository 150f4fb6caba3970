"""Vectors of words from what stands near them: by noise-contrastive training, and in closed form."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

from torch import Tensor

from lowland.data.brown import brown
from lowland.data.sentences import described, own_sentences, plurals
from lowland.data.similar_words import similar_words
from lowland.data.word_pairs import NumberedText, pair_counts
from lowland.energies.word_pairs import WordPairs
from lowland.errors import OptionError
from lowland.evaluation.word_vectors import agreement, nearest_words
from lowland.plots.word_map import word_map
from lowland.recipes.base import Bound, Count, NotNegative, Positive, SeededRecipe, recipe
from lowland.reports.run import Run
from lowland.shaping.contrastive.noise_contrastive import NoiseContrastive
from lowland.training.word_vectors import descend_word_pairs, mutual_information_vectors, train_word_pairs

RANDOM, SAMPLED, MATCHED, PARTS, CLOSED = "random", "sampling", "matched", "parts", "closed form"
SHORT = {"WordSim-353": "related", "SimLex-999": "similar"}


class Left(NamedTuple):
    """What the page needs of the first seed: words near those that are asked for, and the vectors of all of them."""

    near: dict[str, list[tuple[str, float]]]
    vectors: dict[str, dict[str, Tensor]]


@recipe
@dataclass(frozen=True)
class WordVectorsRecipe(SeededRecipe):
    """E(x, y) = −u_x · v_y: x a word, y a word that stands near it."""

    data: Literal["brown", "descriptions"] = "brown"
    """The Brown corpus, or the descriptions of data sets in scikit-learn, a stand-in that needs no download."""
    text: str = ""
    """A text file of your own instead, one sentence or paragraph a line."""
    ask: tuple[str, ...] = ("money", "doctor", "music", "river", "war", "house")
    """Words whose nearest neighbours the page shows; those that the text lacks are left out."""
    least: Count = 5
    """Words that occur fewer times are left out."""
    window: Count = 5
    """Words on each side that count as near, at most."""
    features: Annotated[int, Bound(least=2)] = 100
    """Numbers of a vector."""
    epochs: Count = 5
    """Passes over the text."""
    ratio: Count = 5
    """ν: words drawn as noise for each pair."""
    frequent: NotNegative = 1e-3
    """t: words with a larger share of the text are partly left out."""
    buckets: Count = 20_000
    """Vectors that all parts of words share."""
    rate: Positive = 0.05
    """Learning rate of negative sampling at the start; of 0.025, 0.05 and 0.1 the loss of a held-out tenth is least."""
    batch: Count = 8192
    """Pairs of a step of noise-contrastive estimation."""
    batch_rate: Positive = 0.002
    """Learning rate of Adam for it at the start."""

    accelerated: ClassVar[bool] = False
    files: ClassVar[tuple[str, ...]] = ("text",)
    stages: ClassVar[int] = 4
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {"data": "descriptions", "epochs": 1, "features": 8, "buckets": 100, "frequent": 0.0, "seeds": 1,
                  "ask": ("data", "class")},
    }  # fmt: skip

    def measure(self, run: Run, seed: int) -> tuple[dict[str, dict[str, Any]], Left]:
        text, lists = self._text(run)
        settings: dict[str, tuple[bool, int]] = {
            SAMPLED: (False, 0), MATCHED: (True, 0), PARTS: (False, self.buckets)
        }  # fmt: skip
        numbers: dict[str, dict[str, Any]] = {}
        energies: dict[str, WordPairs] = {}
        for name, (matched, buckets) in settings.items():
            energy = WordPairs(text.words, self.features, buckets, generator=self.generator(seed))
            if name == SAMPLED:
                numbers[RANDOM] = self._judged(energy.vector, lists)
            work = partial(self._train, run, energy, text, matched, seed, name)
            seconds = run.stage(name, work, [energy])["seconds"]
            numbers[name] = self._judged(energy.vector, lists) | {"seconds": seconds}
            energies[name] = energy
        found = run.stage(CLOSED, partial(self._closed, text))
        table = found["table"]
        known = {word: table[row] for word, row in energies[SAMPLED].number.items()}
        numbers[CLOSED] = self._judged(known.get, lists) | {"seconds": found["seconds"]}
        if seed == 0:
            run.save_energy("words", energies[SAMPLED])
        return numbers, self._left(table, text.words)

    def _text(self, run: Run) -> tuple[NumberedText, dict[str, list[tuple[str, str, float]]]]:
        if self.text:
            sentences, lists = own_sentences(Path(self.text)), similar_words().lists
        elif self.data == "brown":
            sentences, lists = brown(), similar_words().lists
        else:
            run.stand_in(
                "Descriptions of data sets stand in for a corpus, and words and their plurals for rated pairs."
            )
            sentences = described()
            lists = {name: plurals(sentences) for name in SHORT}
        text = NumberedText.of(sentences.words, self.least)
        run.show(
            words=len(text.words), tokens=len(text.numbers), asked=[word for word in self.ask if word in text.words]
        )
        if self.features >= len(text.words):
            raise OptionError(f"features must be less than the {len(text.words)} words of the text: give more text.")
        return text, lists

    def _train(
        self, run: Run, energy: WordPairs, text: NumberedText, matched: bool, seed: int, name: str
    ) -> dict[str, float]:
        began, own = time.process_time(), self.seed + seed
        passes = {"epochs": self.epochs, "window": self.window, "frequent": self.frequent}
        if matched:
            shaping = NoiseContrastive(self.ratio, seed=own)
            train_word_pairs(
                energy, text, shaping, batch=self.batch, rate=self.batch_rate, seed=own,
                run=run.folder / "fit" / f"{name}-{seed}", **passes,
            )  # fmt: skip
        else:
            descend_word_pairs(energy, text, self.ratio, rate=self.rate, seed=own, **passes)
        return {"seconds": time.process_time() - began}

    def _closed(self, text: NumberedText) -> dict[str, Any]:
        began = time.process_time()
        table = mutual_information_vectors(pair_counts(text, self.window), self.features)
        return {"table": table, "seconds": time.process_time() - began}

    @staticmethod
    def _judged(
        vector: Callable[[str], Tensor | None], lists: dict[str, list[tuple[str, str, float]]]
    ) -> dict[str, float]:
        rows = {SHORT[name]: agreement(vector, pairs) for name, pairs in lists.items()}
        return {
            f"{name}{ending}": row[measure]
            for name, row in rows.items()
            for measure, ending in (("correlation", ""), ("low", " low"), ("high", " high"), ("pairs", " pairs"))
        }

    def _left(self, table: Tensor, words: tuple[str, ...]) -> Left:
        near = {word: nearest_words(table, words, word) for word in self.ask if word in words}
        number = {word: row for row, word in enumerate(words)}
        vectors = {
            word: {one: table[number[one]] for one in (word, *(other for other, _ in found))}
            for word, found in near.items()
        }
        return Left(near, vectors)

    def figures(self, run: Run, first: Left) -> None:
        if first.near:
            run.table(
                ("word", "nearest words, with their cosines"),
                [(word, ", ".join(f"{other} {cosine:.2f}" for other, cosine in found))
                 for word, found in first.near.items()], name="near",
            )  # fmt: skip
            run.figure("map", partial(word_map, first.vectors))

"""A memory of passages that answers questions with a sentence: the parts I, G, O and R of a memory network (system M4).

I cuts documents into passages and words (`data.documents`, `data.text_features`), G stores them, O finds those that
support an answer by the energy `PassageMatch`, and R says one of their sentences. Nothing is generated.

Legend: B questions, N passages, W words, D numbers of a vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from lowland.data.documents import Documents, Passage, Sentence
from lowland.data.text_features import TextFeatures, asked_words, words_of
from lowland.data.word_pairs import NumberedText, pair_counts
from lowland.domains.tokens import EMPTY
from lowland.energies.associative_memory import AssociativeMemory
from lowland.energies.passage_match import PassageMatch
from lowland.errors import DataError, ShapeError
from lowland.inference import infer
from lowland.solvers.gradient_descent import GradientDescent
from lowland.training.word_vectors import mutual_information_vectors
from lowland.words import verbatim

LONGEST = 512
"""Features of a question that are read; the rest of a longer one is not."""
_AT_ONCE = 64


@dataclass(frozen=True)
class MatchSettings:
    """What the energy of a memory is made of.

    Args:
        saturation, length: k and b of the weights of words, see `TextFeatures.entries`.
        parts: how much parts of words weigh beside words.
        share: γ, how much vectors weigh.
        hop: how far the vector of a question moves to what the memory reads there; 0 leaves the look-up out.
        beta: β of that look-up.
        support: passages whose sentences may be the answer.
    """

    saturation: float = 1.2
    length: float = 0.75
    parts: float = 0.0
    share: float = 0.0
    hop: float = 0.0
    beta: float = 20.0
    support: int = 5


class Answer(NamedTuple):
    """A sentence, its passage's number, its energy, the passages that were found, and whether it is an answer.

    `why` says why there is none: no word of the question is in the documents, or the energy is above the threshold. The
    sentence and its number are None and −1 in the first case.
    """

    sentence: Sentence | None
    passage: int
    energy: float
    support: tuple[int, ...]
    why: str = ""


class PassageMemory:
    r"""Passages in a memory, and questions to it.

    The energy of a passage is `PassageMatch`. The vector of a text is the mean of those of its words, weighed by how
    rare they are, less that of all passages, with unit length. Before the look-up with `hop`, one step of descent in an
    `AssociativeMemory` of the passages' vectors moves the question's vector to those near to it, as a second hop does.
    R adds the energy of a sentence, by the same weights of words among the sentences found, to that of its passage, and
    says the one of the least sum.

    Args:
        documents: what is stored.
        settings: of the energy.
        headings: whether the heading of a passage counts as part of it.
        table: vectors of words, (W, D), in the order of `features.vocabulary`; see `word_table`.
        threshold: energy above which there is no answer.
        features: of these documents, if they are known already.

    >>> from lowland.data.documents import passages_of
    >>> from lowland.data.document_text import markdown_lines
    >>> text = "# Cats\nA cat sleeps most of the day.\n# Dogs\nA dog barks at night."
    >>> memory = PassageMemory(Documents(("pets.md",), tuple(passages_of(markdown_lines(text)))))
    >>> found = memory.ask("Which animal barks?")
    >>> found.sentence, memory.place(found)
    (Sentence(text='A dog barks at night.', line=4), 'pets.md, line 4')
    >>> memory.ask("Quantum chromodynamics?").why
    'no word of the question stands in these documents'
    """

    def __init__(
        self, documents: Documents, settings: MatchSettings | None = None, headings: bool = True,
        table: Tensor | None = None, threshold: float = 0.0, features: TextFeatures | None = None,
    ) -> None:  # fmt: skip
        self.documents, self.settings = documents, settings or MatchSettings()
        self.headings, self.threshold = headings, threshold
        self.features = features or TextFeatures([passage_words(one, headings) for one in documents.passages])
        self.table = table
        one = self.settings
        keys = None
        if table is not None and one.share:
            if len(table) != len(self.features.vocabulary):
                raise ShapeError(f"table must be of {len(self.features.vocabulary)} words, not {len(table)}.")
            vectors = self._summed([passage_words(passage, headings) for passage in documents.passages])
            self.mean = vectors.mean(dim=0)
            keys = functional.normalize(vectors - self.mean, dim=1)
        entries = self.features.entries(one.saturation, one.length, one.parts)
        self.energy = PassageMatch(entries, len(documents.passages), LONGEST, keys, one.share)

    def read(self, questions: Sequence[str]) -> Any:
        """The x of the energy for some questions."""
        words = [asked_words(question) for question in questions]
        x = self._tokens(words)
        if self.energy.keys is None:
            return x
        vector = functional.normalize(self._summed(words) - self.mean, dim=1)
        if self.settings.hop:
            memory = AssociativeMemory(self.energy.keys, self.settings.beta)
            step = GradientDescent(1.0, max_steps=1, tol=None)
            found = infer(memory, over="y", init=vector, solver=step).value
            vector = functional.normalize(torch.lerp(vector, found, self.settings.hop), dim=1)
        return {"words": x, "vector": vector}

    @torch.no_grad()
    def energies(self, questions: Sequence[str]) -> Tensor:
        """The energy of every passage for each question, (B, N)."""
        pieces = [questions[start : start + _AT_ONCE] for start in range(0, len(questions), _AT_ONCE)]
        found = [-self.energy.encode(self.read(piece)) for piece in pieces]
        return torch.cat(found) if found else torch.zeros(0, len(self.documents.passages))

    def ask(self, question: str, without: Sequence[int] = ()) -> Answer:
        """The sentence of least energy.

        Args:
            question: in words.
            without: numbers of passages that are left out.
        """
        known = [name for name in self.features.words(asked_words(question)) if name != self.features.unknown]
        if not known:
            return Answer(None, -1, 0.0, (), "no word of the question stands in these documents")
        energy = self.energies([question])[0]
        energy[list(without)] = torch.inf
        found = energy.sort(stable=True)
        support = [row for row, value in zip(found.indices.tolist(), found.values.tolist(), strict=True)
                   if value < torch.inf][: self.settings.support]  # fmt: skip
        if not support:
            return Answer(None, -1, 0.0, (), "there is no passage left")
        passage, sentence, least = self._least(question, support, energy)
        why = "" if least <= self.threshold else "nothing in these documents answers this"
        return Answer(sentence, passage, least, tuple(support), why)

    def place(self, answer: Answer) -> str:
        """The file and the line of the sentence of an answer."""
        if answer.sentence is None:
            return ""
        name = self.documents.names[self.documents.passages[answer.passage].document]
        return f"{name}, line {answer.sentence.line}"

    def _least(self, question: str, support: Sequence[int], energy: Tensor) -> tuple[int, Sentence, float]:
        """R: the sentence of least energy of the passages that O found."""
        some = [(row, sentence) for row in support for sentence in self.documents.passages[row].sentences]
        texts = [words_of(sentence.text) for _, sentence in some]
        one = self.settings
        entries = self.features.entries(one.saturation, one.length, one.parts, texts)
        match = PassageMatch(entries, len(some), LONGEST)
        passage = energy[[row for row, _ in some]]
        with torch.no_grad():
            total = passage - match.encode(self._tokens([asked_words(question)]))[0]
        best = int(total.argmin())
        return some[best][0], some[best][1], float(total[best])

    def _tokens(self, words: Sequence[Sequence[str]]) -> Tensor:
        found = torch.full((len(words), LONGEST), float(EMPTY))
        for row, one in enumerate(words):
            numbers = self.features.words(one) + (self.features.parts(one) if self.settings.parts else [])
            numbers = numbers[:LONGEST]
            found[row, : len(numbers)] = torch.tensor(numbers, dtype=found.dtype)
        return found

    def _summed(self, texts: Sequence[Sequence[str]]) -> Tensor:
        """The mean of the vectors of words, weighed by idf, with unit length, (B, D)."""
        assert self.table is not None
        rows = [(row, name) for row, text in enumerate(texts) for name in self.features.words(text)
                if name != self.features.unknown]  # fmt: skip
        found = torch.zeros(len(texts), self.table.shape[1])
        if rows:
            place, name = torch.tensor(rows).unbind(1)
            found.index_add_(0, place, self.features.idf[name, None] * self.table[name])
        return functional.normalize(found, dim=1)


def passage_words(passage: Passage, headings: bool) -> list[str]:
    """The words of a passage, with those of its heading or without."""
    text = f"{passage.heading} {passage.text}" if headings else passage.text
    return words_of(text)


def word_table(documents: Documents, vocabulary: Sequence[str], features: int = 100, window: int = 5) -> Tensor | None:
    """Vectors of words by their mutual information in these documents, (W, D); zeros for words seen but once.

    None for documents of too few words. See `mutual_information_vectors`.
    """
    sentences = [words_of(sentence.text) for passage in documents.passages for sentence in passage.sentences]
    try:
        text = NumberedText.of(sentences, least=2)
    except DataError:
        return None
    counts = pair_counts(text, window)
    if not counts.nnz or len(text.words) < 4:
        return None
    vectors = mutual_information_vectors(counts, min(features, len(text.words) - 2))
    number = {word: row for row, word in enumerate(vocabulary)}
    table = torch.zeros(len(vocabulary), vectors.shape[1])
    there = [row for row, word in enumerate(text.words) if word in number]
    table[[number[text.words[row]] for row in there]] = functional.normalize(vectors[there], dim=1)
    return table


def told(memory: PassageMemory, answer: Answer) -> str:
    """An answer in one line: the sentence and where it stands, or why there is none."""
    if answer.why:
        return f"{answer.why}."
    assert answer.sentence is not None
    return f"{answer.sentence.text} ({memory.place(answer)}; energy {answer.energy:.2f})"


def with_headings(
    documents: Documents, settings: MatchSettings, features: TextFeatures, table: Tensor | None, threshold: float = 0.0
) -> PassageMemory:
    """A memory in which headings are part of their passages, with vectors that were made without them.

    Args:
        documents, settings, threshold: see `PassageMemory`.
        features: of the passages without headings.
        table: (W, D), vectors of the words of these features, or None.
    """
    memory = PassageMemory(documents, MatchSettings(), True)
    if table is None:
        return PassageMemory(documents, settings, True, None, threshold, memory.features)
    known = {word: row for row, word in enumerate(features.vocabulary)}
    rows = torch.tensor([known.get(word, -1) for word in memory.features.vocabulary])
    carried = torch.where((rows >= 0)[:, None], table[rows], 0.0)
    return PassageMemory(documents, settings, True, carried, threshold, memory.features)


def answer_cells(memory: PassageMemory, answer: Answer, longest: int = 240) -> tuple[str, str, float | None]:
    """Cells of a table: the sentence, or why there is none, where it stands, and its energy."""
    if answer.why or answer.sentence is None:
        return answer.why, "", answer.energy if answer.sentence is not None else None
    return verbatim(answer.sentence.text, longest), verbatim(memory.place(answer), 80), answer.energy

"""How well passages are found: recall, reciprocal ranks, settings chosen on questions, and when to say nothing.

Legend: Q questions, N passages.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from torch import Tensor

from lowland.data.documents import Documents
from lowland.data.self_questions import CLOZE, HEADING, Question, groups_of
from lowland.data.text_features import TextFeatures, words_of
from lowland.evaluation.success import wilson
from lowland.training.passage_memory import MatchSettings, PassageMemory, passage_words

_DRAWS = 2000
SATURATIONS, LENGTHS = (0.6, 1.2, 2.0), (0.25, 0.5, 0.75)
PARTS, SHARES = (0.0, 0.1, 0.3, 1.0), (0.0, 0.1, 0.2, 0.4, 0.8)
HOPS, BETAS = (0.25, 0.5), (10.0, 40.0)


def ranks(energies: Tensor, questions: Sequence[Question]) -> list[float]:
    """The rank of the best passage that answers each question, from 1 on; the mean rank among equals.

    >>> ranks(torch.tensor([[0.0, -2.0, -1.0]]), [Question("", "cloze", (2,), 0)])
    [2.0]
    """
    found = []
    for row, question in zip(energies, questions, strict=True):
        best = row[list(question.passages)].min()
        found.append(1.0 + int((row < best).sum()) + (int((row == best).sum()) - 1) / 2)
    return found


def retrieval_row(found: Sequence[float], groups: Sequence[int], seed: int = 0) -> dict[str, float]:
    """Recall at 1 and at 5 in percent and the mean reciprocal rank, each with its interval for 95 %.

    For the interval whole groups of questions, documents, are resampled with replacement.

    >>> row = retrieval_row([1.0, 2.0, 10.0], [0, 1, 2])
    >>> round(row["recall 1"], 1), round(row["recall 5"], 1), round(row["rank"], 3)
    (33.3, 66.7, 0.533)
    """
    each = np.array(found)
    scores = {"recall 1": 100.0 * (each <= 1), "recall 5": 100.0 * (each <= 5), "rank": 1 / each}
    names, member = np.unique(np.array(groups), return_inverse=True)
    draw = np.random.default_rng(seed)
    count = np.bincount(member, minlength=len(names)).astype(float)
    times = draw.multinomial(len(names), np.full(len(names), 1 / len(names)), size=_DRAWS)
    row = {}
    for name, score in scores.items():
        total = np.bincount(member, weights=score, minlength=len(names))
        low, high = np.percentile(times @ total / (times @ count), (2.5, 97.5))
        value = float(score.mean())
        row |= {name: value, f"{name} low": min(float(low), value), f"{name} high": max(float(high), value)}
    return row


def kind_rows(energies: Tensor, questions: Sequence[Question]) -> dict[str, float]:
    """`retrieval_row` of each kind of question that is there, with the kind before each name."""
    row = {}
    for kind in (HEADING, CLOZE):
        rows = [place for place, question in enumerate(questions) if question.kind == kind]
        if rows:
            some = [questions[place] for place in rows]
            found = retrieval_row(ranks(energies[rows], some), [question.group for question in some])
            row |= {f"{kind} {name}": value for name, value in found.items()}
    return row


def tfidf_energies(documents: Documents, questions: Sequence[Question]) -> Tensor:
    """Minus the cosine of the TF-IDF vectors of scikit-learn, (Q, N): a rival from elsewhere."""
    analyzer: Any = words_of
    work: Any = TfidfVectorizer(analyzer=analyzer, sublinear_tf=True)
    keys = work.fit_transform([one.text for one in documents.passages])
    return -torch.from_numpy((work.transform([one.text for one in questions]) @ keys.T).toarray()).float()


class Chosen(NamedTuple):
    """Settings by the name of a method, as chosen on questions."""

    bm25: MatchSettings
    parts: MatchSettings
    vectors: MatchSettings
    whole: MatchSettings


def choose(
    documents: Documents, questions: Sequence[Question], table: Tensor | None, support: int, features: TextFeatures
) -> Chosen:
    """Settings of largest mean reciprocal rank, one part of the energy after the other.

    First k and b of the words, then how much parts of words weigh, how much vectors, and at last the look-up. The mean
    over kinds of questions counts.

    Args:
        documents: passages without headings.
        questions: for choosing.
        table: vectors of words, or None.
        support: passages whose sentences may be the answer.
        features: of these passages.
    """

    def value(one: MatchSettings) -> float:
        memory = PassageMemory(documents, one, False, table, features=features)
        row = kind_rows(memory.energies([question.text for question in questions]), questions)
        each = [number for name, number in row.items() if name.endswith(" rank")]
        return sum(each) / len(each)

    def best(some: Sequence[MatchSettings]) -> MatchSettings:
        return max(some, key=value) if len(some) > 1 else some[0]

    start = MatchSettings(support=support)
    words = best([dataclasses.replace(start, saturation=k, length=b) for k in SATURATIONS for b in LENGTHS])
    parts = best([dataclasses.replace(words, parts=factor) for factor in PARTS])
    shares = SHARES if table is not None else (0.0,)
    vectors = best([dataclasses.replace(words, share=share) for share in shares])
    whole = best([dataclasses.replace(parts, share=share) for share in shares])
    hops = [dataclasses.replace(whole, hop=hop, beta=beta) for hop in HOPS for beta in BETAS] if whole.share else []
    return Chosen(words, parts, vectors, best([whole, *hops]))


def least_energies(memory: PassageMemory, questions: Sequence[Question]) -> dict[str, list[Any]]:
    """The energy of the answer to each question, with what answers it stored and without, and the sentences said."""
    groups = groups_of(memory.documents)
    rows: dict[str, list[Any]] = {"with": [], "without": [], "sentence": []}
    for question in questions:
        found = memory.ask(question.text)
        rows["with"].append(found.energy)
        rows["sentence"].append("" if found.sentence is None else found.sentence.text)
        hidden = [row for row, group in enumerate(groups) if group == question.group]
        rows["without"].append(memory.ask(question.text, hidden).energy)
    return rows


def best_threshold(with_answer: Sequence[float], without: Sequence[float]) -> float:
    """The energy above which nothing is said: the largest mean of the shares answered with, and refused without.

    >>> best_threshold([-2.0, -1.5, -0.2], [-0.5, -0.1])
    -1.0
    """
    values = sorted({*with_answer, *without})
    cuts = [(one + other) / 2 for one, other in itertools.pairwise(values)] or values

    def balanced(cut: float) -> float:
        kept = sum(one <= cut for one in with_answer) / max(1, len(with_answer))
        return kept + sum(one > cut for one in without) / max(1, len(without))

    return max(cuts, key=balanced)


def refusal_row(found: dict[str, list[Any]], questions: Sequence[Question], threshold: float) -> dict[str, float]:
    """Questions answered with their passages stored, refused without, and clozes answered with their own sentence, %.

    Each has the ends of Wilson's interval for 95 %.
    """
    cloze = [place for place, question in enumerate(questions) if question.kind == CLOZE]
    counts = {
        "answered": [one <= threshold for one in found["with"]],
        "refused": [one > threshold for one in found["without"]],
        "sentence": [found["sentence"][place] == questions[place].sentence for place in cloze],
    }
    row = {}
    for name, each in counts.items():
        if each:
            value, low, high = wilson(sum(each), len(each))
            row |= {name: 100 * value, f"{name} low": 100 * low, f"{name} high": 100 * high}
    return row


def chance_row(documents: Documents, questions: Sequence[Question], generator: torch.Generator) -> dict[str, float]:
    """`kind_rows` of passages in a random order, the baseline that does nothing."""
    return kind_rows(torch.rand(len(questions), len(documents.passages), generator=generator), questions)


def features_of(documents: Documents) -> TextFeatures:
    """The features of passages without their headings."""
    return TextFeatures([passage_words(one, False) for one in documents.passages])


def chosen_settings(
    documents: Documents, questions: Sequence[Question], table: Tensor | None, support: int, features: TextFeatures
) -> dict[str, Any]:
    """What `choose` finds, as "chosen" by the name of a method, and the best "threshold" of the whole energy."""
    chosen = choose(documents, questions, table, support, features)
    memory = PassageMemory(documents, chosen.whole, False, table, features=features)
    found = least_energies(memory, questions)
    threshold = best_threshold(found["with"], found["without"])
    return {"chosen": {name: dataclasses.asdict(one) for name, one in chosen._asdict().items()}, "threshold": threshold}


def measured_rows(
    documents: Documents, questions: Sequence[Question], chosen: Mapping[str, MatchSettings], threshold: float,
    table: Tensor | None, features: TextFeatures, generator: torch.Generator,
) -> dict[str, Any]:  # fmt: skip
    """Measures of all methods on questions of the test.

    Args:
        documents, table, features: see `choose`.
        questions: of the test.
        chosen: settings by the name of a method; "whole" is the one that answers and refuses.
        threshold: above which nothing is said.
        generator: of the random order.

    Returns:
        "rows" by method, with "chance" and "tfidf", and "least", what `least_energies` finds for "whole".
    """
    rows = {
        "chance": chance_row(documents, questions, generator),
        "tfidf": kind_rows(tfidf_energies(documents, questions), questions),
    }
    least: dict[str, list[Any]] = {}
    for name, one in chosen.items():
        memory = PassageMemory(documents, one, False, table, features=features)
        rows[name] = kind_rows(memory.energies([question.text for question in questions]), questions)
        if name == "whole":
            least = least_energies(memory, questions)
            rows[name] |= refusal_row(least, questions, threshold)
    return {"rows": rows, "least": least}


def recall_bars(
    rows: Mapping[str, Mapping[str, float]], kind: str, names: Mapping[str, str]
) -> dict[str, tuple[float, float, float]]:
    """Recall at 1 of a kind of question with its interval, by the name of the method; {} where it was not measured.

    >>> row = {"cloze recall 1": 5, "cloze recall 1 low": 3, "cloze recall 1 high": 8}
    >>> recall_bars({"a": row}, "cloze", {"a": "A"})
    {'A': (5, 3, 8)}
    """
    one = f"{kind} recall 1"
    return {names[name]: (row[one], row[f"{one} low"], row[f"{one} high"]) for name, row in rows.items() if one in row}


def answered_by_threshold(least: Mapping[str, Sequence[float]]) -> dict[str, tuple[list[float], list[float]]]:
    """Thresholds, and the share of questions in percent that they answer, with the answer stored and without.

    >>> answered_by_threshold({"with": [-1.0, -3.0], "without": [-0.5]})["answer stored"]
    ([-3.0, -1.0], [50.0, 100.0])
    """
    lines = {}
    for name, part in (("answer stored", "with"), ("answer not stored", "without")):
        values = sorted(least[part])
        lines[name] = values, [100 * (row + 1) / len(values) for row in range(len(values))]
    return lines

"""Questions about documents that nobody had to write: headings, and sentences without their rarest words."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import torch

from lowland.data.documents import Documents
from lowland.data.text_features import words_of

HEADING, CLOZE = "heading", "cloze"
REMOVED = 3
"""Words that a cloze lacks."""
FEWEST_DOCUMENTS = 8
_SHORTEST, _LONGEST = 8, 40


class Question(NamedTuple):
    """A question, its kind, the passages that answer it, the group that it belongs to, and its sentence for a cloze.

    Questions of one group, a document or a section, are never on both sides of a split.
    """

    text: str
    kind: str
    passages: tuple[int, ...]
    group: int
    sentence: str = ""


def groups_of(documents: Documents) -> list[int]:
    """The group of each passage: its document, or its section if there are fewer than eight documents."""
    by_document = len(documents.names) >= FEWEST_DOCUMENTS
    return [one.document if by_document else one.section for one in documents.passages]


def heading_questions(documents: Documents) -> list[Question]:
    """A question for each heading of three words or more that is there once; all passages of its section answer it.

    The heading must not be part of the passages that are searched.
    """
    groups, sections = groups_of(documents), defaultdict[tuple[str, int], list[int]](list)
    for row, passage in enumerate(documents.passages):
        sections[passage.heading, passage.section].append(row)
    times = Counter(heading.lower() for heading, _ in sections)
    return [
        Question(heading, HEADING, tuple(rows), groups[rows[0]])
        for (heading, _), rows in sections.items()
        if times[heading.lower()] == 1 and len(words_of(heading)) >= 3
    ]


def cloze_questions(documents: Documents, generator: torch.Generator, count: int) -> list[Question]:
    """Sentences of 8 to 40 words, each without the three of its words that are in the fewest passages.

    A sentence that is in several passages is no question. The passages are drawn at random, one sentence from each.
    """
    groups = groups_of(documents)
    held = [[words_of(sentence.text) for sentence in passage.sentences] for passage in documents.passages]
    having = Counter(word for one in held for word in {word for words in one for word in words})
    times = Counter(tuple(words) for one in held for words in one)
    found: list[Question] = []
    for row in torch.randperm(len(held), generator=generator).tolist():
        if len(found) >= count:
            break
        place = int(torch.randint(len(held[row]), (1,), generator=generator))
        words = held[row][place]
        if not _SHORTEST <= len(words) <= _LONGEST or times[tuple(words)] > 1:
            continue
        rarest = set(sorted(set(words), key=lambda word: (having[word], word))[:REMOVED])
        kept = [word for word in words if word not in rarest]
        if len(kept) >= _SHORTEST - REMOVED:
            found.append(Question(" ".join(kept), CLOZE, (row,), groups[row],
                                  documents.passages[row].sentences[place].text))  # fmt: skip
    return found


def split_questions(
    questions: Sequence[Question], generator: torch.Generator, most: int
) -> tuple[list[Question], list[Question]]:
    """Questions on which settings are chosen, and those of the test, of other groups: `most` of each kind in each.

    A third of the groups are for choosing.
    """
    groups = sorted({question.group for question in questions})
    order = torch.randperm(len(groups), generator=generator).tolist()
    chosen = {groups[place] for place in order[: max(1, len(groups) // 3)]}
    parts: tuple[list[Question], list[Question]] = ([], [])
    for kind in (HEADING, CLOZE):
        some = [question for question in questions if question.kind == kind]
        for place in torch.randperm(len(some), generator=generator).tolist():
            part = parts[0 if some[place].group in chosen else 1]
            if sum(question.kind == kind for question in part) < most:
                part.append(some[place])
    return parts

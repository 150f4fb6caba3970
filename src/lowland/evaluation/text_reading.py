"""How well lines of text are read: character errors with their interval, confusions, and what doing nothing gives."""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from lowland.energies.lattice import Lattice
from lowland.evaluation.reading import Reading, edit_distance, read_lines, rejection, threshold
from lowland.evaluation.success import Interval, wilson
from lowland.files import write_atomically
from lowland.training.text_reading import frames_of, line_batch

NONE = ""
"""In a confusion, the place of a character that is not there."""
_DRAWS = 2000


class Read(NamedTuple):
    """What was read of N lines: `texts`, and `confidence` (N,), log p(text | line), −∞ where nothing can be read."""

    texts: list[str]
    confidence: torch.Tensor


def read_texts(energy: Lattice, images: Sequence[NDArray[np.uint8]], alphabet: str, batch: int = 32) -> Read:
    """The likeliest path of each line, as text; lines of about one length are read together.

    A line for which a grammar has no text, because it has too few frames, is read as empty.
    """
    texts, sure = [""] * len(images), torch.full((len(images),), -torch.inf, dtype=torch.float64)
    for rows in frames_of(images).argsort(stable=True).split(batch) if len(images) else ():
        found: Reading = read_lines(energy, line_batch([images[row] for row in rows.tolist()]), batch)
        sure[rows] = found.confidence.cpu()
        for row, answer, level in zip(rows.tolist(), found.answers, found.confidence.tolist(), strict=True):
            texts[row] = "".join(alphabet[letter] for letter in answer) if level > -np.inf else ""
    return Read(texts, sure)


def character_error(texts: Sequence[str], truths: Sequence[str], seed: int = 0) -> Interval:
    """100 · Σ edit distance / Σ length of the truths, with the interval for 95 %, lines resampled with replacement.

    >>> character_error(["12", "345"], ["12", "346"]).value
    20.0
    """
    wrong = np.array([edit_distance(text, truth) for text, truth in zip(texts, truths, strict=True)], float)
    length = np.array([len(truth) for truth in truths], float)
    draw = np.random.default_rng(seed)
    found = np.empty(_DRAWS)
    for number in range(_DRAWS):
        rows = draw.integers(len(wrong), size=len(wrong))
        found[number] = wrong[rows].sum() / length[rows].sum()
    value = wrong.sum() / length.sum()
    low, high = np.percentile(found, (2.5, 97.5))
    return Interval(100 * float(value), 100 * float(min(low, value)), 100 * float(max(high, value)))


def text_row(texts: Sequence[str], truths: Sequence[str]) -> dict[str, float]:
    """Character error and lines read whole, in percent, each with the ends of its interval for 95 %.

    >>> text_row(["12", "345"], ["12", "346"])["whole"]
    50.0
    """
    error = character_error(texts, truths)
    whole = wilson(sum(text == truth for text, truth in zip(texts, truths, strict=True)), len(truths))
    return {
        "characters": error.value, "characters low": error.low, "characters high": error.high,
        "whole": 100 * whole.value, "whole low": 100 * whole.low, "whole high": 100 * whole.high,
    }  # fmt: skip


def most_frequent(texts: Sequence[str]) -> str:
    """The text that is there most often, the first of several in the order of the alphabet.

    >>> most_frequent(["b", "a", "b"])
    'b'
    """
    return min(Counter(texts).items(), key=lambda item: (-item[1], item[0]))[0]


def confusions(texts: Sequence[str], truths: Sequence[str]) -> list[tuple[str, str, int]]:
    """(character, what was read instead, how often), the most frequent first; an empty one was left out or put in.

    They are those of a shortest sequence of insertions, deletions and substitutions.

    >>> confusions(["12", "17", "1"], ["12", "12", "12"])
    [('2', '', 1), ('2', '7', 1)]
    """
    found: Counter[tuple[str, str]] = Counter()
    for text, truth in zip(texts, truths, strict=True):
        if text != truth:
            found.update(_edits(text, truth))
    return [(*pair, count) for pair, count in sorted(found.items(), key=lambda item: (-item[1], item[0]))]


def _edits(text: str, truth: str) -> list[tuple[str, str]]:
    """(right, read) of each edit on a shortest way from the truth to the text."""
    cost = np.zeros((len(truth) + 1, len(text) + 1), int)
    cost[0], cost[:, 0] = np.arange(len(text) + 1), np.arange(len(truth) + 1)
    for i, right in enumerate(truth, 1):
        for j, letter in enumerate(text, 1):
            cost[i, j] = min(cost[i - 1, j - 1] + (right != letter), cost[i - 1, j] + 1, cost[i, j - 1] + 1)
    found, i, j = [], len(truth), len(text)
    while i or j:
        if i and j and cost[i, j] == cost[i - 1, j - 1] + (truth[i - 1] != text[j - 1]):
            i, j = i - 1, j - 1
            found += [(truth[i], text[j])] if truth[i] != text[j] else []
        elif i and cost[i, j] == cost[i - 1, j] + 1:
            i -= 1
            found.append((truth[i], NONE))
        else:
            j -= 1
            found.append((NONE, text[j]))
    return found


def readings(
    energies: Mapping[str, Lattice], parts: Mapping[str, Sequence[NDArray[np.uint8]]], alphabet: str
) -> dict[str, Any]:
    """What each energy reads of the lines of each part: {energy: {part: {"texts": …, "confidence": (N,)}}}."""
    return {
        name: {part: read_texts(energy, images, alphabet)._asdict() for part, images in parts.items()}
        for name, energy in energies.items()
    }


def measures(
    read: Mapping[str, Mapping[str, Mapping[str, Any]]], train: Sequence[str], validation: Sequence[str],
    test: Sequence[str], most: float,
) -> tuple[dict[str, dict[str, float]], float]:  # fmt: skip
    """Errors of each energy on the test lines, in percent, beside those of doing nothing, and the least confidence.

    The first energy is the reader, for which the least confidence is chosen on the validation lines, and which has
    "correct", "rejected" and "wrong" besides.

    Args:
        read: from `readings`, with the parts "validation" and "test".
        train, validation, test: what the lines say.
        most: share of all lines that may be wrong and accepted, in [0, 1].
    """
    texts = {name: parts["test"]["texts"] for name, parts in read.items()}
    texts |= {"most frequent": [most_frequent(train)] * len(test), "empty": [""] * len(test)}
    found = {name: text_row(answers, test) for name, answers in texts.items()}
    first = next(iter(read))
    sure, right = {}, {}
    for part, truths in (("validation", validation), ("test", test)):
        sure[part], answers = read[first][part]["confidence"], read[first][part]["texts"]
        right[part] = torch.tensor([text == truth for text, truth in zip(answers, truths, strict=True)])
    least = threshold(sure["validation"], right["validation"], most)
    names = {"low": "wrong low", "high": "wrong high"}
    found[first] |= {names.get(name, name): one for name, one in rejection(sure["test"], right["test"], least).items()}
    return found, least


def write_readings(path: Path, files: Sequence[str], found: Sequence[Read], least: float) -> Path:
    """A table of file, text, confidence and whether it is accepted ("yes" or "no"), CSV in UTF-8; returns its path.

    Args:
        found: what was read, of each part of the files in turn.
        least: the least confidence, as a logarithm, of what is accepted.

    Raises:
        CheckpointError: if it cannot be written.
    """
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(["file", "text", "confidence", "accepted"])
    rows = [row for one in found for row in zip(one.texts, one.confidence.tolist(), strict=True)]
    for file, (text, sure) in zip(files, rows, strict=True):
        table.writerow([file, text, f"{math.exp(sure):.4f}", "yes" if accepted(sure, least) else "no"])
    write_atomically(path, stream.getvalue().encode())
    return path


def accepted(confidence: float, least: float) -> bool:
    """Whether a text is sure enough; one of no probability never is.

    >>> accepted(-0.1, -0.2), accepted(-math.inf, -math.inf)
    (True, False)
    """
    return confidence >= least and confidence > -math.inf

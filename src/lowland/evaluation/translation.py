"""Translations on tests: BLEU of each method, the reward of a token by validation, and examples (M1, M2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from lowland.data.byte_pairs import BytePairs
from lowland.data.parallel_text import ParallelText
from lowland.energies.autoregressive import Autoregressive
from lowland.evaluation.bleu import bleu_counts, bleu_interval, bleu_of_counts, corpus_bleu, tokenised
from lowland.evaluation.translation_baselines import WordTranslation, nearest_translations
from lowland.nn.translation import Translator
from lowland.training.translation import KINDS, Numbers, decoded, greedy, proposed
from lowland.words import verbatim

COPY, NEAREST, BY_WORD = "copy", "nearest", "by word"
_FEWEST, _BIN = 4, 8


def baseline_answers(train: ParallelText, asked: Sequence[str]) -> dict[str, list[str]]:
    """The sentence itself, the translation of the nearest known one, and word by word."""
    words = WordTranslation(train.source, train.target)
    return {
        COPY: list(asked),
        NEAREST: nearest_translations(train.source, train.target, asked),
        BY_WORD: [words.translate(line) for line in asked],
    }


def model_answers(
    energy: Autoregressive, pieces: BytePairs, chosen_on: Numbers, wanted: Sequence[str], test: Numbers, beam: int,
    rewards: Sequence[float],
) -> dict[str, Any]:  # fmt: skip
    """What a model writes for a test: greedily, by a beam, and by a beam with a reward for each token.

    Args:
        energy: trained.
        pieces: of its sentences.
        chosen_on, wanted: validation pairs, on which the reward is chosen by BLEU, and their references.
        test: pairs.
        beam: its width.
        rewards: to choose from, in nats; of equally good ones the first.

    Returns:
        "greedy", "beam" and "rewarded" answers, "reward", and "validation", BLEU for each reward and for greedy.
    """
    lists = proposed(energy, chosen_on.x, beam)
    by_reward = [corpus_bleu(decoded(lists.best(reward), pieces), wanted).score for reward in rewards]
    reward = rewards[by_reward.index(max(by_reward))]
    first = corpus_bleu(decoded(greedy(energy, chosen_on.x), pieces), wanted).score
    lists = proposed(energy, test.x, beam)
    return {
        "greedy": decoded(greedy(energy, test.x), pieces), "beam": decoded(lists.best(), pieces),
        "rewarded": decoded(lists.best(reward), pieces), "reward": reward,
        "validation": {"greedy": first} | {f"{value:g}": by_reward[row] for row, value in enumerate(rewards)},
    }  # fmt: skip


def translation_rows(
    answers: Mapping[str, Sequence[str]], test: ParallelText, seed: int = 0
) -> dict[str, dict[str, Any]]:
    """BLEU of each method with its interval over pages, and the length of its answers in percent of the references'."""
    rows = {}
    for method, own in answers.items():
        found = bleu_interval(bleu_counts(own, test.target), test.group, np.random.default_rng(seed))
        length = 100 * corpus_bleu(own, test.target).length
        rows[method] = {"bleu": found.value, "low": found.low, "high": found.high, "length": length}
    return rows


def gains(
    answers: Mapping[str, Sequence[str]], pairs: Sequence[tuple[str, str]], test: ParallelText
) -> list[list[Any]]:
    """By how much BLEU of one method is above another's, with the interval over pages: a row for each pair of names."""
    counts = {name: bleu_counts(answers[name], test.target) for pair in pairs for name in pair}
    rows = []
    for one, other in pairs:
        found = bleu_interval(counts[one], test.group, np.random.default_rng(0), less=counts[other])
        rows.append([one, other, found.value, found.low, found.high])
    return rows


def by_length(
    answers: Mapping[str, Sequence[str]], test: ParallelText, step: int = _BIN
) -> dict[str, tuple[list[float], list[float]]]:
    """BLEU by the words and signs of the reference, rounded up to a multiple of the step, from 4 on.

    >>> text = ParallelText(("a",), ("one two three four five",), ("1",))
    >>> by_length({"same": list(text.target)}, text)
    {'same': ([8.0], [100.0])}
    """
    length = np.array([len(tokenised(line)) for line in test.target])
    bins = (length + step - 1) // step * step
    places = [int(place) for place in np.unique(bins[length >= _FEWEST])]
    found = {}
    for method, own in answers.items():
        counts = bleu_counts(own, test.target)
        scores = [float(bleu_of_counts(counts[(bins == place) & (length >= _FEWEST)].sum(axis=0))) for place in places]
        found[method] = [float(place) for place in places], scores
    return found


def ranked_rows(answers: Sequence[str], test: ParallelText) -> list[int]:
    """The rows of a test from the worst answer to the best by the BLEU of each; short references are left out."""
    counts = bleu_counts(answers, test.target)
    score = bleu_of_counts(counts)
    long = np.flatnonzero(counts[:, -1] >= _FEWEST)
    return long[np.argsort(score[long], kind="stable")].tolist()


def looked_at(
    energy: Autoregressive, pieces: BytePairs, source: str, target: str
) -> tuple[torch.Tensor, list[str], list[str]]:
    """Attention of the pieces of a translation to those of its source, (T, S), and the pieces of both as text.

    See `Translator.attention`.
    """
    words, tokens = (torch.tensor([pieces.encode(line)]) for line in (source, target))
    network = energy.network
    assert isinstance(network, Translator)
    with torch.no_grad():
        share = network.attention(words, tokens)[0, :-1]
    read, written = ([pieces.decode([number]) for number in one[0].tolist()] for one in (words, tokens))
    return share, read, written


def example_cells(
    answers: Mapping[str, Sequence[str]], text: ParallelText, ranked: Sequence[int], best: str, longest: int = 400
) -> list[tuple[str, str, str]]:
    """Rows of a table: the worst translations of a model, those in the middle and the best, with those of the others.

    Args:
        answers: by method, those of the models as "KIND rewarded".
        text: sources and references.
        ranked: rows of the text, from the worst translation to the best.
        best: kind of the model by which they are ranked, which comes first.
        longest: letters of a cell.
    """
    middle = len(ranked) // 2
    chosen = {"worst": ranked[:2], "median": ranked[max(0, middle - 1) : middle + 1], "best": ranked[-1:]}
    cells = []
    for name, rows in chosen.items():
        for row in rows:
            cells += [(name, "source", verbatim(text.source[row], longest)),
                      ("", "reference", verbatim(text.target[row], longest))]  # fmt: skip
            own = [best, *(kind for kind in KINDS if kind != best)]
            cells += [("", kind, verbatim(answers[f"{kind} rewarded"][row], longest)) for kind in own]
    return cells

"""Translations that need no network: the nearest known sentence's, and word by word (IBM model 1).

Legend: N pairs, E pairs of words that stand in a pair of sentences, V words.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lowland.errors import DataError, OptionError
from lowland.evaluation.bleu import tokenised

_AT_ONCE, _NOTHING = 500, ""


def nearest_translations(source: Sequence[str], target: Sequence[str], asked: Sequence[str]) -> list[str]:
    """The translation of the known sentence with the largest cosine of TF-IDF vectors, the first of equals.

    Args:
        source, target: known sentences with their translations.
        asked: sentences to translate.

    Raises:
        DataError: if no sentence holds a word.

    >>> nearest_translations(["red car", "green house"], ["rotes Auto", "grünes Haus"], ["a green car house"])
    ['grünes Haus']
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    make: Any = TfidfVectorizer  # its types know no tokenizer without a pattern
    weights = make(tokenizer=tokenised, token_pattern=None)
    try:
        known = weights.fit_transform(source)
    except ValueError as error:
        raise DataError(f"The known sentences hold no word ({error}): give more text.") from error
    vectors = weights.transform(asked)
    best: list[int] = []
    for first in range(0, len(asked), _AT_ONCE):
        best += np.asarray((vectors[first : first + _AT_ONCE] @ known.T).argmax(axis=1)).ravel().tolist()
    return [target[row] for row in best]


class WordTranslation:
    """t(f | e), the chance that word e becomes word f, and sentences translated by argmax_f t(f | e), word by word.

    IBM model 1 (Brown et al., "The mathematics of statistical machine translation: parameter estimation", 1993): every
    word f of a translation comes from a word e of the sentence, or from nothing, each place as likely as another.
    Expectation maximisation from equal chances.

    Args:
        source, target: sentences with their translations.
        rounds: of expectation maximisation.
        longest: longer sentences are left out of learning, in words.

    Raises:
        OptionError: for less than one round.
        DataError: if no pair is left.

    >>> model = WordTranslation(["the house", "the book", "a book"], ["das Haus", "das Buch", "ein Buch"], rounds=20)
    >>> model.translate("a house , the book")
    'ein Haus , das Buch'
    """

    def __init__(self, source: Sequence[str], target: Sequence[str], rounds: int = 5, longest: int = 40) -> None:
        if rounds < 1:
            raise OptionError(f"IBM model 1 needs at least one round, not {rounds}.")
        known: tuple[dict[str, int], dict[str, int]] = ({_NOTHING: 0}, {})
        first, second, place = [], [], []
        places = 0
        for one, other in zip(source, target, strict=True):
            words = [_NOTHING, *tokenised(one)], tokenised(other)
            if not 1 < len(words[0]) <= longest + 1 or not 0 < len(words[1]) <= longest:
                continue
            e, f = (np.array([of.setdefault(w, len(of)) for w in own]) for of, own in zip(known, words, strict=True))
            first.append(np.tile(e, len(f)))
            second.append(np.repeat(f, len(e)))
            place.append(np.repeat(np.arange(places, places + len(f)), len(e)))
            places += len(f)
        if not first:
            raise DataError(f"No pair of sentences has from 1 to {longest} words on both sides: give others.")
        wide = len(known[1])
        # The chances of all E pairs of words that stand in a pair of sentences; those of others stay 0.
        pairs, entry_E = np.unique(np.concatenate(first) * wide + np.concatenate(second), return_inverse=True)
        place_E, e_of, f_of = np.concatenate(place), pairs // wide, pairs % wide
        chance = np.ones(len(pairs))
        for _ in range(rounds):
            each = chance[entry_E]
            each /= np.bincount(place_E, each, places)[place_E]
            count = np.bincount(entry_E, each, len(pairs))
            chance = count / np.bincount(e_of, count)[e_of]
        order = np.lexsort((f_of, -chance, e_of))
        words, starts = np.unique(e_of[order], return_index=True)
        names = [list(own) for own in known]
        self.best = {names[0][e]: names[1][f] for e, f in zip(words, f_of[order][starts], strict=True)}

    def translate(self, sentence: str) -> str:
        """The likeliest word for each; unknown ones stay as they are."""
        return " ".join(self.best.get(word, word) for word in tokenised(sentence))

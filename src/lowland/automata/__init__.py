"""Automata: which sequences are allowed, and what each costs. An energy of paths is built on one.

`automaton.py` has the class and what can be done with it, `topologies.py` the usual ones (frames as in CTC, chains,
pieces), `languages.py` those of a user's text: regular expressions, word lists and n-grams.
"""

from __future__ import annotations

from lowland.automata.automaton import Automaton, compose, spelling, union
from lowland.automata.languages import classes, ngrams, regular, words
from lowland.automata.topologies import chain, ended, frames, pieces

__all__ = [
    "Automaton", "chain", "classes", "compose", "ended", "frames", "ngrams", "pieces", "regular", "spelling", "union",
    "words",
]  # fmt: skip

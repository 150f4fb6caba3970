"""The encoders of the recipe `lista` before training, and what they are called on its page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from lowland.nn.learned_coordinate_descent import LearnedCoordinateDescent
from lowland.nn.lista import LISTA

RATE = 1.5e-3
"""Learning rate of encoders at first, half of it for a longer LISTA that goes on from a shorter one.

Of the rates that were tried it is the best on validation patches."""
START, RELAXATION = 3.0, 0.3
"""Threshold of the shortest LISTA at first, in units of λ, and ρ of the first S of the others; chosen likewise."""


def lista_of(shrinkages: int) -> str:
    """What LISTA of a length is called on the page."""
    return f"LISTA, {shrinkages} shrinkage{'s' if shrinkages > 1 else ''}"


def descent_of(steps: int) -> str:
    """What learned coordinate descent of a length is called on the page."""
    return f"learned coordinate descent, {steps} steps"


TWO = lista_of(2)
BY_ENERGY, UNTIED = f"{TWO}, trained on the energy", "{}, untied"


class Plan(NamedTuple):
    """An encoder to be trained.

    Attributes:
        name: of its stage.
        label: its name on the page.
        encoder: before training.
        rate: of learning, at first.
        objective: whether it is trained on the energy of its code rather than on exact codes.
        polished: whether the exact coder is started from its code.
    """

    name: str
    label: str
    encoder: LISTA | LearnedCoordinateDescent
    rate: float = RATE
    objective: bool = False
    polished: bool = False


def encoders(
    dictionary: Tensor,
    sparsity: float,
    shrinkages: Sequence[int],
    untied: Sequence[int],
    inhibited: int,
    shares: Sequence[float],
    ranks: Sequence[int],
    descents: Sequence[int],
) -> Iterator[Plan]:
    """All encoders. Each is made when those before it are trained, whose weights it may take over.

    Trained on its energy, LISTA was better on validation patches when it began as ISTA.
    """
    lista = partial(LISTA, dictionary, sparsity)
    first = lista(1, filters=dictionary.T, thresholds=torch.full_like(dictionary[0], START * sparsity))
    yield Plan("LISTA 1", lista_of(1), first, polished=True)
    make = partial(lista, filters=first.filters, thresholds=first.thresholds[0], relaxation=RELAXATION)
    two = shorter = make(2)
    yield Plan("LISTA 2", TWO, two, polished=True)
    for count in sorted(set(shrinkages) - {1, 2}):
        (longer := make(count)).begin_with(shorter)
        yield Plan(f"LISTA {count}", lista_of(count), longer, RATE / 2, polished=True)
        shorter = longer
    yield Plan("LISTA 2 by energy", BY_ENERGY, lista(2), objective=True, polished=True)
    for count in untied:
        (longer := make(count, tied=False)).begin_with(two)
        yield Plan(f"LISTA {count} untied", UNTIED.format(lista_of(count)), longer, RATE / 2)
    for share in shares:
        label = f"{lista_of(inhibited)}, {share:.0%} of the entries of S"
        yield Plan(f"share {share:g}", label, make(inhibited, kept=share))
    for rank in ranks:
        yield Plan(f"rank {rank}", f"{lista_of(inhibited)}, I − S of rank {rank}", make(inhibited, rank=rank))
    before: LearnedCoordinateDescent | None = None
    for count in descents:
        descent = LearnedCoordinateDescent(dictionary, sparsity, count)
        if before is not None:
            descent.load_state_dict(before.state_dict())
        yield Plan(f"LCoD {count}", descent_of(count), descent, polished=count in descents[-3:])
        before = descent

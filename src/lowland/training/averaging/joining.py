"""How `ll.fit` trains as one of several workers that are linked with a centre."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from torch import nn

from lowland.errors import OptionError, UnsupportedError
from lowland.shaping.processes import single_process, world_size
from lowland.training.averaging.launch import under_torchrun
from lowland.training.averaging.link import Link
from lowland.training.averaging.rules import Rule
from lowland.training.averaging.warning import in_turns, unstable
from lowland.training.stepper import Stepper

_log = logging.getLogger(__name__)
Averaging: TypeAlias = Rule | Callable[..., Link]


def check_averaging(averaging: Any) -> None:
    """Raise an OptionError unless it is a rule, or a function that makes a link."""
    if averaging is not None and not isinstance(averaging, Rule) and not callable(averaging):
        raise OptionError(
            "averaging must be a rule such as Elastic(period=10), or a function from a model to its Link such as "
            f"functools.partial(Link, rule=Elastic(10), centre='host:29600'), but it is {averaging!r}."
        )


@contextmanager
def joined(
    averaging: Averaging, stepper: Stepper, folder: Path | None, sample: Callable[[int], Any] | None
) -> Iterator[Link]:
    """Link what a stepper trains with a centre, meet it at its steps, and read the centre's numbers at the end.

    Inside, processes that were started together train apart: gradients are not averaged, and embeddings not gathered.

    Args:
        averaging: as of `fit`.
        stepper: with its optimisers, and with the numbers to start from.
        folder: of the run, which then holds what the centre keeps, or None.
        sample: as of `Stepper.prepare`, to look for an unstable rate; None not to.

    Raises:
        UnsupportedError: for a shaping without gradients.
        OptionError: for processes that were not started by torchrun, which cannot tell each other of a centre.
    """
    if not stepper.shaping.trains_by_gradient:
        raise UnsupportedError(
            f"{type(stepper.shaping).__name__} computes its parameters from sums over the data, without gradients, and "
            "several of them cannot be averaged: train it in one process, with averaging=None."
        )
    trained = _trained(stepper)
    if isinstance(averaging, Rule) and world_size() > 1 and not under_torchrun():
        raise OptionError(
            "Several processes find the centre that the first of them starts by torchrun only: start them with "
            "torchrun, or start a centre with `lowland centre` and give averaging a function that makes its Link."
        )
    if isinstance(averaging, Rule):
        keeps = None if folder is None else folder / "centre"
        link = Link(trained, averaging, centre=None, steps=stepper.step, run=keeps)
    else:
        # A worker that resumes says how far it has come, so that it is not taken for a new one.
        link = averaging(trained, steps=stepper.step) if stepper.step else averaging(trained)
    with link, single_process():
        for said in (in_turns(link), unstable(stepper, link, sample) if sample is not None else ""):
            if said:
                _log.warning(said)
        stepper.between = link.step
        try:
            yield link
        finally:
            stepper.between = None


def _trained(stepper: Stepper) -> nn.Module:
    """The energy, and what a shaping trains besides: its other buffers belong to a worker alone."""
    own = {id(parameter) for parameter in stepper.energy.parameters()}
    others = [
        part for group in stepper.shaping.groups(stepper.energy).values() for part in group if id(part) not in own
    ]
    return nn.ModuleList([stepper.energy, nn.ParameterList(dict.fromkeys(others))])

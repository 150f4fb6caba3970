"""Every error that Lowland raises on purpose. Each message says what was wrong and what to do about it."""

from __future__ import annotations

import difflib
import math
import numbers
import operator
from collections.abc import Callable, Iterable
from typing import Any


class LowlandError(Exception):
    """Base class: `except ll.LowlandError` catches every error that Lowland raises on purpose."""


class ShapeError(LowlandError, ValueError):
    """A tensor of the wrong rank, size, type or device."""


class DomainError(LowlandError, ValueError):
    """A value outside the domain of its variable, or a non-finite number in data."""


class UnsupportedError(LowlandError, TypeError):
    """The energy lacks something that a solver, adjoint or shaping needs."""


class InferenceError(LowlandError, RuntimeError):
    """A solution that did not converge or is not finite. Raised only on request."""


class DifferentiationError(LowlandError, RuntimeError):
    """A derivative that would be wrong without notice, such as the second derivative of a detached solution."""


class TrainingError(LowlandError, RuntimeError):
    """Training cannot continue, for example because the loss is not finite. `result`, if set, is the result so far."""

    result: object = None


class CollapseError(TrainingError):
    """The embeddings of all samples have become equal, so further training is useless."""


class OptionError(LowlandError, ValueError):
    """An unknown name, or an option with an invalid value."""


class DataError(LowlandError, OSError):
    """Data that are missing, unreadable or truncated, or that have a wrong checksum."""


class CheckpointError(LowlandError, OSError):
    """A checkpoint or run folder that is missing, corrupt, of another program, or cannot be written."""


def check_instance(value: object, kind: type, name: str) -> None:
    """Raise an OptionError unless `value` is an instance of `kind`. Passing the class itself is a common mistake.

    >>> check_instance(int, int, "the number")
    Traceback (most recent call last):
    lowland.errors.OptionError: the number must be an instance of int, but it is the class int: call it to make one.
    """
    if isinstance(value, kind):
        return
    what = f"the class {value.__name__}: call it to make one" if isinstance(value, type) else repr(value)[:80]
    raise OptionError(f"{name} must be an instance of {kind.__name__}, but it is {what.rstrip('.')}.")


def check_number(
    name: str, value: Any, least: float | None = None, above: float | None = None, below: float | None = None,
    whole: bool = False, none: str = "",
) -> None:  # fmt: skip
    """Raise an OptionError unless `value` is a finite number (Python or NumPy) within bounds.

    Args:
        name: of the argument, for the message.
        least: lower bound, included.
        above, below: bounds, excluded.
        whole: whether it must be a whole number, such as 3 or 3.0.
        none: meaning of None, if None is allowed.

    >>> check_number("lr", "a", above=0)
    Traceback (most recent call last):
    lowland.errors.OptionError: lr must be a number above 0, but it is 'a'.
    >>> check_number("patience", 3, least=1, whole=True, none="never stop early")
    """
    if value is None and none:
        return
    bounds: list[tuple[str, float | None, Callable[[Any, Any], bool]]] = [
        ("of at least", least, operator.ge),
        ("above", above, operator.gt),
        ("below", below, operator.lt),
    ]
    given = [(word, bound, holds) for word, bound, holds in bounds if bound is not None]
    number: Any = value if isinstance(value, numbers.Real) and not isinstance(value, bool) else math.nan
    if (
        -math.inf < number < math.inf
        and all(holds(number, bound) for _, bound, holds in given)
        and (not whole or number % 1 == 0)
    ):
        return
    what = " and ".join(f"{word} {bound:g}" for word, bound, _ in given)
    kind, other = "whole number" if whole else "number", f", or None to {none}" if none else ""
    raise OptionError(f"{name} must be a {' '.join([kind, what]).strip()}{other}, but it is {repr(value)[:80]}.")


def nearest(name: str, known: Iterable[str]) -> str:
    """Suggest the closest known name, and list all of them, for a message about an unknown name.

    >>> nearest("strategy", ["strategies", "ellipse"])
    "Did you mean 'strategies'? Known: ellipse, strategies."
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    return f"{hint}Known: {', '.join(names) or 'none'}."

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
    """A solver, adjoint or shaping was asked for something that this energy does not offer."""


class InferenceError(LowlandError, RuntimeError):
    """A solution that did not converge or is not finite, raised only on request."""


class DifferentiationError(LowlandError, RuntimeError):
    """A derivative that would be silently wrong, such as the second derivative of a detached solution."""


class TrainingError(LowlandError, RuntimeError):
    """Training that cannot go on, such as a loss that is not finite; `result`, where set, holds what was reached."""

    result: object = None


class CollapseError(TrainingError):
    """Embeddings that have become the same for all samples: training goes on only towards nothing."""


class OptionError(LowlandError, ValueError):
    """An unknown name or an option with a value that cannot be used."""


class DataError(LowlandError, OSError):
    """Data that are missing, unreadable, truncated, or whose checksum is wrong."""


class CheckpointError(LowlandError, OSError):
    """A checkpoint or run directory that is missing, corrupt, foreign, or could not be written."""


def check_instance(value: object, kind: type, name: str) -> None:
    """Raise an OptionError unless `value` is an instance of `kind`; a class given in its place is a common slip.

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
    """Raise an OptionError unless `value` is a finite number, of Python or NumPy, within its bounds.

    Args:
        name: of the argument, for the sentence.
        least: the smallest value.
        above, below: bounds that it may not reach.
        whole: it must be a whole number, as 3 or 3.0.
        none: what None stands for, where it may be None.

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
    """A sentence that names the closest known names, for messages about an unknown one.

    >>> nearest("strategy", ["strategies", "ellipse"])
    "Did you mean 'strategies'? Known: ellipse, strategies."
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    return f"{hint}Known: {', '.join(names) or 'none'}."

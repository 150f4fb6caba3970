"""Every error that Lowland raises on purpose. Each message says what was wrong and what to do about it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


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


def nearest(name: str, known: Iterable[str]) -> str:
    """A sentence that names the closest known names, for messages about an unknown one.

    >>> nearest("strategy", ["strategies", "ellipse"])
    "Did you mean 'strategies'? Known: ellipse, strategies."
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    hint = f"Did you mean {close[0]!r}? " if close else ""
    return f"{hint}Known: {', '.join(names) or 'none'}."

"""Warnings and log records of other packages, handled for one thread alone.

`warnings.catch_warnings` swaps the filters of the whole process: two threads that use it undo each other's filters, and
a filter of one thread acts on the warnings of all. Here a filter is installed once and matches nothing, except in the
threads (and tasks of asyncio) that are inside a `with` block. No other file of the package touches the filters; a test
in `tests/unit/test_gates.py` checks that.
"""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal

_active: ContextVar[tuple[object, ...]] = ContextVar("active", default=())
_lock = threading.Lock()


class _Scoped(type):
    """Metaclass of a warning category that every warning belongs to, but only inside its own `with` block."""

    def __subclasscheck__(cls, other: type) -> bool:
        return cls in _active.get()


class _BelowError(logging.Filter):
    """Drops records below ERROR inside its own `with` block."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.ERROR or self not in _active.get()


_categories: dict[tuple[str, str], type[Warning]] = {}
_dropping = _BelowError()


@contextmanager
def warnings_from(module: str, action: Literal["ignore", "error"]) -> Iterator[None]:
    """Ignore the warnings of a module, or raise them as errors, in this thread until the block ends.

    Args:
        module: regular expression for the beginning of the name of the module that warns.
        action: "ignore" or "error".

    >>> with warnings_from("", "ignore"):
    ...     warnings.warn("never seen", stacklevel=1)
    """
    with _lock:
        category = _categories.setdefault((module, action), _Scoped("Scoped", (Warning,), {}))
        if category not in _in_front():  # filters that came later, such as a user's own, would go first
            warnings.filterwarnings(action, category=category, module=module)
    with _inside(category):
        yield


@contextmanager
def no_records_below_error(*names: str) -> Iterator[None]:
    """Drop what loggers of these names, and those below them, log in this thread until the block ends, but errors.

    Loggers below them must exist when the block begins. Name those that a later import makes.
    """
    for name in names:
        logging.getLogger(name).addFilter(_dropping)
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger) and name.startswith(tuple(f"{one}." for one in names)):
            logger.addFilter(_dropping)
    with _inside(_dropping):
        yield


@contextmanager
def _inside(key: object) -> Iterator[None]:
    token = _active.set((*_active.get(), key))
    try:
        yield
    finally:
        _active.reset(token)


def _in_front() -> list[Any]:
    """The categories of the filters that stand before all filters from elsewhere."""
    found = []
    for _, _, category, *_ in list(warnings.filters):
        if not isinstance(category, _Scoped):
            break
        found.append(category)
    return found

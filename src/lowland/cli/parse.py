"""Parsing with tyro: words of a command line become a dataclass, and each error becomes one sentence."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar, get_args, get_type_hints

import tyro
from tyro import _errors
from tyro.conf import FlagCreatePairsOff, Positional, Suppress

from lowland.errors import LowlandError, OptionError, nearest

T = TypeVar("T")
HELP = {"-h", "--help"}
_HIDDEN = {get_args(marked)[1] for marked in (Positional[str], Suppress[str])}


def parse(
    kind: type[T],
    words: list[str],
    prog: str,
    default: T | None = None,
    description: str | None = None,
    also: Sequence[str] = (),
) -> T:
    """Parse words into a dataclass.

    Args:
        kind: a dataclass; each field is an argument, with its help in the line below it.
        words: what follows `prog` on the command line.
        prog: the command as the user writes it, for messages.
        default: an instance with the values to use where the words give none.
        description: text of the help; by default the docstring of `kind`.
        also: further options of `prog`, parsed elsewhere, that messages may suggest.

    Raises:
        OptionError: for words that cannot be parsed, in one sentence.
        SystemExit: with code 0, after `--help`.

    >>> import dataclasses
    >>> @dataclasses.dataclass
    ... class Size:
    ...     width: int = 1
    >>> parse(Size, ["--width", "3"], "size")
    Size(width=3)
    >>> parse(Size, ["--widht", "3"], "size")
    Traceback (most recent call last):
    lowland.errors.OptionError: `size` has no option '--widht'. Did you mean '--width'? Known: --width.
    """
    options: dict[str, Any] = {} if default is None else {"default": default}
    config = () if default is not None else (FlagCreatePairsOff,)
    with _one_sentence(kind, words, prog, also):
        return tyro.cli(kind, args=words, prog=prog, description=description, config=config, **options)


def parse_known(kind: type[T], words: list[str], prog: str) -> tuple[T, list[str]]:
    """Parse what belongs to a dataclass; returns it with the remaining words in order. `--help` is not handled.

    Raises:
        OptionError: as `parse`.
    """
    with _one_sentence(kind, words, prog):
        return tyro.cli(
            kind, args=words, prog=prog, config=(FlagCreatePairsOff,), return_unknown_args=True, add_help=False
        )


@contextlib.contextmanager
def _one_sentence(kind: type, words: list[str], prog: str, also: Sequence[str] = ()) -> Iterator[None]:
    """An OptionError for what tyro would show as a box.

    Tyro's hook for errors is not public yet. An event without a sentence here gets the general one at the end.
    """

    def refuse(event: _errors.ParseErrorEvent) -> None:
        own = sys.exc_info()[1]
        if isinstance(own, LowlandError):  # from the dataclass's own checks
            raise own from None
        name = type(event).__name__
        if name == "UnrecognizedArgs":
            raise OptionError(_unknown(event, prog, [*_options(kind), *also])) from None
        if name in _SENTENCES:
            raise OptionError(f"{_SENTENCES[name](event, words, prog)}. See `{prog} --help`.") from None

    try:
        if words and words[0].startswith("--tyro"):
            raise SystemExit(2)  # shell completion by tyro, which cannot see the options of a recipe
        with _errors.on_parse_error(refuse), contextlib.redirect_stderr(io.StringIO()):
            yield
    except SystemExit as stop:
        if not stop.code:
            raise
        raise OptionError(f"`{prog}` does not take {' '.join(words)!r}. See `{prog} --help`.") from None


def _options(kind: type) -> list[str]:
    """The options of a dataclass as typed, without positional arguments."""
    hints = get_type_hints(kind, include_extras=True)
    marks = {field.name: get_args(hints[field.name])[1:] for field in dataclasses.fields(kind)}
    names = [_called(name, given) for name, given in marks.items() if not _HIDDEN & set(given)]
    return [f"--{name.replace('_', '-')}" for name in names]


def _called(name: str, marks: Sequence[Any]) -> str:
    """The name of an option: that of its field, unless `tyro.conf.arg` gives another."""
    return next((mark.name for mark in marks if getattr(mark, "name", None)), name)


def _unknown(event: Any, prog: str, known: list[str]) -> str:
    word = next((token for token in event.tokens if token.startswith("--")), event.tokens[0])
    if not word.startswith("-"):
        return f"`{prog}` does not take {word!r}. See `{prog} --help`."
    option = word.split("=")[0].replace("_", "-")
    return f"`{prog}` has no option {option!r}. {nearest(option, known)}"


def _missing(event: Any, words: list[str], prog: str) -> str:
    return f"`{prog}` needs {' and '.join(_usage(each.arg) for each in event.missing_arguments)}"


def _too_few(event: Any, words: list[str], prog: str) -> str:
    count = event.argument.lowered.nargs
    return f"{_name(event.argument)} needs {'a value' if count == 1 else f'{count} values'}"


def _choice(event: Any, words: list[str], prog: str) -> str:
    return f"{_name(event.argument)} cannot be {event.value!r}. {nearest(event.value, event.choices).rstrip('.')}"


def _failed(event: Any, words: list[str], prog: str) -> str:
    if event.argument is None:
        return " ".join(event.message.split()).rstrip(".")
    takes = event.argument.lowered.metavar
    given = " ".join(_given(words, event.argument.lowered.name_or_flags))
    return f"{_name(event.argument)} must be {_KINDS.get(takes, takes)}, but it is {given!r}"


_SENTENCES: dict[str, Callable[[Any, list[str], str], str]] = {
    "BadValue": _too_few,
    "InstantiationFailure": _failed,
    "InvalidChoice": _choice,
    "MissingArgs": _missing,
}
_KINDS = {"INT": "a whole number", "FLOAT": "a number", "FLOAT FLOAT": "two numbers", "INT INT": "two whole numbers"}


def _name(argument: Any) -> str:
    """How an argument is called: NAME, or --option."""
    return f"{argument.lowered.metavar}" if argument.is_positional() else argument.lowered.name_or_flags[0]


def _usage(argument: Any) -> str:
    """How an argument is written: NAME, or --option VALUE."""
    return _name(argument) if argument.is_positional() else f"{_name(argument)} {argument.lowered.metavar}"


def _given(words: list[str], flags: tuple[str, ...]) -> list[str]:
    """The values of an option; of its last use, if there are several."""
    given: list[str] = []
    mine = False
    for word in words:
        if word.startswith("--"):
            flag, _, value = word.partition("=")
            mine = flag.replace("_", "-") in flags
            given = ([value] if value else []) if mine else given
        elif mine:
            given.append(word)
    return given

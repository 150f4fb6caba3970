"""`main`: finds the command, runs it, and turns every error into one sentence and an exit code."""

from __future__ import annotations

import importlib
import os
import pkgutil
import sys
from collections.abc import Sequence

from lowland.cli import commands
from lowland.cli.command import Command
from lowland.cli.errors import FAILURE, Stopped, explain
from lowland.cli.parse import HELP
from lowland.errors import OptionError, nearest
from lowland.terminal import prepare, say
from lowland.version import __version__


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code. `--debug` lets the traceback of an error through.

    >>> main(["--version"])
    lowland 0.1.0
    0
    """
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    prepare()
    try:
        code = _dispatch([word for word in words if word != "--debug"])
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except SystemExit as stop:
        return int(stop.code or 0)
    except BrokenPipeError:
        # Whoever read our output, such as `head`, has read enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return FAILURE
    except KeyboardInterrupt as error:
        return explain(error)
    except Exception as error:
        if not debug:
            return explain(error)
        if isinstance(error, Stopped) and error.__cause__ is not None:
            raise error.__cause__ from None
        raise


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in HELP:
        say(*_help())
        return 0
    name, *rest = words
    if name == "--version":
        say(f"lowland {__version__}")
        return 0
    names = [module.name for module in pkgutil.iter_modules(commands.__path__)]
    if name.startswith("-"):
        raise OptionError(f"The first word must be a COMMAND, but it is {name!r}. {nearest(name, names)}")
    if name not in names:
        raise OptionError(f"There is no command {name!r}. {nearest(name, names)}")
    return _command(name).parse(rest, f"lowland {name}").run()


def _command(name: str) -> type[Command]:
    return getattr(importlib.import_module(f"{commands.__name__}.{name}"), name.title())


def _help() -> list[str]:
    """The lines of `lowland --help`."""
    names = [module.name for module in pkgutil.iter_modules(commands.__path__)]
    width = max(map(len, names))
    lines = [f"  {name:{width}}  {(_command(name).__doc__ or '').splitlines()[0]}" for name in names]
    return [
        "usage: lowland COMMAND ...",
        "",
        "Lowland: learn from observation, infer by relaxation, plan by descent.",
        "",
        *lines,
        "",
        "Start with `lowland list`, then `lowland run NAME`. `lowland COMMAND --help` shows what a command takes.",
        "`lowland --version` shows the version. Any command with --debug shows the traceback of an error.",
    ]

"""Words to dataclasses: what tyro refuses is one sentence, also where its events are not the ones that are known."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from typing import Annotated, Literal

import pytest
from tyro.conf import Positional, arg

from lowland.cli import commands, parse
from lowland.cli.command import Command
from lowland.errors import DataError, OptionError

COMMANDS = [module.name for module in pkgutil.iter_modules(commands.__path__)]


@dataclasses.dataclass(frozen=True)
class Box:
    """A box."""

    place: Annotated[Positional[str], arg(metavar="PLACE")]
    """Where it stands."""
    kind: Literal["wood", "steel"] = "wood"
    """What it is made of."""
    size: tuple[float, float] = (1.0, 1.0)
    """Width and height."""
    count: int | None = None
    """How many."""

    def __post_init__(self) -> None:
        if self.count == 0:
            raise OptionError("count must not be 0.")
        if self.count == -1:
            raise DataError("The boxes are gone.")


SENTENCES = {
    "": "`box` needs PLACE. See `box --help`.",
    "here --sise 1 2": "`box` has no option '--sise'. Did you mean '--size'? Known: --count, --kind, --more, --size.",
    "here there": "`box` does not take 'there'. See `box --help`.",
    "here --kind steal": "--kind cannot be 'steal'. Did you mean 'steel'? Known: steel, wood. See `box --help`.",
    "here --kind": "--kind needs a value. See `box --help`.",
    "here --size 1": "--size needs 2 values. See `box --help`.",
    "here --size 1 a": "--size must be two numbers, but it is '1 a'. See `box --help`.",
    "here --size=1 a --size 2 b": "--size must be two numbers, but it is '2 b'. See `box --help`.",
    "here --count 0": "count must not be 0.",
    "here --tyro-print-completion bash": "--tyro-print-completion",
    "--tyro-print-completion bash": "`box` does not take '--tyro-print-completion bash'. See `box --help`.",
}


@pytest.mark.parametrize("line", SENTENCES)
def test_a_mistake_is_one_sentence(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(OptionError) as caught:
        parse.parse(Box, line.split(), "box", also=("--more",))
    assert SENTENCES[line] in f"{caught.value}"
    assert capsys.readouterr() == ("", "")


def test_an_error_of_another_kind_stays_what_it_is() -> None:
    with pytest.raises(DataError, match=r"The boxes are gone\."):
        parse.parse(Box, "here --count -1".split(), "box")


def test_an_event_that_has_no_sentence_ends_in_the_general_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(parse, "_SENTENCES", {})
    with pytest.raises(OptionError, match=r"`box` does not take 'here --kind'\. See `box --help`\."):
        parse.parse(Box, ["here", "--kind"], "box")
    assert capsys.readouterr() == ("", "")


def test_words_that_are_not_known_stay_in_their_order() -> None:
    box, rest = parse.parse_known(Box, "here --a 1 --kind steel --help --b=2".split(), "box")
    assert box == Box("here", "steel")
    assert rest == "--a 1 --help --b=2".split()


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_a_documented_dataclass(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = getattr(importlib.import_module(f"lowland.cli.commands.{name}"), name.title())
    assert issubclass(command, Command)
    with pytest.raises(SystemExit) as stop:
        command.parse(["--help"], f"lowland {name}")
    assert not stop.value.code
    assert f"usage: lowland {name}" in capsys.readouterr().out

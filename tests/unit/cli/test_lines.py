"""No command line ends in a traceback or is called a bug, whatever it holds: each ends in one sentence, or well.

The lines are drawn at random from the commands, options and recipes that there are, always the same ones. Set
LOWLAND_LINES=800 for more of them than in every run of the tests.
"""

from __future__ import annotations

import dataclasses
import os
import random
from pathlib import Path
from typing import Any, NoReturn

import pytest

from lowland import cli
from lowland.data import DATASETS, lookup, simulate
from lowland.errors import DataError, OptionError
from lowland.recipes import base
from lowland.recipes.catalogue import catalogue
from lowland.reports.run import Run

COUNT = int(os.environ.get("LOWLAND_LINES", "150"))
AT_ONCE = 25
COMMANDS = ("list", "run", "report", "data", "pretrain", "embed", "export")
OPTIONS = (
    "--runs", "--rows", "--preset", "--resume", "--seed", "--minutes", "--count", "--out", "--to", "--energy", "--part",
    "--folder", "--labels", "--size", "--threads", "--device", "--debugg", "--help", "--version", "-h", "-x", "--",
)  # fmt: skip
WORDS = (
    "", " ", "-", "--", "...", "~", "%s", "%(prog)s", "{}", "{0}", "$x_$", r"\foo", "*", "#", ";", "`id`", "$(id)",
    "-x", "--=", "=", "a=b", "None", "True", "null", "[]", "latest", "smoke", "onnx", "digits", "traffic", "a\nb",
    "a\tb", "a\rb", "\x1b[31mred\x1b[0m", "\x1b]0;title\x07", "\x9b2J", "\u202egnp", "café", "caf\udce9",
    "\udcff\udcfe", "名", "é" * 130, "a" * 300, "a" * 5000, "a/" * 2100, "/dev/null", "/dev/zero", "/dev/full",
    "/proc/self/mem", "/proc/nowhere/x", "https://example.org/x", "file:///etc/passwd", "'", '"', "it's", "a b",
)  # fmt: skip
NUMBERS = (
    "-1", "0", "1", "2", "-0", "nan", "inf", "-inf", "1e309", "1e-320", "99999999999999999999",
    "-99999999999999999999", "0x10", "1_0", "½", "٣", "1,5", "1.5", "1e3", "0.1.2", "1" * 5000, "9" * 400, "", "many",
    "10**9", "4294967295", "--1",
)  # fmt: skip


def hostile(folder: Path) -> tuple[str, ...]:
    """Files and folders of all the kinds that should not be there, by their paths in `folder`, where they are made."""
    os.mkfifo(folder / "pipe.npz")
    os.mkfifo(folder / "pipe.safetensors")
    (folder / "loop").symlink_to("loop")
    (folder / "dangling.png").symlink_to("nowhere")
    (folder / "empty").mkdir()
    (folder / "text.txt").write_text("text\n")
    (folder / "zeros.safetensors").write_bytes(bytes(100))
    (folder / "sparse.npz").touch()
    os.truncate(folder / "sparse.npz", 2**40)
    for name in (b"caf\xe9", b"\x1b[31mred", b"a\nb"):
        place = os.fsdecode(os.path.join(os.fsencode(folder), name))  # noqa: PTH118  not every name is text
        Path(place).mkdir()
        (Path(place) / "config.json").write_text("{")
    nested = folder / "nested"
    nested.mkdir()
    for name in ("config.json", "values.json", "page.json", "results.json", "status.json", "environment.json"):
        (nested / name).write_text("[" * 100_000)
    return tuple(str(path.relative_to(folder)) for path in sorted(folder.iterdir()))


def line(number: int, places: tuple[str, ...], recipes: tuple[str, ...]) -> list[str]:
    """The command line of a number, always the same for the same places and recipes."""
    chance = random.Random(number)
    words = (*WORDS, *places)
    kind = chance.choice(("words", "run", "run", "run", "resume", "path", "path", "changed", "changed"))
    if kind == "words":
        return [chance.choice((*COMMANDS, *OPTIONS, *words, *NUMBERS)) for _ in range(chance.randint(1, 6))]
    if kind == "run":
        return _run(chance, words, recipes)
    if kind == "resume":
        name = chance.choice(recipes)
        return ["run", name, "--resume", chance.choice(words), *_run(chance, words, (name,))[4 : chance.choice((4, 6))]]
    path = chance.choice(words)
    lines = (
        ["report", path],
        ["report", path, "--runs", chance.choice(words)],
        ["export", path, "--to", chance.choice(("onnx", "safetensors", "program", path))],
        ["export", path, "--to", "onnx", chance.choice(("--energy", "--part")), chance.choice(words)],
        ["embed", path, chance.choice(words), "--out", chance.choice(("v.npy", "v.parquet", "v.txt", *words))],
        ["pretrain", path, "--preset", "smoke"],
        ["pretrain", chance.choice(("empty", path)), "--labels", chance.choice(words), "--preset", "smoke"],
        ["data", chance.choice(("get", "check", "list")), chance.choice((*DATASETS, path))],
        ["data", "make", chance.choice(("photos", "motions", "traffic", path)), "--out", chance.choice(words)],
        ["data", "make", "traffic", chance.choice(("--seed", "--minutes")), chance.choice(NUMBERS)],
        ["data", "make", "photos", "--count", chance.choice(NUMBERS)],
        ["list", *chance.choice(([], ["--rows"], ["--rows", "--runs", path]))],
    )
    chosen = chance.choice(lines)
    return _changed(chance, chosen, words) if kind == "changed" else chosen


def _run(chance: random.Random, words: tuple[str, ...], recipes: tuple[str, ...]) -> list[str]:
    """A recipe with one option, or two, whose values are of the wrong kind, out of range, or none at all."""
    name = chance.choice(recipes)
    fields = dataclasses.fields(base.load(name))
    given = ["run", name, "--preset", "smoke"]
    for field in chance.sample(fields, min(len(fields), chance.choice((1, 1, 1, 2)))):
        option = f"--{field.name.replace('_', '-')}"
        wordy = isinstance(field.default, str) or (isinstance(field.default, tuple) and "str" in str(field.type))
        pool = words if wordy or chance.random() < 0.15 else NUMBERS
        values = [chance.choice(pool) for _ in range(chance.choice((0, 1, 1, 1, 1, 1, 2, 3)))]
        given += [f"{option}={values[0]}"] if len(values) == 1 and chance.random() < 0.4 else [option, *values]
    return given


def _changed(chance: random.Random, words: list[str], pool: tuple[str, ...]) -> list[str]:
    """With a word left out, twice, misspelt, in another place, or put in."""
    words, at = list(words), chance.randrange(len(words))
    change = chance.choice(("left out", "twice", "misspelt", "moved", "put in"))
    if change == "left out":
        del words[at]
    elif change == "twice":
        words.insert(at, words[at])
    elif change == "misspelt":
        letters = list(words[at]) or [""]
        letters[chance.randrange(len(letters))] = chance.choice(("", "q", "é", "\x1b", "-"))
        words[at] = "".join(letters)
    elif change == "moved":
        words.insert(chance.randrange(len(words)), words.pop(at))
    else:
        words.insert(at, chance.choice((*pool, *OPTIONS)))
    return words


def _enough(*_: Any, **__: Any) -> NoReturn:
    raise OptionError("What is long begins here.")


def _no_network(*_: Any) -> NoReturn:
    raise DataError("There is no network in a test.")


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """The hostile files in the current folder; and whatever takes long, or needs a network, is refused."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Run, "stage", _enough)
    monkeypatch.setattr(simulate, "_network", _enough)
    monkeypatch.setattr(lookup, "fetch", _no_network)
    monkeypatch.setenv("LOWLAND_CACHE", str(tmp_path / "cache"))
    known = catalogue()
    monkeypatch.setattr("lowland.recipes.catalogue.catalogue", lambda: known)
    return hostile(tmp_path)


@pytest.mark.parametrize("first", range(0, COUNT, AT_ONCE))
def test_every_line_ends_in_a_sentence(first: int, places: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    recipes = tuple(catalogue())
    for number in range(first, min(first + AT_ONCE, COUNT)):
        words = line(number, places, recipes)
        code = cli.main(words)
        out, err = capsys.readouterr()
        where = f"line {number}: {words!r} → {code}: {err}"
        assert code in (0, cli.USAGE, cli.FAILURE), where
        assert "Traceback" not in err + out, where
        assert "a bug of Lowland" not in err, where
        assert not {"\x1b", "\x9b"} & set(out + err), where
        assert code == 0 or err.count("lowland: ") >= 1, where
        assert all(said.startswith(("lowland: ", "Finished stages are kept.")) for said in err.splitlines()), where

"""What a recipe is: a frozen dataclass of options, a decorator with what it shows, and `run`, which fills a page."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch

from lowland.errors import OptionError, nearest
from lowland.recipes.catalogue import Entry, find
from lowland.registry import register
from lowland.reports.run import Run

PRESETS = ("smoke", "cpu", "gpu")
LARGEST_SEED = 2**32 - 1
LARGEST = LARGEST_SEED
"""Of the whole numbers in options: no count is above it."""
MOST_THREADS = 1024
RESERVED = ("preset", "resume", "runs", "debug", "help")
"""Options of `lowland run` itself, which no recipe may have."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Base class of all recipes. See `docs/recipes` for one in full.

    A subclass is a frozen dataclass whose fields, each with a default and a line of documentation below it, are its
    options. It defines `run`, does its work in `run.stage(...)` so that a killed run resumes, and takes all randomness
    from `self.seed`. `presets` may change defaults for `smoke` (seconds, for tests), `cpu` and `gpu`, and may add
    presets of its own. `files` names the options that are paths of the user's files.
    """

    seed: int = 0
    """Seed of all random numbers."""
    device: str = "cpu"
    """Where to compute: cpu, cuda or mps."""
    threads: int = 1
    """Processor threads of torch. Sums come out in the same order with one, and a busy machine slows it down least."""

    entry: ClassVar[Entry]
    files: ClassVar[tuple[str, ...]] = ()
    """Options that name a file or folder of the user's: a resumed run is refused where its content has changed."""
    presets: ClassVar[dict[str, dict[str, Any]]] = {}

    def run(self, run: Run) -> None:
        """Compute the results in stages and fill the page."""
        raise NotImplementedError

    def generator(self, offset: int = 0) -> torch.Generator:
        """A generator of random numbers on the CPU, seeded by this recipe's seed and an offset."""
        return torch.Generator().manual_seed(self.seed * 1_000_003 + offset)

    @classmethod
    def preset(cls, name: str) -> Recipe:
        """This recipe with the options of a preset.

        Raises:
            OptionError: if there is no such preset, or it sets an option that the recipe lacks.
        """
        known = dict.fromkeys((*PRESETS, *cls.presets))
        if name not in known:
            raise OptionError(f"{cls.entry.name} has no preset called {name!r}. {nearest(name, known)}")
        options = {"device": "cuda", **cls.presets.get(name, {})} if name == "gpu" else cls.presets.get(name, {})
        return cls.from_options(options)

    @classmethod
    def from_options(cls, options: dict[str, Any]) -> Recipe:
        """This recipe with some of its options changed; lists become tuples where the default is one."""
        if not isinstance(options, dict):
            raise OptionError(f"The options of {cls.entry.name} must be values by name, not {options!r}.")
        known = {field.name: field for field in dataclasses.fields(cls)}
        values: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in options.items()}
        for name, value in values.items():
            if name not in known:
                raise OptionError(f"The recipe {cls.entry.name} has no option {name!r}. {nearest(name, known)}")
            if not _fits(value, default := known[name].default):
                raise OptionError(
                    f"The option {name} of {cls.entry.name} is {value!r}, but {default!r} is of its kind."
                )
        return cls(**values)


def _fits(value: Any, default: Any) -> bool:
    """Whether a value, which may come from the file of a run, is of the kind of the default of its option."""
    if default is None or default is dataclasses.MISSING:
        return True
    if isinstance(default, tuple):
        return isinstance(value, tuple) and all(any(_fits(v, d) for d in default) or not default for v in value)
    if isinstance(default, float):
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is type(default)


R = TypeVar("R", bound=type[Recipe])


def recipe(
    name: str, *, shows: str, rows: tuple[str, ...] = (), minutes: float = 1, title: str = ""
) -> Callable[[R], R]:
    """Class decorator of a recipe. Its arguments are literals: `lowland list` reads them without importing the file.

    Args:
        name: as in `lowland run NAME`: lower case, words joined by hyphens.
        shows: one sentence: what the recipe shows. It stands below the title of the page.
        rows: ids of the systems that it serves, such as "E4".
        minutes: on two processor cores with the preset `cpu`.
        title: of the page; the name if empty.

    Raises:
        OptionError: if an option has no default or is one of `lowland run`, or a preset sets an unknown one.
    """

    def enter(cls: R) -> R:
        for field in dataclasses.fields(cls):
            if field.name in RESERVED:
                raise OptionError(f"The recipe {name} may not have an option {field.name!r}: `lowland run` has it.")
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                raise OptionError(f"The option {field.name!r} of the recipe {name} needs a default.")
        cls.entry = Entry(name, shows, tuple(rows), minutes, title, cls.__module__, cls.__name__)
        for options in cls.presets.values():
            cls.from_options(options)
        register("recipe")(cls)
        return cls

    return enter


def load(name: str) -> type[Recipe]:
    """The class of a recipe; only its own file is imported.

    >>> load("ellipse").__name__
    'EllipseRecipe'
    """
    entry = find(name)
    return getattr(importlib.import_module(entry.module), entry.cls)


def start(config: Recipe, runs: Path | str = "runs", preset: str = "cpu", resume: Path | None = None) -> Run:
    """The run of a recipe: a new one, or an earlier one to go on with.

    Args:
        config: the recipe with its options.
        runs: folder of all runs.
        preset: that the options came from, for the command on the page.
        resume: folder of the run to go on with.

    Raises:
        OptionError: if the device is not there, a whole number is out of range, or an option differs from
            that of the run to resume.
        CheckpointError: if the run to resume is corrupt or of another recipe.
    """
    check_device(config.device)
    if not 0 <= config.seed <= LARGEST_SEED:
        raise OptionError(f"The seed must be from 0 to {LARGEST_SEED}, but it is {config.seed}.")
    entry, options = config.entry, dataclasses.asdict(config)
    for name, value in options.items():
        for number in value if isinstance(value, tuple | list) else (value,):
            if isinstance(number, int) and abs(number) > LARGEST:
                raise OptionError(f"{name} must be at most {LARGEST}, but it is {number}.")
    with torch_threads(config.threads):
        run = Run.create(Path(runs), entry.name, options, preset) if resume is None else Run.open(resume)
    run.describe(entry.title or entry.name.replace("-", " ").capitalize(), entry.shows, entry.rows)
    if resume is not None:
        run.check(entry.name, options, dataclasses.asdict(type(config)()))
    return run


def execute(config: Recipe, run: Run) -> Run:
    """Compute what the run still lacks and write its page; also after a failure or Ctrl-C, with what there is."""
    given = {name: Path(value) for name in config.files if (value := getattr(config, name))}
    run.uses({name: path for name, path in given.items() if path.exists()})
    with torch_threads(config.threads), run:
        config.run(run)
    return run


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """So many threads for torch's own loops inside the block, and as many as before after it."""
    if not 1 <= count <= MOST_THREADS:
        raise OptionError(f"threads must be from 1 to {MOST_THREADS}, but it is {count}.")
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def falling(steps: int, step: int) -> float:
    """A learning rate that falls linearly to zero, as a share of the first, for `ll.fit(schedule=...)`.

    >>> falling(4, 0), falling(4, 3)
    (1.0, 0.25)
    """
    return max(0.0, 1 - step / steps)


def check_device(device: str) -> None:
    """Raise an OptionError unless the device can be used here."""
    try:
        torch.empty(1, device=device).cpu()
    except (RuntimeError, AssertionError):
        raise OptionError(f"The device {device!r} cannot be used on this machine: use --device cpu.") from None

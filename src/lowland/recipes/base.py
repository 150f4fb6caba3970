"""What a recipe is: a frozen dataclass of options that computes numbers and pictures, with `page.md` beside it.

A recipe is a folder with `recipe.py` and `page.md`. The class in `recipe.py` has options, does its work in stages, and
puts numbers into `run.measured`; the page says what they are, in Markdown with placeholders (see `reports.head`).
"""

from __future__ import annotations

import dataclasses
import importlib
import typing
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import torch

from lowland.errors import OptionError, nearest
from lowland.recipes.catalogue import Entry, catalogue, find
from lowland.recipes.record import figures_on_record
from lowland.registry import importing
from lowland.reports.run import Run
from lowland.reports.template import check_page
from lowland.training.bounds import Bound as Bound
from lowland.training.bounds import Count as Count
from lowland.training.bounds import NotNegative as NotNegative
from lowland.training.bounds import Positive as Positive
from lowland.training.bounds import Share as Share
from lowland.training.fit import FitResult, fit
from lowland.training.schedules import falling

PRESETS = ("smoke", "cpu", "gpu")
LARGEST_SEED = 2**32 - 1
LARGEST = LARGEST_SEED
"""Of the whole numbers in options: no count is above it."""
MOST_THREADS = 1024
RESERVED = ("preset", "resume", "runs", "debug", "help")
"""Options of `lowland run` itself, which no recipe may have."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Base class of all recipes. See `docs/add_recipe.md` for how to write one.

    A subclass is a frozen dataclass whose fields, each with a default and a line of documentation below it, are its
    options. It defines `run`, does its work in `run.stage(...)` so that a killed run resumes, and takes all randomness
    from `self.seed`. `presets` may change defaults for `smoke` (seconds, for tests), `cpu` and `gpu`, and may add
    presets of its own. `files` names the options that are paths of the user's files, and `accelerated` says whether the
    recipe computes on `self.device`.
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
    accelerated: ClassVar[bool] = True
    """Whether it computes on the chosen device; if not, any other than cpu is refused."""
    presets: ClassVar[dict[str, dict[str, Any]]] = {}

    def __post_init__(self) -> None:
        for name, (bounds, whole, choices) in _limits(type(self)).items():
            value = getattr(self, name)
            for bound in bounds:
                bound.check(name, value, whole)
            for one in (value if isinstance(value, tuple) else (value,)) if choices else ():
                if one not in choices:
                    raise OptionError(f"{name} must be one of {', '.join(map(str, choices))}, but it is {one!r}.")

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


@dataclasses.dataclass(frozen=True)
class SeededRecipe(Recipe):
    """One experiment, repeated: `measure` runs it for one seed, `figures` draws what the first seed left."""

    seeds: Count = 3
    """Repetitions, each with its own data, first weights and order of training."""

    stages: ClassVar[int] = 0
    """Of one seed, for the progress bar."""

    def measure(self, run: Run, seed: int) -> tuple[Mapping[str, Mapping[str, Any]], Any]:
        """Numbers by method and measure, and whatever the pictures need."""
        raise NotImplementedError

    def figures(self, run: Run, first: Any) -> None:
        """Draw, from what `measure` left for the first seed."""

    def run(self, run: Run) -> None:
        run.expect(self.stages * self.seeds)
        first: Any = None
        for seed in range(self.seeds):
            with run.below(f"seed-{seed}"):
                numbers, left = self.measure(run, seed)
            run.measured.add(numbers)
            first = left if seed == 0 else first
        run.part(self.figures_of, first)

    def figures_of(self, run: Run, first: Any) -> None:
        """`figures`, as a part of the page."""
        self.figures(run, first)


def train(energy: Any, data: Any, shaping: Any, steps: int, **options: Any) -> FitResult:
    """`ll.fit` as recipes use it: silent, nothing held out, a rate that falls to zero, about sixty points of curves."""
    settings = {"schedule": partial(falling, steps), "log_every": max(1, steps // 60), "validation": 0.0}
    return fit(energy, data, shaping, max_steps=steps, progress=False, **settings | options)


@cache
def _limits(cls: type) -> dict[str, tuple[list[Bound], bool, tuple[Any, ...]]]:
    """Of each option that has them: bounds, whether it is a whole number, and the values to choose from."""
    found = {}
    for name, hint in typing.get_type_hints(cls, include_extras=True).items():
        bounds, whole, choices = _limit(hint)
        if bounds or choices:
            found[name] = bounds, whole, choices
    return found


def bounds(cls: type[Recipe]) -> dict[str, str]:
    """The bounds of each option that has any, in words, as the documentation shows them.

    >>> bounds(SeededRecipe)
    {'seeds': 'at least 1'}
    """
    texts = {}
    for name, (limits, _, choices) in _limits(cls).items():
        words = [limit.text for limit in limits] + ([f"one of {', '.join(map(str, choices))}"] if choices else [])
        texts[name] = ", ".join(words)
    return texts


def _limit(hint: Any) -> tuple[list[Bound], bool, tuple[Any, ...]]:
    parts = typing.get_args(hint)
    if typing.get_origin(hint) is Literal:
        return [], False, parts
    if typing.get_origin(hint) is tuple:
        return _limit(parts[0]) if parts else ([], False, ())
    if typing.get_origin(hint) is Annotated:
        bounds, whole, choices = _limit(parts[0])
        return [*bounds, *(part for part in parts[1:] if isinstance(part, Bound))], whole, choices
    return [], hint is int, ()


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


def recipe(cls: R) -> R:
    """Class decorator of the one recipe in a `recipe.py`; what it shows stands in the head of `page.md`.

    Raises:
        OptionError: if an option has no default or is one of `lowland run`, a preset sets an unknown one, or there is
            no page.
    """
    entry = next((entry for entry in catalogue().values() if entry.module == cls.__module__), None)
    if entry is None:
        raise OptionError(
            f"{cls.__module__} is not the recipe.py of a folder with a page.md: {cls.__name__} has no page."
        )
    for field in dataclasses.fields(cls):
        if field.name in RESERVED:
            raise OptionError(f"The recipe {entry.name} may not have an option {field.name!r}: `lowland run` has it.")
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise OptionError(f"The option {field.name!r} of the recipe {entry.name} needs a default.")
    cls.entry = entry
    for options in cls.presets.values():
        cls.from_options(options)
    return cls


def load(name: str) -> type[Recipe]:
    """The class of a recipe; only its own file is imported.

    Raises:
        OptionError: for an unknown name, or the recipe of a plugin that cannot be imported.

    >>> load("ellipse").__name__
    'EllipseRecipe'
    """
    entry = find(name)
    ours = entry.module.startswith("lowland.")
    with nullcontext() if ours else importing(entry.module):
        module = importlib.import_module(entry.module)
    own = [one for one in vars(module).values() if isinstance(one, type) and issubclass(one, Recipe)]
    found = [one for one in own if one.__module__ == entry.module and "entry" in vars(one)]
    if len(found) != 1:
        raise OptionError(f"{entry.module} needs one class with @recipe, but it has {len(found)}.")
    return found[0]


def start(
    config: Recipe,
    runs: Path | str = "runs",
    preset: str = "cpu",
    resume: Path | None = None,
    axes: dict[str, list[Any]] | None = None,
) -> Run:
    """The run of a recipe: a new one, or an earlier one to go on with.

    Args:
        config: the recipe with its options.
        runs: folder of all runs.
        preset: that the options came from, for the command on the page.
        resume: folder of the run to go on with.
        axes: values of options, if the run is a sweep over them; see `recipes.sweep`.

    Raises:
        OptionError: if the device is not there or not used by the recipe, a whole number is out of range, or an option
            differs from that of the run to resume.
        CheckpointError: if the run to resume is corrupt or of another recipe.
    """
    check_device(config.device)
    if not config.accelerated and torch.device(config.device).type != "cpu":
        raise OptionError(f"{config.entry.name} computes on the processor only: leave out --device {config.device}.")
    if not 0 <= config.seed <= LARGEST_SEED:
        raise OptionError(f"The seed must be from 0 to {LARGEST_SEED}, but it is {config.seed}.")
    entry, options = config.entry, dataclasses.asdict(config)
    for name, value in options.items():
        for number in value if isinstance(value, tuple | list) else (value,):
            if isinstance(number, int) and abs(number) > LARGEST:
                raise OptionError(f"{name} must be at most {LARGEST}, but it is {number}.")
    check_page(entry.page)
    with torch_threads(config.threads):
        run = Run.create(Path(runs), entry.name, options, preset, axes) if resume is None else Run.open(resume)
    run.describe(entry.head.title, entry.head.shows, entry.head.systems, entry.page)
    run.recorded = figures_on_record(entry, run.config["preset"])
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


def check_device(device: str) -> None:
    """Raise an OptionError unless the device can be used here."""
    try:
        torch.empty(1, device=device).cpu()
    except (RuntimeError, AssertionError):
        raise OptionError(f"The device {device!r} cannot be used on this machine: use --device cpu.") from None

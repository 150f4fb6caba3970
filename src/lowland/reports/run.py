"""A run: its folder, its stages, and the page that it fills."""

from __future__ import annotations

import csv
import io
import json
import logging
import os
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from lowland.checksums import read_json, write_json
from lowland.errors import CheckpointError, OptionError
from lowland.files import appearing, contents, sweep, temporary_name, write_atomically
from lowland.reports.elements import Elements
from lowland.reports.environment import environment
from lowland.reports.files import digest, read_values
from lowland.reports.progress import Progress
from lowland.reports.results import Results
from lowland.reports.template import Filled
from lowland.terminal import shell
from lowland.training.checkpoints import read_checkpoint, write_checkpoint

if TYPE_CHECKING:
    from torch import nn

    from lowland.energies.base import Energy

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Run(Elements):
    """One run of a recipe: the folder `runs/NAME/TIME/`, its stages, and the elements of its page (see `Elements`).

    Made by `Run.create`, or by `Run.open` to go on with an earlier one. Use it in a `with` statement: the page is
    written at its end, also after an error, with what there is.

    Attributes:
        folder: where everything is written.
        config: {"recipe", "preset", "options"}, as stored in `config.json`.
        recorded: figures on record, by id, claim and method joined by tabs.
        made: files for the user besides the page, which the command line names at the end.
        elsewhere: seconds of computing in other folders, as of the points of a sweep.
    """

    def __init__(self, folder: Path, config: dict[str, Any]) -> None:
        super().__init__(folder, conclusive=config.get("preset") != "smoke")
        self.config = config
        self.title, self.shows, self.systems = config["recipe"], "", ()
        self.page: Path | None = None
        self.recorded: dict[str, Any] = {}
        self.made: list[Path] = []
        self._metrics: dict[str, list[list[Any]]] = {}
        self._seconds: dict[str, float] = {}
        self._stage: str | None = None
        self._progress = Progress()
        self._prefix = ""
        self._shared: dict[str, Path] = {}
        self._borrowed = 0.0
        self.elsewhere = 0.0

    @classmethod
    def create(
        cls, runs: Path, recipe: str, options: dict[str, Any], preset: str = "cpu", axes: dict[str, Any] | None = None
    ) -> Run:
        """A new run in `runs/recipe/TIME/`, to which `runs/recipe/latest` then points."""
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
        config = _config(recipe, preset, options, axes)
        (runs / recipe).mkdir(parents=True, exist_ok=True)
        sweep(runs / recipe, deep=False)
        for attempt in range(1000):
            folder = runs / recipe / (stamp if attempt == 0 else f"{stamp}-{attempt + 1}")
            try:
                with appearing(folder) as made:
                    write_json(made / "config.json", config)
                    write_json(made / "environment.json", environment())
                break
            except FileExistsError:
                continue
        else:
            raise CheckpointError(f"No new folder could be made in {runs / recipe}.")
        link = temporary_name(runs / recipe / "latest")
        link.unlink(missing_ok=True)
        link.symlink_to(folder.name)
        link.replace(runs / recipe / "latest")
        return cls(folder, config)

    @classmethod
    def open(cls, folder: Path) -> Run:
        """An earlier run, to go on with.

        Raises:
            CheckpointError: if the folder is not a run, or its configuration is corrupt.
        """
        if not folder.is_dir():
            raise CheckpointError(f"There is no run at {folder}.")
        config = read_json(folder / "config.json")
        if set(config) - {"sweep"} != {"recipe", "preset", "options"}:
            raise CheckpointError(f"{folder / 'config.json'} is not the configuration of a run of Lowland.")
        return cls(folder.resolve(), config)

    @property
    def axes(self) -> dict[str, list[Any]]:
        """The values of each swept option, where the run is a sweep."""
        return self.config.get("sweep", {})

    def point(self, name: str, recipe: str, options: dict[str, Any]) -> Run:
        """The run of one point of a sweep, new or an earlier one, in `sweep/NAME/` of this one's folder."""
        folder = self.folder / "sweep" / name
        if (folder / "config.json").is_file():
            return Run.open(folder)
        config = _config(recipe, self.config["preset"], options)
        with appearing(folder) as made:
            write_json(made / "config.json", config)
            write_json(made / "environment.json", environment())
        return Run(folder, config)

    def share(self, folder: Path, stages: Sequence[str]) -> None:
        """Keep stages whose names begin so, with `*` for anything, in another folder, where other runs find them."""
        self._shared = dict.fromkeys(stages, folder)

    @property
    def finished(self) -> bool:
        """Whether the run has its results and its page."""
        path = self.folder / "status.json"
        return path.is_file() and read_json(path, keys=("status",))["status"] == "finished"

    def describe(self, title: str, shows: str, systems: Sequence[str] = (), page: Path | None = None) -> None:
        """Set what stands at the top of the page: title, one sentence, ids of systems; and `page.md`, its template."""
        self.title, self.shows, self.systems, self.page = title, shows, tuple(systems), page

    def check(self, recipe: str, options: dict[str, Any], defaults: Mapping[str, Any]) -> None:
        """Raise unless a resumed run is of this recipe and has these options.

        A run of an earlier version that lacks an option has its default.
        """
        if self.config["recipe"] != recipe:
            raise CheckpointError(f"{self.folder} is a run of {self.config['recipe']}, not of {recipe}.")
        earlier = json.loads(json.dumps(dict(defaults))) | self.config["options"]
        for name, value in json.loads(json.dumps(options)).items():
            before = earlier.get(name)
            if before != value:
                raise OptionError(
                    f"A run is resumed with its own options, but {name} was {before!r} and is now {value!r}. Leave "
                    "the option out, or start a new run."
                )
        if self.config["options"] != (whole := json.loads(json.dumps(options))):
            self.config["options"] = whole
            write_json(self.folder / "config.json", self.config)

    def uses(self, files: Mapping[str, Path]) -> None:
        """Declare the user's own files and folders that the stages are computed from, by option.

        What they hold is noted when the run begins. Stages that were computed from something else are not gone on with.

        Raises:
            CheckpointError: if a stage is finished and a file has changed since the run began.
            DataError: for a file that cannot be read.
        """
        record = self.folder / "inputs.json"
        now = {option: contents(path) for option, path in files.items()}
        begun = any((self.folder / "stages").rglob("*.safetensors"))
        before = read_json(record) if begun and record.exists() else {}
        for option, path in files.items():
            if before.get(option, now[option]) != now[option]:
                raise CheckpointError(
                    f"{path} (--{option}) has changed since the run began, and finished stages were computed from what "
                    "it was: put it back as it was, or start a new run."
                )
        write_json(record, before | now)

    # Work

    def expect(self, stages: int) -> None:
        """Say how many stages there will be, for the progress bar."""
        self._progress.expect(stages)

    def doing(self, what: str) -> None:
        """Say on the progress bar what is going on where no stage is."""
        self._progress.start(what)

    def stage(self, name: str, function: Callable[[], T], modules: Sequence[nn.Module] = ()) -> T:
        """The result of a function, computed once: a resumed run reads it from the disk.

        The result is stored whole or not at all when the function ends, and what is returned is always what was stored,
        so that a resumed run goes on with the same numbers.

        Args:
            name: unique in the run; a slash makes a folder, as in "train/pca".
            function: returns numbers, text, tensors, lists and dictionaries of them, or None. Tensors come
                back on the CPU.
            modules: their weights after the function are stored as well, and are loaded back into them on a resume.

        Raises:
            CheckpointError: if a result cannot be stored, or a stored one is corrupt or does not fit the modules.
        """
        self.before_pages("A stage")
        name = self._prefix + name
        if name in self._seconds:
            raise OptionError(f"There are two stages called {name!r} in one run: give each its own name.")
        place = next((place for first, place in self._shared.items() if fnmatchcase(name, f"{first}*")), self.folder)
        path = place / "stages" / f"{name}.safetensors"
        self._progress.start(name)
        borrowed = place != self.folder
        if not path.is_file():
            _log.info("stage %s", name)
            self._stage, self._metrics[name] = name, []
            began = time.monotonic()
            value = function()
            self._seconds[name] = time.monotonic() - began
            self._stage = None
            weights = [module.state_dict() for module in modules]
            stored = {
                "result": value,
                "weights": weights,
                "metrics": self._metrics[name],
                "seconds": self._seconds[name],
            }
            write_checkpoint(stored, path)
            borrowed = False
        stored = read_checkpoint(path)
        if set(stored) != {"result", "weights", "metrics", "seconds"}:
            raise CheckpointError(f"{path} is not a stage of a run. Delete it to compute the stage again.")
        self._metrics[name], self._seconds[name] = stored["metrics"], stored["seconds"]
        self._borrowed += stored["seconds"] if borrowed else 0.0
        if len(stored["weights"]) != len(modules):
            raise CheckpointError(
                f"The stage {name!r} stored {len(stored['weights'])} modules, but {len(modules)} are given."
            )
        for module, state in zip(modules, stored["weights"], strict=True):
            try:
                module.load_state_dict(state)
            except RuntimeError as error:
                reason = " ".join(str(error).split())
                raise CheckpointError(f"The stage {name!r} does not fit {type(module).__name__}: {reason}") from None
        self._progress.done()
        return stored["result"]

    @contextmanager
    def below(self, prefix: str) -> Iterator[None]:
        """Stages inside the block have names below this one, as in "seed-0/train"."""
        before, self._prefix = self._prefix, f"{self._prefix}{prefix}/"
        try:
            yield
        finally:
            self._prefix = before

    def seconds(self, name: str) -> float:
        """Wall time of a finished stage, in seconds, of the process that computed it."""
        return self._seconds[self._prefix + name]

    def log(self, step: int, **metrics: float) -> None:
        """Add metrics to `metrics.csv`, from inside a stage."""
        if self._stage is None:
            raise OptionError("run.log is for use inside the function of a run.stage.")
        self._metrics[self._stage] += [[step, name, float(value)] for name, value in metrics.items()]

    @property
    def checkpoints(self) -> Path:
        """The folder for checkpoints, such as those of `ll.fit`."""
        folder = self.folder / "checkpoints"
        folder.mkdir(exist_ok=True)
        return folder

    def save_energy(self, name: str, energy: Energy) -> None:
        """Keep a trained energy for `lowland export`: `checkpoints/NAME/` holds its configuration and safetensors."""
        from lowland.training.export import save_energy

        self.before_pages("A trained energy")
        save_energy(energy, self.checkpoints / name)

    # The end

    def __enter__(self) -> Run:
        sweep(self.folder)
        if not (self.folder / "environment.json").is_file():  # lost in a kill of an earlier version
            write_json(self.folder / "environment.json", environment())
        self._status("running")
        self._progress.open(self.title)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.close()
        if error is None:
            (self.folder / "error.log").unlink(missing_ok=True)  # of an attempt before a resume
            self.write("finished")
            return
        status = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        try:
            write_atomically(
                self.folder / "error.log", "".join(traceback.format_exception(error)).encode(errors="replace")
            )
            self.write(status)
        except OSError:
            # A full disk is the error that is on its way up already; the stages that were finished stay.
            _log.warning("the page of the unfinished run could not be written to %s", self.folder)

    def write(self, status: str = "finished") -> Path:
        """Write results, metrics and the page; returns the path of `report.html`.

        Raises:
            OptionError: if `page.md` names what the run does not have; what was computed is stored.
        """
        self.keep()
        filled = None
        if self.page is not None:
            try:
                filled = self._filled(self.page)
            except OptionError as error:
                if status == "finished":
                    self._page("failed", self.elements)
                    raise OptionError(
                        f"{error} All that was computed is stored: mend the page and run "
                        f"{shell(['lowland', 'report', str(self.folder)])}."
                    ) from error
        return self._page(status, self.elements if filled is None else filled.elements)

    def keep(self) -> None:
        """Store numbers, results and metrics, which no picture may cost."""
        values = {"results": self.measured.values, "shown": self.shown, "stand_ins": self.stand_ins}
        elements = [element for element in self.elements if "name" in element]
        write_json(self.folder / "values.json", {**values, "elements": elements, "seconds": self._sum()})
        write_json(self.folder / "results.json", self.results)
        write_atomically(self.folder / "metrics.csv", self._metrics_csv().encode(errors="replace"))

    def refill(self, page: Path) -> Path:
        """Write the page of an earlier run anew from its template; nothing is computed."""
        filled = self.filled(page)
        values = read_values(self.folder)
        self.stand_ins = values["stand_ins"]
        status = read_json(self.folder / "status.json", keys=("status",))["status"]
        return self._page(status, filled.elements, values["seconds"])

    def filled(self, page: Path) -> Filled:
        """What a template says of an earlier run.

        Raises:
            CheckpointError: if the run is not of this version of Lowland, or is damaged.
            OptionError: if the template names what the run does not have.
        """
        values = read_values(self.folder)
        self.measured, self.shown, self.elements = Results(values["results"]), values["shown"], values["elements"]
        return self._filled(page)

    def _filled(self, page: Path) -> Filled:
        filled = Filled(page, self.measured, self.config["options"], self.shown, self.elements, self.conclusive)
        self.results, self.found = filled.rows, filled.finding
        self.title, self.shows, self.systems = filled.title, filled.head.shows, filled.head.systems
        return filled

    def _page(self, status: str, elements: list[dict[str, Any]], seconds: float | None = None) -> Path:
        from lowland.reports.page import render

        page = {
            "title": self.title,
            "shows": self.shows,
            "finding": self.found,
            "rows": list(self.systems),
            "stand_ins": self.stand_ins,
            "elements": elements,
            "recorded": self.recorded,
            "seconds": self._sum() if seconds is None else seconds,
        }
        write_json(self.folder / "results.json", self.results)
        write_json(self.folder / "page.json", page)
        self._status(status, results=digest(self.folder / "results.json"))
        return render(self.folder)

    def _sum(self) -> float:
        return sum(self._seconds.values()) - self._borrowed + self.elsewhere

    def _status(self, status: str, **more: str) -> None:
        write_json(self.folder / "status.json", {"status": status, "process": os.getpid(), **more})

    def _metrics_csv(self) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["stage", "step", "metric", "value"])
        for stage, rows in self._metrics.items():
            writer.writerows([stage, *row] for row in rows)
        return text.getvalue()


def _config(recipe: str, preset: str, options: dict[str, Any], axes: dict[str, Any] | None = None) -> dict[str, Any]:
    """What `config.json` holds, as JSON gives it back."""
    config = {"recipe": recipe, "preset": preset, "options": options}
    return json.loads(json.dumps(config if axes is None else {**config, "sweep": axes}))

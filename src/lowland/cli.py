"""The command line: lowland list | run | report | data | pretrain | embed | export | check.

Nothing heavy is imported before a command needs it, so that `lowland --help` and `lowland list` answer at once. No
error ends in a traceback: a mistake of the user is one sentence and exit code 2, any other failure one sentence and
exit code 1.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import inspect
import io
import os
import re
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from lowland.errors import CheckpointError, LowlandError, OptionError, TrainingError, nearest
from lowland.terminal import prepare, say, shell, table
from lowland.version import __version__

if TYPE_CHECKING:
    from torch import nn

    from lowland.energies.base import Energy
    from lowland.recipes.base import Recipe

FORMATS = ("onnx", "safetensors", "program")
MADE = ("seed", "minutes", "count", "out")
"""Options of `lowland data make`."""
USAGE, FAILURE, INTERRUPTED = 2, 1, 130
LONGEST = 2000
"""Letters of a sentence on the terminal; of a longer one, which holds a word of the user's, the middle is left out."""


class Parser(argparse.ArgumentParser):
    """An argparse parser whose errors are those of Lowland."""

    def error(self, message: str) -> NoReturn:
        raise OptionError(f"{message[0].upper()}{message[1:].rstrip('.')}. See `{self.prog} --help`.")

    @property
    def options(self) -> list[str]:
        """All options that it knows."""
        return [option for action in self._actions for option in action.option_strings if option.startswith("--")]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code. `--debug` lets the traceback of an error through.

    >>> main(["--version"])
    lowland 0.1.0
    0
    """
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    resume: list[str] = []
    prepare()
    try:
        code = _dispatch(words, resume)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except SystemExit as stop:
        return int(stop.code or 0)
    except KeyboardInterrupt:
        return _say("Interrupted.", resume, INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output, such as `head`, has read enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return FAILURE
    except Exception as error:
        if debug:
            raise
        # A run keeps its options, so to go on with it would end at the same one.
        mistake = isinstance(error, OptionError)
        return _say(_sentence(error), [] if mistake else resume, USAGE if mistake else FAILURE)


def _say(sentence: str, resume: list[str], code: int) -> int:
    if len(sentence) > LONGEST:
        sentence = f"{sentence[: LONGEST // 2]} … {sentence[-LONGEST // 2 :]}"
    say(f"lowland: {sentence}", aside=True)
    for command in resume:
        say(f"Finished stages are kept. Go on with: {command}", aside=True)
    return code


def _sentence(error: Exception) -> str:
    """What a user is told of an error: a refusal of the system is theirs to mend, and what is left is ours."""
    if isinstance(error, LowlandError):
        return f"{error}"
    if isinstance(error, OSError):
        return _refusal(error)
    if isinstance(error, UnicodeEncodeError):
        part = error.object[max(0, error.start - 40) : error.end + 40]
        return f"{part!r} is not text in {error.encoding}: rename the file or folder of that name."
    what = f"{type(error).__name__}: {' '.join(str(error).split())}"
    if isinstance(error, MemoryError) or any(words in what for words in _TOO_LARGE):
        return f"The memory of this machine does not suffice: choose smaller options or data ({what[:200]})."
    return f"{what}. This is a bug of Lowland: please report it with {_keep(error)}."


_TOO_LARGE = ("can't allocate memory", "out of memory", "OutOfMemoryError")
"""What torch says where Python has its MemoryError."""


def _refusal(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "The disk is full: free some space. What was written before is intact."
    reason = error.strerror or str(error) or type(error).__name__
    if "temporary directory" in reason:
        return f"{reason}: set TMPDIR to a folder that can be written."
    if error.filename is None:
        return f"The system refused: {reason}."
    return f"{os.fsdecode(error.filename)} cannot be used: {reason}. Choose another folder."


def _keep(error: Exception) -> str:
    try:
        handle, name = tempfile.mkstemp(prefix="lowland-error-", suffix=".log")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines(traceback.format_exception(error))
    except OSError:
        return "what the same command shows with --debug"
    return name


def _parser() -> tuple[Parser, dict[str, Parser]]:
    top = Parser(
        prog="lowland", description=_about(), allow_abbrev=False, formatter_class=argparse.RawTextHelpFormatter
    )
    top.add_argument("--version", action="version", version=f"lowland {__version__}")
    top.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    kinds: dict[str, Parser] = {}

    def add(name: str, text: str, runs: bool = True, **settings: Any) -> Parser:
        parser = commands.add_parser(
            name, help=text, description=f"{text[0].upper()}{text[1:]}.", allow_abbrev=False, **settings
        )
        if runs:
            place = os.environ.get("LOWLAND_RUNS", "runs")
            parser.add_argument(
                "--runs", type=Path, default=Path(place), help="folder of all runs (default: %(default)s)"
            )
        kinds[name] = parser
        return parser

    parser = add("list", "show every recipe")
    parser.add_argument("--rows", action="store_true", help="show every system with its recipe and figures")
    parser = add(
        "run", "run a recipe and write its page", epilog="`lowland run NAME --help` shows the options of a recipe."
    )
    parser.add_argument("name", metavar="NAME", help="of the recipe, as in `lowland list`")
    parser.add_argument("--preset", help="smoke (seconds), cpu (default), gpu, or one of the recipe's own")
    parser.add_argument("--resume", metavar="RUN", help="go on with a run: its folder, or latest")
    parser = add("report", "build the page of a run again and print where it is")
    parser.add_argument("run", metavar="RUN", help="folder of a run, or name of a recipe for its newest")
    parser.add_argument("--open", action="store_true", help="open it in the browser")
    parser = add("data", "list, get and check data sets, or make one: motions, photos or traffic", runs=False)
    parser.add_argument("action", metavar="list|get|check|make", choices=("list", "get", "check", "make"))
    parser.add_argument("name", metavar="NAME", nargs="?", help="of the data set; motions, photos and traffic are made")
    parser.add_argument("--seed", type=int, help="make traffic: of the simulation (default: 0)")
    parser.add_argument("--minutes", type=float, help="make traffic: recorded (default: 8)")
    parser.add_argument("--count", type=int, help="make photos: pieces of sample photographs (default: 500)")
    parser.add_argument(
        "--out", type=Path, help="make: file or folder to write (default: motions, photos, traffic-SEED.npz)"
    )
    parser = add("pretrain", "learn an encoder from a folder of images or series, without labels", add_help=False)
    parser.add_argument("folder", metavar="FOLDER", nargs="?", help="of images, or of .npy or .csv series")
    parser = add("embed", "make vectors of the files in a folder by a pretrained encoder", runs=False)
    parser.add_argument("encoder", metavar="ENCODER", type=Path, help="encoder.safetensors of `lowland pretrain`")
    parser.add_argument("folder", metavar="FOLDER", help="of images, or of .npy or .csv series")
    parser.add_argument("--out", type=Path, default=Path("vectors.npy"), help=".npy or .parquet (default: %(default)s)")
    parser.add_argument(
        "--levels", type=float, nargs=2, default=(), metavar=("BLACK", "WHITE"),
        help="of pictures of more than 8 bits (default: those that the encoder learned from)",
    )  # fmt: skip
    parser = add("export", "export the energies or policies of a run, or a pretrained encoder, for use elsewhere")
    parser.add_argument(
        "run", metavar="RUN", help="folder of a run, name of a recipe for its newest, or a .safetensors file of it"
    )
    parser.add_argument("--to", metavar="|".join(FORMATS), required=True, choices=FORMATS)
    parser.add_argument("--energy", metavar="NAME", help="only this energy, or policy (default: all)")
    parser.add_argument("--part", metavar="PART", help="only a part of it that takes y, such as encoder")
    parser = add("check", "run the conformance tests on energies, solvers or shapings of your own", runs=False)
    parser.add_argument("plugin", metavar="FILE", help="that registers them: a file, a folder, or a module by name")
    parser.add_argument("--only", metavar="NAME", help="only the class of this name (default: all)")
    return top, kinds


def _about() -> str:
    return "Lowland: learn from observation, infer by relaxation, plan by descent."


def _dispatch(words: list[str], resume: list[str]) -> int:
    top, kinds = _parser()
    if not words:
        top.print_help()
        return 0
    if not words[0].startswith("-") and words[0] not in kinds:
        raise OptionError(f"There is no command {words[0]!r}. {nearest(words[0], kinds)}")
    if words[0] == "pretrain":
        words = _as_recipe(words)
    if words[0] == "run" and len(words) > 1 and not words[1].startswith("-") and {"-h", "--help"} & set(words):
        return _help(words[1])
    options, rest = top.parse_known_args(words)
    if options.command == "run":
        return _run(options, rest, resume)
    if rest:
        known = kinds[options.command].options
        raise OptionError(f"`lowland {options.command}` does not know {rest[0]!r}. {nearest(rest[0], known)}")
    commands = {"list": _list, "report": _report, "data": _data, "embed": _embed, "export": _export, "check": _check}
    return commands[options.command](options)


def _as_recipe(words: list[str]) -> list[str]:
    """`lowland pretrain FOLDER …` is `lowland run pretrain --folder FOLDER …`."""
    rest = words[1:]
    if rest and not rest[0].startswith("-"):
        rest = ["--folder", *rest]
    elif not {"-h", "--help", "--resume"} & {word.split("=")[0] for word in rest}:
        raise OptionError("`lowland pretrain` needs the FOLDER of your images or series, as its first word.")
    return ["run", "pretrain", *rest]


def _list(options: argparse.Namespace) -> int:
    from lowland.recipes.catalogue import catalogue
    from lowland.recipes.overview import overview

    if options.rows:
        lines = [
            (line.row.id, line.row.title, ", ".join(line.recipes) or "not yet", line.published, line.measured)
            for line in overview(options.runs)
        ]
        table({"id": None, "system": None, "recipe": 18, "published": None, "measured here": None}, lines)
        return 0
    entries = catalogue().values()
    lines = [(entry.name, entry.shows, " ".join(entry.rows), f"{entry.minutes:g}") for entry in entries]
    table({"recipe": None, "shows": None, "rows": 14, "minutes": None}, lines)
    return 0


def _run(options: argparse.Namespace, rest: list[str], resume: list[str]) -> int:
    from lowland.recipes import catalogue

    entry = catalogue.find(options.name)
    from lowland.recipes import base
    from lowland.reports.run import Run

    recipe = base.load(entry.name)
    folder, preset = None, options.preset or "cpu"
    if options.resume is None:
        default = recipe.preset(preset)
    else:
        if options.preset is not None:
            raise OptionError("A run is resumed with its own options: leave out --preset, or start a new run.")
        folder = options.runs / entry.name / "latest" if options.resume == "latest" else Path(options.resume)
        earlier = Run.open(folder)
        if earlier.config["recipe"] != entry.name:
            raise CheckpointError(f"{folder} is a run of {earlier.config['recipe']}, not of {entry.name}.")
        default = recipe.from_options(earlier.config["options"])
    config = _parse(recipe, default, rest)
    run = base.start(config, options.runs, preset, folder)
    # A folder that begins with a dash would be read as an option.
    resume.append(shell(["lowland", "run", entry.name, "--resume", re.sub("^-", "./-", str(run.folder))]))
    try:
        base.execute(config, run)
    except LowlandError as error:
        # What the options or the data lack, they lack again; and the same training fails at the same step.
        if isinstance(error, TrainingError):
            say(run.folder / "report.html")
            resume.clear()
        if not any((run.folder / "stages").rglob("*.safetensors")):
            resume.clear()
        raise
    resume.clear()
    say(run.folder / "report.html", *run.made)
    return 0


def _parse(recipe: type[Recipe], default: Recipe, words: list[str]) -> Recipe:
    """The recipe with the options of the command line, by tyro; its errors become one sentence."""
    import dataclasses

    import tyro

    name = recipe.entry.name
    known = {field.name.replace("_", "-"): field for field in dataclasses.fields(recipe)}
    for word in words:
        option = word[2:].split("=")[0].replace("_", "-")
        if word.startswith("--") and option not in known and option.removeprefix("no-") not in known:
            close = nearest(f"--{option}", [f"--{key}" for key in known])
            raise OptionError(f"The recipe {name} has no option --{option}. {close}")
    heard = io.StringIO()
    try:
        with contextlib.redirect_stderr(heard), contextlib.redirect_stdout(heard):
            return tyro.cli(recipe, args=words, default=default, prog=f"lowland run {name}")
    except SystemExit:
        # A title, a rule, the reason, a rule, and help that `--help` gives as well.
        blocks = [" ".join(block.split()) for block in re.split(r"^[^\w\n]*$", heard.getvalue(), flags=re.MULTILINE)]
        reason = next(iter([block for block in blocks if block][1:2]), f"{' '.join(words)} cannot be read").rstrip(".")
        reason = reason.removeprefix(f"Error parsing {recipe.__name__}: ")
        raise OptionError(f"{reason}. See `lowland run {name} --help`.") from None


def _help(name: str) -> int:
    from lowland.recipes import catalogue

    entry = catalogue.find(name)
    import tyro

    from lowland.recipes import base

    recipe = base.load(name)
    presets = "|".join(dict.fromkeys((*base.PRESETS, *recipe.presets)))
    shared = f"Also: --preset {presets}, --resume RUN|latest, --runs DIR, --debug."
    prog = "lowland pretrain FOLDER" if name == "pretrain" else f"lowland run {name}"
    tyro.cli(recipe, args=["--help"], prog=prog, description=f"{entry.shows} {shared}")
    return 0


def _folder(options: argparse.Namespace) -> Path:
    """The run that RUN names: a folder, or the newest of a recipe."""
    given = Path(options.run)
    for folder in (given, given / "latest", options.runs / options.run / "latest"):
        if options.run and (folder / "config.json").is_file():
            return folder
    if given.is_dir() and "/" in options.run:
        return given
    known = [path.parent.name for path in options.runs.glob("*/latest")]
    raise CheckpointError(
        f"There is no run {options.run!r}, neither as a folder nor in {options.runs}. {nearest(options.run, known)}"
    )


def _report(options: argparse.Namespace) -> int:
    folder = _folder(options)
    from lowland.reports.page import render

    path = render(folder)
    say(path)
    if options.open:
        import webbrowser

        webbrowser.open(path.resolve().as_uri())
    return 0


def _data(options: argparse.Namespace) -> int:
    from lowland import data

    made = {name: value for name in MADE if (value := getattr(options, name)) is not None}
    if made and options.action != "make":
        raise OptionError(f"`lowland data {options.action}` has no option --{next(iter(made))}: only make has it.")
    if options.action == "list":
        lines = [
            (d.name, d.what, d.size, d.licence, ", ".join(source.package for source in (d.source, *d.also)))
            for d in data.DATASETS.values()
        ]
        table({"data set": None, "what": None, "size": 14, "licence": 14, "package": 14}, lines)
        return 0
    if options.name is None:
        known = _MAKERS if options.action == "make" else data.DATASETS
        raise OptionError(f"`lowland data {options.action}` needs the name of a data set. {nearest('', known)}")
    if options.action == "make":
        return _make(options.name, **made)
    say(*data.get(options.name) if options.action == "get" else [data.check(options.name)])
    return 0


def _make(name: str, **given: Any) -> int:
    if name not in _MAKERS:
        raise OptionError(f"There is no data set {name!r} to make. {nearest(name, _MAKERS)}")
    takes = inspect.signature(_MAKERS[name]).parameters
    if unknown := [option for option in given if option not in takes]:
        raise OptionError(f"`lowland data make {name}` has no option --{unknown[0]}. {nearest('', takes)}")
    say(_MAKERS[name](**given))
    return 0


def _make_traffic(seed: int = 0, minutes: float = 8.0, out: Path | None = None) -> Path:
    from lowland.data.logs import save_tracks
    from lowland.data.simulate import simulate

    return save_tracks(simulate(seed, minutes), out or Path(f"traffic-{seed}.npz"))


def _make_motions(out: Path = Path("motions")) -> Path:
    from lowland.data.motions import sample_motions

    return sample_motions(out)


def _make_photos(count: int = 500, out: Path = Path("photos")) -> Path:
    from lowland.data.photos import sample_photos

    return sample_photos(out, count)


_MAKERS: dict[str, Callable[..., Path]] = {
    "motions": _make_motions,
    "photos": _make_photos,
    "traffic": _make_traffic,
}


def _check(options: argparse.Namespace) -> int:
    from lowland.conformance.check import check

    return 0 if check(options.plugin, options.only) else FAILURE


def _embed(options: argparse.Namespace) -> int:
    from lowland.reports.progress import Progress
    from lowland.training.vectors import embed_folder

    bar = Progress()
    bar.open("embed")
    try:
        written, data = embed_folder(options.encoder, options.folder, options.out, options.levels, bar.start)
    finally:
        bar.close()
    for note in (*data.notes, *(f"{file} {why}: it was left out." for file, why in data.skipped)):
        say(f"lowland: {note}", aside=True)
    say(*written)
    return 0


def _export_encoder(path: Path, options: argparse.Namespace) -> int:
    from lowland.training.encoder_files import export_encoder

    if options.energy is not None or options.part is not None:
        raise OptionError("An encoder is exported as a whole: leave out --energy and --part.")
    if options.to == "safetensors":
        raise OptionError(f"{path} is a safetensors file already, with encoder.py beside it to load it.")
    say(export_encoder(path, options.to))
    return 0


def _export_policies(kept: dict[str, Path], folder: Path, options: argparse.Namespace) -> int:
    from lowland.planning import load_policy
    from lowland.training.policy_export import export_policy

    wanted = None if options.energy is None else options.energy.replace(" ", "-")
    if options.part is not None:
        raise OptionError("A policy is exported as a whole: leave out --part.")
    if wanted is not None and wanted not in kept:
        raise OptionError(f"{options.run} keeps no policy called {options.energy!r}. {nearest(wanted, kept)}")
    written: list[Path] = []
    for name in kept if wanted is None else [wanted]:
        written += export_policy(load_policy(kept[name]), name, options.to, folder)
    print(*dict.fromkeys(written), sep="\n")
    return 0


def _policy_file(path: Path) -> bool:
    from lowland.planning.policy_files import KIND, policy_header

    with contextlib.suppress(CheckpointError):
        return policy_header(path).get("kind") == KIND
    return False


def _export(options: argparse.Namespace) -> int:
    from lowland.planning.policy_files import PREFIX, policy_files

    given = Path(options.run)
    if options.run == "shipped":
        return _export_policies(policy_files("shipped"), Path("exports"), options)
    if given.suffix == ".safetensors" and _policy_file(given):
        return _export_policies({given.stem.removeprefix(PREFIX): given}, given.parent / "exports", options)
    if given.suffix == ".safetensors" or (given / "encoder.safetensors").is_file():
        return _export_encoder(given if given.is_file() else given / "encoder.safetensors", options)
    folder = _folder(options)
    from lowland import training

    kept = {path.parent.name: path.parent for path in sorted(folder.glob("checkpoints/*/config.json"))}
    if not kept and (policies := policy_files(folder)):
        return _export_policies(policies, folder / "exports", options)
    if not kept and (encoder := folder / "encoder" / "encoder.safetensors").is_file():
        return _export_encoder(encoder, options)
    if not kept:
        raise CheckpointError(f"{folder} keeps no energy to export: its recipe saves none, or the run was cut short.")
    if options.energy is not None and options.energy not in kept:
        raise OptionError(f"{folder} keeps no energy called {options.energy!r}. {nearest(options.energy, kept)}")
    for name in kept if options.energy is None else [options.energy]:
        energy = training.load_energy(kept[name])
        module, example = _part(energy, options.part)
        path = folder / "exports" / (name if options.part is None else f"{name}-{options.part}")
        if options.to == "safetensors":
            written = training.export_safetensors(module, path.with_name(f"{path.name}.safetensors"))
        elif options.to == "onnx":
            written = training.export_onnx(module, example, path.with_name(f"{path.name}.onnx"))
        else:
            written = training.export_program(module, example, path.with_name(f"{path.name}.pt2"))
        say(written)
    return 0


def _part(energy: Energy, part: str | None) -> tuple[nn.Module, Any]:
    """An energy, or a part of it such as its encoder, with an input for two samples to export it by."""
    import torch

    example = {}
    for name, domain in energy.domains.items():
        normal = torch.randn(2, domain.size, generator=torch.Generator().manual_seed(0))
        example[name] = domain.unpack(domain.project(normal))
    if part is None:
        return energy, example
    parts = dict(energy.named_children())
    if part not in parts:
        raise OptionError(f"{type(energy).__name__} has no part {part!r}. {nearest(part, parts)}")
    return parts[part], example["y"]

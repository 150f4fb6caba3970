"""Kill commands at random moments, go on with them, and compare what they leave with a run that was never killed.

    python tests/kills.py [--kills 40] [--seed 0] [COMMAND ...]

A child is forked for each attempt, so that torch is imported once. Half of the kills come after a random time; the
other half at a random one of the moments at which a process opens, renames or makes a file: those that matter.
Prints a line for each command, and ends with 1 if one of them lost something.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lowland import cli
from lowland.checksums import read_json
from lowland.data.logs import save_tracks
from lowland.data.traffic import traffic
from lowland.files import fingerprint
from lowland.training.checkpoints import read_checkpoint

EVENTS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink"}
TIMED = {"environment.json", "status.json", "report.html"}
"""Files that hold times, process numbers, or the folder of the run."""
_MANY = 10**9
_moment: dict[str, Any] = {"left": 0, "under": ""}


def commands(folder: Path) -> dict[str, list[str]]:
    """Six commands of a few seconds each, on files of the user's and without; none has times among its results."""
    images = folder / "images"
    images.mkdir()
    generator = np.random.default_rng(0)
    from PIL import Image

    for number in range(40):
        pixels = generator.integers(0, 255, (20, 20, 3), np.uint8)
        Image.fromarray(pixels).save(images / f"{number}.png")
    log = traffic("test")[0]
    save_tracks(log.select(log.frame - log.frame.min() < 600), folder / "own.npz")
    small = "--size 16 --batch 16 --steps 4 --encoder-options maps=8,16".split()
    return {
        "pretrain": ["run", "pretrain", "--preset", "smoke"],
        "pretrain own": ["run", "pretrain", "--folder", str(images), *small],
        "ellipse": ["run", "ellipse", "--preset", "smoke"],
        "one-one-one": ["run", "one-one-one", "--preset", "smoke"],
        "log": ["run", "log", "--preset", "smoke", "--tracks", str(folder / "own.npz")],
        "likelihood-canyon": ["run", "likelihood-canyon", "--preset", "smoke"],
    }


def _count(event: str, arguments: tuple[Any, ...]) -> None:
    """Kill this process at one of the events below a folder."""
    if not _moment["left"] or event not in EVENTS or _moment["under"] not in str(arguments[0]):
        return
    if event == "open" and (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR) == 0:
        return
    _moment["left"] -= 1
    if not _moment["left"]:
        os.kill(os.getpid(), signal.SIGKILL)


def attempt(words: list[str], runs: Path, event: int = 0, seconds: float = 0.0) -> tuple[int | None, float]:
    """Run a command in a child that is killed at an event or after a time; its exit code, None where it was killed."""
    began, child = time.monotonic(), os.fork()
    if child == 0:
        with contextlib.suppress(BaseException), (runs / "said.txt").open("a") as said:
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
            _moment.update(left=event, under=str(runs / words[1]))
            code = cli.main([*words, "--runs", str(runs)])
            (runs / "events.txt").write_text(str(event - _moment["left"]))
            os._exit(code)
        os._exit(70)
    if seconds:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return (None if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)), time.monotonic() - began


def going_on(words: list[str], runs: Path) -> list[str]:
    """The command that goes on with the newest run; the command itself where there is none."""
    made = sorted(path for path in (runs / words[1]).glob("2*") if path.is_dir())
    return ["run", words[1], "--resume", str(made[-1])] if made else words


def kept(run: Path) -> dict[str, str]:
    """All files that a run leaves, each by what is in it apart from times."""
    found = {}
    for path in sorted(path for path in run.rglob("*") if path.is_file()):
        name = path.relative_to(run).as_posix()
        if "tensorboard" in name:
            continue  # each process appends events to a file of its own
        if path.name in TIMED:
            found[name] = "there"
        elif name.startswith("stages/"):
            tree = read_checkpoint(path)
            tree.pop("seconds")
            found[name] = fingerprint(tree)
        elif path.name in ("page.json", "values.json"):
            page = read_json(path)
            page.pop("seconds")
            found[name] = json.dumps(page, sort_keys=True).replace(str(run), "RUN")
        else:
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def compare(words: list[str], folder: Path, kills: int, rng: random.Random) -> dict[str, Any]:
    """How often a command was killed, and which of the files that it left are not those of an unbroken run."""
    whole, broken = folder / "whole", folder / "broken"
    whole.mkdir(parents=True)
    broken.mkdir()
    code, seconds = attempt(words, whole, _MANY)
    if code:
        return {"kills": 0, "lost": [f"the unbroken run ended with {code}: {(whole / 'said.txt').read_text()[-500:]}"]}
    events = int((whole / "events.txt").read_text())
    done: int = 0
    lost: list[str] = []
    while done < kills and not lost:
        at = {"event": rng.randint(1, events)} if rng.random() < 0.5 else {"seconds": rng.uniform(0.01, seconds)}
        code, _ = attempt(going_on(words, broken), broken, **at)
        done += code is None
        if code == 0:  # it was too quick to be killed: begin anew
            lost = _differing(kept(_newest(whole, words)), kept(_newest(broken, words)))
            _newest(broken, words).rename(broken / f"finished-{done}-{time.monotonic_ns()}")
        elif code is not None:
            lost = [f"ended with {code}: {(broken / 'said.txt').read_text()[-500:]}"]
    if not lost:
        code, _ = attempt(going_on(words, broken), broken)
        lost = [f"ended with {code}: {(broken / 'said.txt').read_text()[-500:]}"] if code else []
    return {"kills": done, "lost": lost or _differing(kept(_newest(whole, words)), kept(_newest(broken, words)))}


def _newest(runs: Path, words: list[str]) -> Path:
    return sorted(path for path in (runs / words[1]).glob("2*") if path.is_dir())[-1]


def _differing(first: dict[str, str], second: dict[str, str]) -> list[str]:
    return [name for name in sorted({*first, *second}) if first.get(name) != second.get(name)]


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def main(given: list[str] | None = None) -> int:
    """Kill commands and say what they lost."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(given)
    torch.set_num_threads(1)
    sys.addaudithook(_count)
    rng, failed = random.Random(options.seed), False
    with _folder() as folder:
        chosen = {n: w for n, w in commands(folder).items() if not options.names or n in options.names}
        for number, (name, words) in enumerate(chosen.items()):
            share = options.kills // len(chosen) + (number < options.kills % len(chosen))
            found = compare(words, folder / name.replace(" ", "-"), share, rng)
            print(json.dumps({"command": name, **found}), flush=True)
            failed |= bool(found["lost"])
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())

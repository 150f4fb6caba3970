"""Kill, stop and starve the workers and the centre of elastic averaging, and measure what the others notice of it.

    python -m lowland.evaluation.averaging_faults [--short] [--seed 0] [SCENE ...]

Processes are forked, so that torch is imported once, and ended by real signals. Each worker writes down when it made a
step. Prints a line for each scene, and ends with 1 if one of them missed its bound: no step of a survivor takes a
second more than usual, at least 95 % of the steps are made in a minute with eight kills, and the centre loses nothing
when it is ended by SIGTERM and started again.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lowland.errors import TrainingError
from lowland.files import fingerprint
from lowland.training.averaging import wire
from lowland.training.averaging.centre import Centre
from lowland.training.averaging.link import Link
from lowland.training.averaging.rules import Elastic, Outer, Rule

PAUSE = 0.02
"""Seconds of a step beside its computation: a machine of two cores has to carry all workers."""
BEAT, SILENCE = 0.25, 1.0
LONGEST = 1.0
SHARE = {False: 0.95, True: 0.85}
"""Of the steps, in the long storm and in the short one, of whose few seconds joining takes a larger part."""


class Stage:
    """A centre and workers in processes of their own, and the folder in which they write."""

    def __init__(self, folder: Path, rule: Rule, run: bool = True) -> None:
        self.folder, self.rule, self.run = folder, rule, run
        self.port = self.lives = self.workers = 0
        self.children: dict[int, int] = {}
        folder.mkdir()
        self.centre = self.open()

    def fork(self, play: Callable[..., None], *given: Any) -> int:
        child = os.fork()
        if child:
            self.children[child] = child
            return child
        try:
            play(*given)
        except BaseException:  # noqa: BLE001  the parent reports it
            os.write(2, traceback.format_exc().encode())
            os._exit(1)
        os._exit(0)

    def open(self) -> int:
        """Start the centre, at the port where it was before."""
        self.lives += 1
        child = self.fork(self.play_centre, self.lives)
        found = self.folder / f"begin-{self.lives}.json"
        wait_for(found.exists)
        self.port = json.loads(found.read_text())["port"]
        return child

    def play_centre(self, life: int) -> None:
        stop: list[int] = []
        signal.signal(signal.SIGTERM, lambda number, _: stop.append(number))
        run = self.folder / "run" if self.run else None
        with Centre(self.rule, self.port, run, silence=SILENCE, every=1.0) as centre:
            self.tell(centre, f"begin-{life}")
            while not stop:
                time.sleep(0.01)
        self.tell(centre, f"end-{life}")

    def tell(self, centre: Centre, name: str) -> None:
        held = centre._holding
        whole = fingerprint(held.x, held.state, held.steps, held.run)
        content = {"port": centre.port, "clock": centre.clock, "all": whole}
        (self.folder / "new").write_text(json.dumps(content))
        (self.folder / "new").rename(self.folder / f"{name}.json")

    def told(self, name: str) -> dict[str, Any]:
        return json.loads((self.folder / f"{name}.json").read_text())

    def work(self, alone: bool = False) -> int:
        """Start a worker, or a process that trains like one without a centre."""
        self.workers += 1
        return self.fork(self.play_worker, self.workers, alone)

    def play_worker(self, number: int, alone: bool) -> None:
        log = os.open(self.folder / f"{os.getpid()}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        generator = torch.Generator().manual_seed(number)
        model = nn.Sequential(nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1))
        optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, nesterov=True)
        y = torch.randn(32, 64, generator=generator)
        with Link(model, self.rule, None if alone else f"127.0.0.1:{self.port}") as link:
            copy = nn.Sequential(nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1))
            link.load_centre(copy)
            pairs = zip(model.parameters(), copy.parameters(), strict=True)
            far = max(float((mine - its).detach().abs().max()) for mine, its in pairs)
            os.write(log, f"# {far}\n".encode())
            while not (self.folder / "end").exists():
                told = time.monotonic(), link.meetings, link.members, link.clock, link.steps
                os.write(log, (" ".join(map(str, told)) + "\n").encode())
                optimiser.zero_grad()
                (model(y) - y[:, :1].sin()).square().mean().backward()
                link.step()
                optimiser.step()
                time.sleep(PAUSE)

    def log(self, child: int) -> torch.Tensor:
        """(steps, 5) of a worker: when, its meetings, the members that it was told, the clock, its age in steps."""
        lines = (self.folder / f"{child}.log").read_text().splitlines()
        rows = [[float(word) for word in line.split()] for line in lines if not line.startswith("#")]
        return torch.tensor([row for row in rows if len(row) == 5], dtype=torch.float64).reshape(-1, 5)

    def far(self, child: int) -> float:
        """How far a worker stood from the centre when it had joined."""
        return float((self.folder / f"{child}.log").read_text().split()[1])

    def finish(self, *children: int) -> list[torch.Tensor]:
        """Let the workers end; returns their logs."""
        (self.folder / "end").touch()
        for child in children:
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            del self.children[child]
            assert code == 0, code
        return [self.log(child) for child in children]

    def end(self, child: int, number: int) -> None:
        os.kill(child, number)
        os.waitpid(child, 0)
        del self.children[child]

    def close(self) -> None:
        for child in list(self.children):
            os.kill(child, signal.SIGCONT)
            self.end(child, signal.SIGKILL)


def wait_for(what: Callable[[], bool], seconds: float = 30.0) -> None:
    """Look until it is so."""
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.01)


def longest(log: torch.Tensor) -> float:
    """Seconds by which the longest step passes the usual one."""
    took = log[1:, 0] - log[:-1, 0]
    return float(took.max() - took.median())


def meetings(stage: Stage, *children: int) -> None:
    """Wait until each of these workers has met the centre some more times."""
    for child in children:
        wait_for((stage.folder / f"{child}.log").exists)
        before = float(stage.log(child)[-1:, 1].sum())
        wait_for(lambda child=child, before=before: float(stage.log(child)[-1:, 1].sum()) > before + 3)


def kill(stage: Stage, short: bool) -> dict[str, Any]:
    """SIGKILL of a worker; then another joins late."""
    first, second, third = (stage.work() for _ in range(3))
    meetings(stage, first, second, third)
    stage.end(second, signal.SIGKILL)
    time.sleep(1.0 if short else 10.0)
    late = stage.work()
    meetings(stage, late)
    logs = stage.finish(first, third, late)[:2]
    return {
        "longest": max(map(longest, logs)),
        "members": sorted({int(one) for log in logs for one in log[:, 2] if one > 0}),
        "late": stage.far(late),
    }


def stop(stage: Stage, short: bool) -> dict[str, Any]:
    """SIGSTOP of a worker for a while; it is not counted, and starts from the centre when it goes on."""
    first, second = stage.work(), stage.work()
    meetings(stage, first, second)
    began = time.monotonic()
    os.kill(second, signal.SIGSTOP)
    time.sleep(2.0 if short else 8.0)
    ended = time.monotonic()
    os.kill(second, signal.SIGCONT)
    meetings(stage, second, first)
    log, stopped = stage.finish(first, second)
    inside = log[(log[:, 0] > began + SILENCE + 0.5) & (log[:, 0] < ended)]
    back = stopped[stopped[:, 0] > ended]
    return {
        "longest": longest(log),
        "members": int(inside[:, 2].max()),
        "meetings": int(back[-1, 1] - back[0, 1]),
        "members_after": int(log[-1, 2]),
        "started_again": bool((back[1:, 4] - back[:-1, 4] > 1).any()),
    }


def away(stage: Stage, short: bool) -> dict[str, Any]:
    """The centre ends by SIGTERM, is away for a while, and goes on from what it has saved."""
    workers = [stage.work() for _ in range(2)]
    meetings(stage, *workers)
    stage.end(stage.centre, signal.SIGTERM)
    gone = time.monotonic()
    time.sleep(3.0 if short else 20.0)
    again = time.monotonic()
    stage.centre = stage.open()
    opened = time.monotonic()
    meetings(stage, *workers)
    logs = stage.finish(*workers)
    before, after = stage.told("end-1"), stage.told("begin-2")
    met = [log[log[:, 1] > log[log[:, 0] < again][-1, 1]] for log in logs]
    return {
        "longest": max(map(longest, logs)),
        "kept": before["all"] == after["all"] and before["clock"] == after["clock"] > 0,
        "back": max(float(log[0, 0]) - opened for log in met),
        "alone": min(int(((log[:, 0] > gone) & (log[:, 0] < again)).sum()) for log in logs),
    }


def crash(stage: Stage, short: bool) -> dict[str, Any]:
    """SIGKILL of the centre: what it did in the last second is lost, and the workers go on."""
    workers = [stage.work() for _ in range(2)]
    meetings(stage, *workers)
    time.sleep(1.5 if short else 10.0)
    stage.end(stage.centre, signal.SIGKILL)
    clock = max(int(stage.log(child)[-1, 3]) for child in workers)
    stage.centre = stage.open()
    meetings(stage, *workers)
    logs = stage.finish(*workers)
    return {"longest": max(map(longest, logs)), "clock": clock, "lost": clock - stage.told("begin-2")["clock"]}


def frozen(stage: Stage, short: bool) -> dict[str, Any]:
    """SIGSTOP of the centre: no step waits for it, and late answers are taken when they come."""
    worker = stage.work()
    meetings(stage, worker)
    os.kill(stage.centre, signal.SIGSTOP)
    time.sleep(2.0 if short else 8.0)
    os.kill(stage.centre, signal.SIGCONT)
    meetings(stage, worker)
    (log,) = stage.finish(worker)
    return {"longest": longest(log)}


def storm(stage: Stage, short: bool, rng: random.Random) -> dict[str, Any]:
    """Kills at random, eight a minute; each killed worker is followed by another.

    The share of steps is that which a second of a worker's life brings, from its fork on, compared with seconds without
    kills. A process that trains alone says by how much the machine itself was slower or quicker meanwhile.
    """
    calm, whole, kills = (2.0, 5.0, 2) if short else (10.0, 60.0, 8)
    control, living = stage.work(alone=True), [stage.work() for _ in range(3)]
    meetings(stage, control, *living)
    quiet = time.monotonic()
    began = quiet + calm
    until = began + whole
    born, died = dict.fromkeys(living, quiet), {}
    for moment in sorted(rng.uniform(began, until) for _ in range(kills)):
        time.sleep(max(0.0, moment - time.monotonic()))
        victim = living.pop(rng.randrange(len(living)))
        stage.end(victim, signal.SIGKILL)
        died[victim] = time.monotonic()
        living.append(stage.work())
        born[living[-1]] = time.monotonic()
    time.sleep(max(0.0, until - time.monotonic()))
    meetings(stage, *living)
    stage.finish(control, *living)
    logs = {child: stage.log(child) for child in born}

    def rate(start: float, end: float) -> float:
        """Steps in a second of a worker's life."""
        lived = sum(max(0.0, min(end, died.get(child, end)) - max(start, born[child])) for child in born)
        return sum(int(((log[:, 0] > start) & (log[:, 0] < end)).sum()) for log in logs.values()) / lived

    alone = stage.log(control)[:, 0]
    before, after = (float(((alone > a) & (alone < b)).sum()) / (b - a) for a, b in ((quiet, began), (began, until)))
    machine = after / before
    return {
        "longest": max(longest(log) for log in logs.values() if len(log) > 20),
        "kills": kills,
        "workers": len(born),
        "share": rate(began, until) / rate(quiet, began) / machine,
        "machine": machine,
        "steps_a_second": rate(quiet, began),
    }


RULES: dict[str, Rule] = {"away": Outer(period=5), "crash": Outer(period=5)}
SCENES = {"kill": kill, "stop": stop, "away": away, "crash": crash, "frozen": frozen, "storm": storm}


def faults(found: dict[str, Any], short: bool) -> list[str]:
    """What missed its bound."""
    missed = [] if found["longest"] <= LONGEST else [f"a step took {found['longest']:.2f} s more than usual"]
    if found.get("share", 1.0) < SHARE[short]:
        missed.append(f"only {found['share']:.1%} of the steps were made")
    if not found.get("kept", True):
        missed.append("the centre lost something over its own restart")
    return missed


def main(given: list[str] | None = None) -> int:
    """Play scenes and say what was missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("scenes", nargs="*", choices=[*SCENES, []])
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(given)
    torch.set_num_threads(1)
    wire.BEAT = BEAT
    for name in ("torch._dynamo", "lowland.training.checkpoints"):
        importlib.import_module(name)  # optimisers and centres bring them, which would take each process seconds
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        for name in options.scenes or SCENES:
            stage = Stage(Path(folder) / name, RULES.get(name, Elastic(period=5)))
            try:
                more = (random.Random(options.seed),) if name == "storm" else ()
                found = SCENES[name](stage, options.short, *more)
            finally:
                stage.close()
            missed = faults(found, options.short)
            sys.stdout.write(json.dumps({"scene": name, **found, "missed": missed}) + "\n")
            sys.stdout.flush()
            failed |= bool(missed)
    return int(failed)


def play_faults(short: bool = False, seed: int = 0) -> dict[str, dict[str, Any]]:
    """What each scene measured, by its name, from a fresh process.

    `longest`: seconds by which the longest step of a survivor passed the usual one; `missed`: bounds that were missed.

    Args:
        short: some seconds in place of some minutes.
        seed: of the moments at which workers are killed.

    Raises:
        TrainingError: where processes cannot be forked, or a scene could not be played.
    """
    if not hasattr(os, "fork"):
        raise TrainingError("Faults are played with forked processes, which this system does not have.")
    path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    words = ["--short"] if short else []
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "lowland.evaluation.averaging_faults", "--seed", str(seed), *words],
        env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = {line.pop("scene"): line for line in map(json.loads, done.stdout.splitlines())}
    if set(found) != set(SCENES):
        raise TrainingError(f"A fault could not be played: {' '.join(done.stderr.split()[-40:])}")
    return found


def fault_rows(short: bool = False, seed: int = 0) -> dict[str, dict[str, float]]:
    """The numbers of `play_faults` for a table: "longest" in seconds, "share" of steps in percent, "missed" bounds."""
    return {
        name: {"longest": one["longest"], "missed": len(one["missed"])}
        | ({"share": 100 * one["share"]} if "share" in one else {})
        for name, one in play_faults(short, seed).items()
    }


if __name__ == "__main__":
    sys.exit(main())

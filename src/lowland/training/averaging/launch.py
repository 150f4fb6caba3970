"""A centre for workers that torchrun has started: the first of them starts it as a process of its own.

It outlives the workers, also where torchrun starts all of them again because one died, and ends soon after the last.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from torch import distributed

from lowland.errors import TrainingError, UnsupportedError
from lowland.training.averaging import checks, rules, wire
from lowland.training.averaging.centre import Centre
from lowland.training.averaging.rules import Rule

_c10d: Any = distributed  # its stubs lack most of it
_STORE = "lowland/averaging"
_SOON, _LATE = 2.0, 60.0
"""Seconds that a centre stays after its last worker: where all have left, and where some may come back."""
_kept: list[subprocess.Popen[str]] = []
_asked = itertools.count()
"""Centres that this process has asked for: each run of a job has its own, which only a restart finds again."""


def under_torchrun() -> bool:
    """Whether torchrun has started this process as one of several."""
    names = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    return all(name in os.environ for name in names) and int(os.environ["WORLD_SIZE"]) > 1


def shared_centre(rule: Rule, timeout: float, run: str | Path | None = None) -> str:
    """The address of a centre for all processes of torchrun, which the first of them starts if it is not there yet.

    The address is told through torchrun's store, which listens at MASTER_ADDR and MASTER_PORT.

    Raises:
        TrainingError: if torchrun's store does not answer, or the centre does not start.
        UnsupportedError: for a rule that Lowland does not know.
    """
    place = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    number = next(_asked)
    life, last = f"{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}/{number}", f"last/{number}"
    try:
        store = _c10d.PrefixStore(_STORE, wire.find_store(*place, timeout))
        if os.environ["RANK"] != "0":
            store.wait([life], timedelta(seconds=max(timeout, _LATE)))
            return store.get(life).decode()
        address = store.get(last).decode() if store.check([last]) else ""
        if not address or not _answers(address):
            address = _started(rule, _host(place[0]), int(os.environ["WORLD_SIZE"]), run)
            store.set(last, address)
        store.set(life, address)
        return address
    except wire.LOST as error:
        if isinstance(error, TrainingError):
            raise
        raise TrainingError(
            f"The store of torchrun at {place[0]}:{place[1]} does not tell of a centre: see whether the first process "
            "still runs, or start a centre with `lowland centre` and give its address."
        ) from error


def _host(master: str) -> str:
    """Loopback, unless there are several machines."""
    alone = os.environ.get("LOCAL_WORLD_SIZE", "") == os.environ["WORLD_SIZE"]
    return "127.0.0.1" if alone else socket.gethostbyname(master)


def _answers(address: str) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(checks.parse_address(address), 1.0):
        return True
    return False


def _started(rule: Rule, host: str, workers: int, run: str | Path | None = None) -> str:
    """Start a process with a centre; returns its address."""
    if type(rule) is not getattr(rules, type(rule).__name__, None):
        raise UnsupportedError(
            f"Lowland cannot start a centre for a rule of your own, {type(rule).__name__}: make a Centre in a "
            "process, and give its address."
        )
    code = "from lowland.training.averaging.launch import main; main()"
    order = json.dumps({
        "rule": type(rule).__name__, "options": vars(rule), "host": host, "workers": workers,
        "run": None if run is None else str(run),
    })  # fmt: skip
    path = os.pathsep.join([str(Path(wire.__file__).parents[3]), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [sys.executable, "-c", code, order], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, start_new_session=True, env=os.environ | {"PYTHONPATH": path.rstrip(os.pathsep)},
    )  # fmt: skip
    _kept.append(process)
    said = process.stdout.readline().strip() if process.stdout is not None else ""
    if not said:
        why = process.communicate()[1].strip().splitlines()[-1:]
        raise TrainingError(f"The centre did not start: {' '.join(why)}")
    return said


def main() -> None:
    """The process of the centre. Its only argument is what `shared_centre` orders, as JSON."""
    order = json.loads(sys.argv[1])
    centre = Centre(getattr(rules, order["rule"])(**order["options"]), run=order["run"], host=order["host"])
    sys.stdout.write(f"{centre.address}\n")
    sys.stdout.flush()
    # Whoever waits for the end of the workers' output shall not wait for this process.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    heard = time.monotonic()
    while time.monotonic() - heard < (_SOON if centre.left >= order["workers"] else _LATE):
        time.sleep(0.1)
        if centre.members:
            heard = time.monotonic()
    centre.close()

"""Real processes over a real link that is slowed: network namespaces of Linux, one for each worker.

Each worker lives in a namespace of its own, and a token bucket (`tbf`) lets so many bits a second through its link, in
each direction. The centre is outside. This needs Linux, the tools `ip` and `tc` of iproute2, and root.

Shape letters: N numbers of a model.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import distributed, nn

from lowland.errors import OptionError, TrainingError, check_number
from lowland.training.averaging.centre import Centre
from lowland.training.averaging.link import Link
from lowland.training.averaging.rules import Elastic

_BURST, _WAIT = "8kb", "400ms"
_WARM = 3


class Timed(NamedTuple):
    """Seconds of a step over a slowed link.

    Attributes:
        period: τ of elastic averaging; 0 for an all-reduce of every gradient.
        seconds: the mean over steps and workers, of wall time.
        predicted: by the α–β model.
        compute: seconds of a step without any link, with as many workers at a time.
    """

    period: int
    seconds: float
    predicted: float
    compute: float

    @property
    def name(self) -> str:
        """As a page calls it.

        >>> Timed(10, 0.2, 0.2, 0.1).name, Timed(0, 0.3, 0.2, 0.1).name
        ('two processes, EASGD, τ = 10', 'two processes, all-reduce')
        """
        return f"two processes, EASGD, τ = {self.period}" if self.period else "two processes, all-reduce"

    @property
    def off(self) -> float:
        """By how many percent it took longer than predicted."""
        return 100 * (self.seconds / self.predicted - 1)


def not_here() -> str:
    """Why links cannot be slowed on this machine, as a sentence; empty if they can.

    >>> isinstance(not_here(), str)
    True
    """
    if sys.platform != "linux":
        return "Links can be slowed on Linux only."
    if missing := [tool for tool in ("ip", "tc") if shutil.which(tool) is None]:
        return f"Links are slowed by the tools of iproute2, but there is no {missing[0]} here: install iproute2."
    if os.geteuid():
        return "Only root may make network namespaces: run this as root, or in a container with NET_ADMIN."
    try:
        with _slowed(1, 1e6):
            return ""
    except TrainingError as error:
        return str(error)


def predicted(compute: float, size: int, members: int, bits: float, period: int, latency: float = 0.0) -> float:
    """Seconds of a step by the α–β model, with a link of its own for each worker.

    c + 2 (p − 1) (a + n / (p b)) for an all-reduce in a ring, and c + 2 (a + n / b) / τ for a centre that is waited
    for.

    Args:
        compute: c, seconds of computation.
        size: n in bytes.
        members: p.
        bits: of a link each second, 8 b.
        period: τ; 0 for the all-reduce.
        latency: a, seconds of a message.

    >>> predicted(0.01, 125_000, 2, 20e6, 0), predicted(0.01, 125_000, 2, 20e6, 10)
    (0.060000000000000005, 0.02)
    """
    if period:
        return compute + 2 * (latency + 8 * size / bits) / period
    return compute + 2 * (members - 1) * (latency + 8 * size / (members * bits))


def time_steps(
    numbers: int, periods: Sequence[int], members: int = 2, bits: float = 20e6, compute: float = 0.02, steps: int = 60
) -> list[Timed]:
    """Seconds of a step of real processes over slowed links: an all-reduce for τ = 0, else EASGD with a centre.

    A worker's computation is a wait of so many seconds, so that machines with few cores do not slow each other's; only
    what travels is measured. Steps are as many as hold two meetings at least.

    Args:
        numbers: N of the model, float32.
        periods: τ; 0 for an all-reduce.
        members: p.
        bits: of each link, a second, in each direction.
        compute: seconds of a step's computation.
        steps: of each worker, at least.

    Raises:
        OptionError: for values out of their range.
        TrainingError: where links cannot be slowed, with the reason, or a worker failed.
    """
    for name, value in (("numbers", numbers), ("members", members), ("steps", steps)):
        check_number(name, value, least=1, whole=True)
    check_number("bits", bits, above=0)
    check_number("compute", compute, least=0)
    if any(period < 0 for period in periods):
        raise OptionError(f"A period is at least 1, or 0 for an all-reduce, but they are {tuple(periods)}.")
    if reason := not_here():
        raise TrainingError(reason)
    found = []
    with _slowed(members, bits) as commands:
        for period in periods:
            # A whole number of meetings, two at least.
            count = period * max(2, math.ceil(steps / period)) if period else steps
            seconds = _run(commands, numbers, period, compute, count)
            alone = statistics.mean(one["compute"] for one in seconds)
            taken = statistics.mean(one["seconds"] for one in seconds)
            found.append(Timed(period, taken, predicted(alone, 4 * numbers, members, bits, period), alone))
    return found


def link_rows(numbers: int, periods: Sequence[int], bits: float) -> dict[str, dict[str, float]]:
    """What `time_steps` finds for two processes, with an all-reduce first: by `Timed.name`, for a table.

    "wall" and "model" in seconds, and by how many percent the first is longer, "off".
    """
    return {
        one.name: {"wall": one.seconds, "model": one.predicted, "off": one.off}
        for one in time_steps(numbers, (0, *periods), bits=bits)
    }


def _run(
    commands: Sequence[Sequence[str]], numbers: int, period: int, compute: float, steps: int
) -> list[dict[str, Any]]:
    order: dict[str, Any] = {"numbers": numbers, "period": period, "compute": compute, "steps": steps,
                             "members": len(commands), "first": f"tcp://{_net()}.10:29700"}  # fmt: skip
    with contextlib.ExitStack() as stack:
        if period:
            centre = stack.enter_context(Centre(Elastic(period), host=f"{_net()}.1"))
            order["centre"] = centre.address
        path = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
        environment = os.environ | {"GLOO_SOCKET_IFNAME": "eth0", "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
        code = "from lowland.evaluation.slow_link import main; main()"
        workers = [
            subprocess.Popen([*command, sys.executable, "-c", code, json.dumps(order | {"rank": rank})],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
            for rank, command in enumerate(commands)
        ]  # fmt: skip
        for worker in workers:
            stack.callback(worker.kill)
        said = [worker.communicate(timeout=600) for worker in workers]
    for worker, (_, wrong) in zip(workers, said, strict=True):
        if worker.returncode:
            raise TrainingError(f"A worker behind a slowed link failed: {' '.join(wrong.split()[-30:])}")
    return [json.loads(out.splitlines()[-1]) for out, _ in said]


def main() -> None:
    """A worker, inside its namespace. Its only argument is what `time_steps` orders, as JSON."""
    order = json.loads(sys.argv[1])
    torch.set_num_threads(1)
    model = nn.Linear(order["numbers"], 1, bias=False)
    flat = torch.zeros(order["numbers"])
    link = None
    if order["period"]:
        link = Link(model, Elastic(order["period"]), order["centre"], timeout=60.0)
    else:
        place = order["first"]
        distributed.init_process_group("gloo", init_method=place, rank=order["rank"], world_size=order["members"])
    computed, taken = [], []
    for step in range(order["steps"] + _WARM):
        began = time.perf_counter()
        time.sleep(order["compute"])
        middle = time.perf_counter()
        if link is None:
            distributed.all_reduce(flat)
        else:
            link.step()
        if step >= _WARM:
            computed.append(middle - began)
            taken.append(time.perf_counter() - began)
    sys.stdout.write(json.dumps({"seconds": statistics.mean(taken), "compute": statistics.mean(computed)}) + "\n")
    sys.stdout.flush()
    if link is not None:
        link.close()
    else:
        distributed.barrier()
        distributed.destroy_process_group()


@contextlib.contextmanager
def _slowed(members: int, bits: float) -> Iterator[list[list[str]]]:
    """Namespaces whose links let so many bits a second through: for each the command that runs another one in it."""
    own = os.getpid()
    bridge, rate = f"ll{own}", ("rate", f"{round(bits)}bit", "burst", _BURST, "latency", _WAIT)
    commands = []
    with contextlib.ExitStack() as made:

        def undo(*words: str) -> None:
            with contextlib.suppress(TrainingError):
                _do(*words)

        _do("ip link add", bridge, "type bridge")
        made.callback(undo, "ip link del", bridge)
        _do("ip addr add", f"{_net()}.1/24", "dev", bridge)
        _do("ip link set", bridge, "up")
        for k in range(members):
            name, port = f"lowland-{own}-{k}", f"ll{own}v{k}"
            _do("ip netns add", name)
            made.callback(undo, "ip netns del", name)
            _do("ip link add", port, "type veth peer name eth0 netns", name)
            _do("ip link set", port, "master", bridge, "up")
            _do("ip -n", name, "addr add", f"{_net()}.{10 + k}/24", "dev eth0")
            _do("ip -n", name, "link set eth0 up")
            _do("ip -n", name, "link set lo up")
            _do("tc qdisc add dev", port, "root tbf", *rate)
            _do("ip netns exec", name, "tc qdisc add dev eth0 root tbf", *rate)
            commands.append(["ip", "netns", "exec", name])
        yield commands


def _net() -> str:
    """A network of this process's own, so that two runs do not meet."""
    return f"10.77.{os.getpid() % 250 + 1}"


def _do(*words: str) -> None:
    command = " ".join(words).split()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = " ".join(done.stderr.split()) or f"it ended with {done.returncode}"
        raise TrainingError(f"Links cannot be slowed here, since `{' '.join(command)}` failed: {reason}")

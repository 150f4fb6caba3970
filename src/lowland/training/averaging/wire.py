"""The wire between a worker and a centre: a Gloo group of two ranks, found through the centre's TCPStore.

Only tensors travel. Each message is a header, `Header`, of which every field is checked, and then numbers in pieces
whose sizes both sides know from the header. There is neither authentication nor encryption, and Gloo ends the whole
process that receives more bytes than it expects: a centre belongs on loopback, or inside a tunnel.
"""

from __future__ import annotations

import dataclasses
import json
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed

from lowland.errors import OptionError, check_number

_c10d: Any = distributed  # its stubs lack most of it
VERSION = 1
BEAT = 1.0
"""Seconds from one sign of life of a worker to the next."""
GREET, MEET, READ, LIVE, LEAVE = range(5)
"""What a worker asks for."""
WAIT, SEED, START, KEEP, MET, REFUSED, CLOSED = range(10, 17)
"""What a centre answers: wait; send your numbers; start from these; go on from yours; met; no; closed before this."""
ODD_VERSION, ODD_SIZE, ODD_DTYPE, ODD_RULE, ODD_RUN, ODD_SHARD, NOT_FINITE = range(1, 8)
"""Why a centre refuses."""
DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
_MAGIC = 0x4C4F574C
_HELLO = "lowland/centre"
_KNOCKS = "lowland/knocks"
_PIECE = 2**22
"""Bytes that travel at once: each piece is a sign of life."""
LOST = (RuntimeError, OSError)
"""What a wire that breaks ends in."""


@dataclass
class Header:
    """What stands before the numbers, as int64; every version has the first three fields and sixteen of them in all.

    Args:
        kind: what is asked or answered.
        numbers: N of the whole model.
        dtype: place in `DTYPES`.
        rule: `rule_code`.
        run: 0 where it is not known yet.
        steps: of the worker, or the most that the centre has heard of.
        since: steps that the worker has made since their last meeting.
        base: what the centre gave as `steps` then.
        clock: meetings of the centre; in a worker's header, those at its last meeting, 0 for none.
        members: p.
        shard, shards: k of n.
        flag: of a worker, 1 where it wants the centre's numbers; of a centre, why it refuses.
    """

    magic: int = _MAGIC
    version: int = VERSION
    kind: int = LIVE
    numbers: int = 0
    dtype: int = 0
    rule: int = 0
    run: int = 0
    steps: int = 0
    since: int = 0
    base: int = 0
    clock: int = 0
    members: int = 0
    shard: int = 0
    shards: int = 1
    flag: int = 0
    spare: int = 0

    @property
    def age(self) -> int:
        """Steps of a worker, counted on from what the centre knew at their last meeting."""
        return self.base + self.since if self.clock else self.steps

    def tensor(self) -> Tensor:
        """The fields, (16,)."""
        return torch.tensor(dataclasses.astuple(self), dtype=torch.int64)


HEADER = len(dataclasses.fields(Header))


class Wire:
    """A group of two ranks: the centre is 0, a worker 1. Every wait ends after `timeout` seconds in an error of `LOST`.

    Args:
        store: of the centre.
        number: of the link.
        rank: 0 or 1.
        host: the own address that the other side reaches.
        timeout: seconds.
    """

    def __init__(self, store: Any, number: int, rank: int, host: str, timeout: float) -> None:
        options = _c10d.ProcessGroupGloo._Options()
        options._devices = [_c10d.ProcessGroupGloo.create_device(hostname=host)]
        options._threads = 1
        options._timeout = timedelta(seconds=timeout)
        place = _c10d.PrefixStore(f"lowland/link{number}", store)
        self._group = _c10d.ProcessGroupGloo(place, rank, 2, options)
        self._other = 1 - rank
        self.bytes = 0
        self.timeout = timeout

    def put(self, header: Header, numbers: Tensor | None = None, alive: Callable[[], None] | None = None) -> None:
        """Send a header, and numbers behind it. `alive` is called whenever a piece has gone."""
        self._send(header.tensor())
        for piece in () if numbers is None else _pieces(numbers):
            self._send(piece)
            if alive is not None:
                alive()

    def get(self, timeout: float | None = None) -> Header:
        """The next header.

        Raises:
            RuntimeError: if the other side is gone or silent, or what came is no header.
        """
        fields = torch.zeros(HEADER, dtype=torch.int64)
        self._receive(fields, timeout)
        header = Header(*fields.tolist())
        if header.magic != _MAGIC:
            raise RuntimeError("what came is no header of Lowland")
        return header

    def get_numbers(self, into: Tensor, alive: Callable[[], None] | None = None) -> Tensor:
        """Fill a tensor with the numbers that follow a header. `alive` is called whenever a piece has come."""
        for piece in _pieces(into):
            self._receive(piece, None)
            if alive is not None:
                alive()
        return into

    def _send(self, tensor: Tensor) -> None:
        self._group.send([tensor], self._other, 0).wait(timedelta(seconds=self.timeout))
        self.bytes += tensor.nbytes

    def _receive(self, tensor: Tensor, timeout: float | None) -> None:
        self._group.recv([tensor], self._other, 0).wait(timedelta(seconds=timeout or self.timeout))
        self.bytes += tensor.nbytes


def _pieces(numbers: Tensor) -> tuple[Tensor, ...]:
    return numbers.split(max(1, _PIECE // numbers.element_size()))


def open_store(host: str, port: int, hello: dict[str, str]) -> Any:
    """The store of a centre, at which workers knock. It listens at that address only.

    Raises:
        OptionError: if the port is in use, or the host is not one of this machine.
    """
    check_number("port", port, least=0, below=65536, whole=True)
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.create_server((host, port), family=family)
    except OSError as error:
        # Python adds the address to what the system says.
        code = error.errno or 0
        what = (os.strerror(code) if code > 0 else f"{error.strerror}").lower()
        raise OptionError(
            f"A centre cannot listen at {host}:{port}: {what}. Choose another port, or end the program that uses it."
        ) from error
    with listening:
        port = listening.getsockname()[1]
        store = _c10d.TCPStore(
            host, port, is_master=True, wait_for_workers=False, timeout=timedelta(seconds=30),
            master_listen_fd=listening.detach(),
        )  # fmt: skip
    store.set(_HELLO, json.dumps(hello))
    return store


def knocks(store: Any, more: int = 0) -> int:
    """How many workers have knocked at this store so far, after `more` of them do now."""
    return int(store.add(_KNOCKS, more))


def find_store(host: str, port: int, timeout: float) -> Any:
    """A connection to the store of a centre.

    Raises:
        RuntimeError: if there is none.
    """
    return _c10d.TCPStore(host, port, is_master=False, wait_for_workers=False, timeout=timedelta(seconds=timeout))


def reach(host: str, port: int, timeout: float) -> tuple[Wire, dict[str, str]]:
    """A wire to the centre at an address, and what it says of itself.

    Raises:
        RuntimeError, OSError: if there is none.
    """
    # A TCPStore would try for the whole time and fill the terminal.
    with socket.create_connection((host, port), min(timeout, 5.0)) as found:
        own = found.getsockname()[0]
    store = find_store(host, port, timeout)
    if not store.check([_HELLO]):
        raise RuntimeError("a store answers there, but no centre")
    try:
        hello = {str(name): str(text) for name, text in json.loads(store.get(_HELLO)).items()}
    except (ValueError, AttributeError):
        raise RuntimeError("a centre answers there, but not of this kind") from None
    return Wire(store, knocks(store, 1) - 1, 1, own, timeout), hello


def dtype_name(place: int) -> str:
    """The name of a dtype of a header."""
    return str(DTYPES[place]).removeprefix("torch.") if 0 <= place < len(DTYPES) else f"an unknown dtype ({place})"

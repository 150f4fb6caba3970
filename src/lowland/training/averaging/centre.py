"""The centre x̃ of elastic averaging: it meets each worker on a link of its own, so that none waits for another."""

from __future__ import annotations

import dataclasses
import logging
import secrets
import threading
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lowland.errors import CheckpointError, OptionError, check_number
from lowland.training.averaging import wire
from lowland.training.averaging.rules import Numbers, Rule
from lowland.training.averaging.wire import Header, Wire
from lowland.training.checkpoints import Checkpoints, write_checkpoint

_log = logging.getLogger(__name__)
_POLL = 0.03
_SEEDING = 0.5
"""Seconds for which an empty centre waits for a worker that is more advanced than the first."""
_DROPPED = 60.0
"""Seconds of silence after which a link is given up."""


@dataclasses.dataclass
class _Member:
    """What the centre knows of a link."""

    silence: float
    heard: float = 0.0
    away: bool = False

    def hear(self) -> None:
        now = time.monotonic()
        self.away |= self.silent(now)
        self.heard = now

    def alive(self) -> None:
        """A piece has gone or come: the link is slow, but lives."""
        self.heard = time.monotonic()

    def silent(self, now: float) -> bool:
        return now - self.heard > self.silence


class Centre:
    """Holds x̃ and meets workers, from the moment it is made until `close`.

    Each link has a thread. The lock is held for arithmetic only, never while bytes travel, so that a worker that is slow,
    stopped or dead holds nobody up. p counts the links that were heard within `silence` seconds; α = rate/p follows it.

    An empty centre gets its numbers from the worker with the most steps among those that come within half a second. A
    worker that joins later starts from the centre. One that comes back goes on from its own numbers, unless the others
    have meanwhile gone on by more than twice as many steps as it has, and two periods: then it starts from the centre.

    Everything that the centre keeps is written to `run` every few seconds and at the end, as checkpoints of the newest
    two states. A centre that is made with the same `run` goes on from there.

    Gloo, by which the numbers travel, knows neither authentication nor encryption: keep to loopback, or to a private
    network such as a tunnel.

    Args:
        rule: the same as that of the workers.
        port: 0 for any free one; see `address`.
        run: folder for what the centre keeps; None to keep nothing.
        host: address at which it listens.
        every: seconds from one snapshot to the next.
        shard: (k, n) for a centre that holds the k-th of n slices of the numbers.
        silence: seconds after which a silent worker is not counted. Workers give a sign of life every second.

    Raises:
        OptionError: if the port is in use, or the snapshot was written under another rule or shard.
        CheckpointError: if the snapshots are damaged.
        UnsupportedError: for a rule that is for analysis only.

    >>> from lowland.training.averaging.link import Link
    >>> from lowland.training.averaging.rules import Elastic
    >>> model = torch.nn.Linear(2, 1)
    >>> with Centre(Elastic(period=1)) as centre, Link(model, Elastic(period=1), centre.address) as link:
    ...     link.step(), link.members, centre.clock
    (True, 1, 1)
    """

    def __init__(
        self, rule: Rule, port: int = 0, run: str | Path | None = None, host: str = "127.0.0.1", every: float = 5.0,
        shard: tuple[int, int] = (0, 1), silence: float = 3.0,
    ) -> None:  # fmt: skip
        wire.check_rule(rule)
        check_number("every", every, above=0)
        check_number("silence", silence, above=wire.BEAT)
        check_number("The number of shards", shard[1], least=1, whole=True)
        check_number("The shard", shard[0], least=0, below=shard[1], whole=True)
        self.rule, self.host, self.every, self.shard, self.silence = rule, host, every, (shard[0], shard[1]), silence
        self.clock = self.steps = self.lost = self._code = self._size = self._dtype = self._saved = 0
        self._x: Tensor | None = None
        self._state: Numbers = {}
        self._rule = wire.rule_code(rule)
        self._changed = threading.Condition()
        self._members: dict[int, _Member] = {}
        self._waiting: dict[int, int] = {}
        self._seeding = False
        self._first = 0.0
        self._closing = threading.Event()
        name = "centre" if shard[1] == 1 else f"centre-{shard[0]}-of-{shard[1]}"
        self._kept = None if run is None else Checkpoints(Path(run) / name)
        self._load()
        self._store = wire.open_store(host, port, {"rule": f"{rule}"})
        self.port = self._store.port
        self._thread = threading.Thread(target=self._accept, name="centre", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """HOST:PORT for workers."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def members(self) -> int:
        """p, the workers that are linked and not silent."""
        now = time.monotonic()
        return sum(not member.silent(now) for member in list(self._members.values()))

    @property
    def empty(self) -> bool:
        """Whether no worker has given it numbers yet."""
        return self._x is None

    def numbers(self) -> Tensor:
        """A copy of x̃, or of the shard's slice of it.

        Raises:
            OptionError: if the centre is empty.
        """
        with self._changed:
            if self._x is None:
                raise OptionError("The centre is empty: the first worker will give it numbers.")
            return self._x.clone()

    def save(self) -> None:
        """Write a snapshot, if something has changed since the last.

        Raises:
            CheckpointError: if it cannot be written.
        """
        with self._changed:
            if self._kept is None or self._x is None or self._saved == self.clock + 1:
                return
            clock = self.clock
            tree = {
                "numbers": self._x.clone(), "state": {name: part.clone() for name, part in self._state.items()},
                "clock": clock, "steps": self.steps, "size": self._size, "run": self._code,
                "rule": f"{self.rule}", "shard": list(self.shard),
            }  # fmt: skip
        write_checkpoint(tree, self._kept.path(clock))
        self._kept.tidy()
        self._saved = clock + 1

    def close(self) -> None:
        """Meet nobody any more, write the last snapshot, and end.

        Raises:
            CheckpointError: if the snapshot cannot be written.
        """
        with self._changed:
            self._closing.set()
            self._changed.notify_all()
        self._thread.join()
        self.save()

    def __enter__(self) -> Centre:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _load(self) -> None:
        found = self._kept.latest() if self._kept is not None else None
        if found is None:
            return
        path, tree = found
        try:
            if tree["rule"] != f"{self.rule}" or tree["shard"] != list(self.shard):
                raise OptionError(
                    f"{path} was written by shard {tree['shard']} of a centre with {tree['rule']}, but this is shard "
                    f"{list(self.shard)} with {self.rule}: start it with the same, or choose another run."
                )
            x: Tensor = tree["numbers"]
            self._x, self._state = x, dict(tree["state"])
            self.clock, self.steps, self._size, self._code = (
                int(tree[name]) for name in ("clock", "steps", "size", "run")
            )
            self._dtype = wire.DTYPES.index(x.dtype)
        except (KeyError, ValueError, TypeError) as error:
            if isinstance(error, OptionError):
                raise
            raise CheckpointError(f"{path} is no snapshot of a centre: choose another run.") from error
        self._saved = self.clock + 1

    def _accept(self) -> None:
        seen, saved = 0, time.monotonic()
        while not self._closing.wait(_POLL):
            for number in range(seen, seen := wire.knocks(self._store)):
                threading.Thread(target=self._serve, args=(number,), name=f"link {number}", daemon=True).start()
            if time.monotonic() - saved > self.every:
                try:
                    self.save()
                except CheckpointError as error:
                    _log.warning("%s The centre goes on.", error)
                saved = time.monotonic()

    def _serve(self, number: int) -> None:
        try:
            link = Wire(self._store, number, 0, self.host, 20.0)
            member = _Member(self.silence, time.monotonic())
            _Attendant(self, link, number, member).run()
        except wire.LOST as error:
            self.lost += 1
            _log.info("Link %d is lost: %s", number, str(error).splitlines()[0])
        finally:
            with self._changed:
                self._members.pop(number, None)
                self._waiting.pop(number, None)
                self._changed.notify_all()


class _Attendant:
    """Serves one link."""

    def __init__(self, centre: Centre, link: Wire, number: int, member: _Member) -> None:
        self.centre, self.link, self.number, self.member = centre, link, number, member
        self.message = torch.empty(0)

    def run(self) -> None:
        while True:
            said = self.link.get(_DROPPED)
            self.member.hear()
            if self.centre._closing.is_set() or said.kind == wire.LEAVE:
                return
            if said.kind == wire.GREET:
                if not self.greet(said):
                    return
            elif said.kind == wire.MEET and len(self.message):
                if not self.meet(said):
                    return
            elif said.kind == wire.READ and len(self.message):
                self.link.put(self.header(wire.START), self.centre.numbers(), self.member.alive)
            elif said.kind != wire.LIVE:
                raise RuntimeError(f"a worker asked for {said.kind} at the wrong time")

    def header(self, kind: int, flag: int = 0) -> Header:
        centre = self.centre
        shard, shards = centre.shard
        return Header(
            kind=kind, numbers=centre._size, dtype=centre._dtype, rule=centre._rule, run=centre._code, shard=shard,
            shards=shards, steps=centre.steps, clock=centre.clock, members=max(1, centre.members), flag=flag,
        )  # fmt: skip

    def refuse(self, why: int) -> bool:
        self.link.put(self.header(wire.REFUSED, why))
        return False

    def odd(self, said: Header) -> int:
        """Why a worker does not fit this centre; 0 if it does."""
        centre = self.centre
        if said.version != wire.VERSION:
            return wire.ODD_VERSION
        if said.rule != centre._rule:
            return wire.ODD_RULE
        if (said.shard, said.shards) != centre.shard or said.numbers < 1:
            return wire.ODD_SHARD
        if not centre.empty:
            if said.numbers != centre._size:
                return wire.ODD_SIZE
            if said.dtype != centre._dtype:
                return wire.ODD_DTYPE
            if said.run not in (0, centre._code):
                return wire.ODD_RUN
        return 0

    def greet(self, said: Header) -> bool:
        centre = self.centre
        if why := self.odd(said) or (0 if 0 <= said.dtype < len(wire.DTYPES) else wire.ODD_DTYPE):
            return self.refuse(why)
        whole = wire.span(said.numbers, *centre.shard)
        self.message = torch.empty(whole.stop - whole.start, dtype=wire.DTYPES[said.dtype])
        seeded = self.chosen(said)
        if seeded:
            self.seed(said)
        if why := self.odd(said):
            return self.refuse(why)
        with centre._changed:
            start = not seeded and (said.flag or said.steps == 0 or self.older(said))
            centre.steps = max(centre.steps, 0 if start else _age(said))
            centre._members[self.number] = self.member
            self.member.away = False
            head = self.header(wire.START if start else wire.KEEP)
            numbers = centre.numbers() if start else None
        self.link.put(head, numbers, self.member.alive)
        return True

    def older(self, said: Header) -> bool:
        """Whether the others have left a worker behind."""
        if said.clock == 0:
            return said.steps < self.centre.steps
        return self.centre.steps - said.base > 2 * (said.since + self.centre.rule.period)

    def chosen(self, said: Header) -> bool:
        """Wait until the centre has numbers, or this worker is to give them."""
        centre = self.centre
        told = time.monotonic()
        with centre._changed:
            if centre.empty and not centre._waiting:
                centre._first = told
            centre._waiting[self.number] = _age(said)
        while True:
            with centre._changed:
                if not centre.empty or centre._closing.is_set():
                    centre._waiting.pop(self.number)
                    return False
                left = centre._first + _SEEDING - time.monotonic()
                best = max(centre._waiting, key=lambda number: (centre._waiting[number], -number))
                if left <= 0 and not centre._seeding and best == self.number:
                    centre._seeding = True
                    return True
                centre._changed.wait(max(left, 0.05))
            if time.monotonic() - told > wire.BEAT:
                told = time.monotonic()
                self.link.put(self.header(wire.WAIT))
                self.member.alive()

    def seed(self, said: Header) -> None:
        centre = self.centre
        try:
            self.link.put(self.header(wire.SEED))
            if self.link.get().kind != wire.SEED:
                raise RuntimeError("a worker that was to send its numbers sent something else")
            self.link.get_numbers(self.message, self.member.alive)
            if not _finite(self.message):
                self.refuse(wire.NOT_FINITE)
                raise RuntimeError("a worker sent numbers that are not finite")
            with centre._changed:
                centre._x, centre._size, centre._dtype = self.message.clone(), said.numbers, said.dtype
                centre._code = said.run or secrets.randbits(62) + 1
                centre.steps = _age(said)
        finally:
            with centre._changed:
                centre._seeding = False
                centre._changed.notify_all()

    def meet(self, said: Header) -> bool:
        centre = self.centre
        self.link.get_numbers(self.message, self.member.hear)
        if not _finite(self.message):
            return self.refuse(wire.NOT_FINITE)
        with centre._changed:
            if centre._closing.is_set():
                return False
            x: Any = centre._x
            if self.member.away and self.older(said):
                head, answer = self.header(wire.START), x.clone()
            else:
                head = self.header(wire.MET)
                answer = centre.rule.meet(x, self.message, centre._state, head.members)
                centre.clock += 1
                centre.steps = max(centre.steps, _age(said))
                head.clock, head.steps = centre.clock, centre.steps
            self.member.away = False
        self.link.put(head, answer, self.member.alive)
        return True


def _age(said: Header) -> int:
    """Steps of a worker, counted on from what the centre knew at their last meeting."""
    return said.base + said.since if said.clock else said.steps


def _finite(numbers: Tensor) -> bool:
    """Whether all numbers are finite, and so far from the largest that a sum of some is finite as well."""
    return bool(numbers.abs().max() < torch.finfo(numbers.dtype).max ** 0.9)

"""The thread of a centre that serves one worker."""

from __future__ import annotations

import threading
import time

import torch
from torch import Tensor

from lowland.training.averaging import checks, wire
from lowland.training.averaging.holding import Holding, finite
from lowland.training.averaging.wire import Header, Wire

_SEEDING = 0.5
"""Seconds for which an empty centre waits for a worker that is more advanced than the first."""
_DROPPED = 60.0
"""Seconds of silence after which a link is given up."""


class Member:
    """When a link was last heard.

    Args:
        silence: seconds after which it is not counted.
    """

    def __init__(self, silence: float) -> None:
        self.silence = silence
        self.heard = time.monotonic()
        self.away = False

    def hear(self) -> None:
        """Something has come. A member that was silent has been away until its next meeting."""
        self.away |= self.silent
        self.alive()

    def alive(self) -> None:
        """A part of an answer has gone: the link may be slow, but lives."""
        self.heard = time.monotonic()

    @property
    def silent(self) -> bool:
        return time.monotonic() - self.heard > self.silence


class Roll:
    """Who is linked with a centre, and who waits for it to have numbers; changed under the centre's lock.

    Args:
        silence: seconds after which a member is not counted.
    """

    def __init__(self, silence: float) -> None:
        self.silence = silence
        self.members: dict[int, Member] = {}
        self.waiting: dict[int, int] = {}
        self.seeding = False
        self.first = 0.0
        self.closing = threading.Event()

    def count(self) -> int:
        """p, the members that are not silent."""
        return sum(not member.silent for member in list(self.members.values()))


class Attendant:
    """Serves one link until the worker leaves, is refused or is lost; then `run` returns or raises an error of `LOST`.

    Args:
        holding: what the centre holds.
        roll: of the links.
        link: the wire to the worker.
        number: of the link.
    """

    def __init__(self, holding: Holding, roll: Roll, link: Wire, number: int) -> None:
        self.holding, self.roll, self.link, self.number = holding, roll, link, number
        self.member = Member(roll.silence)
        self.message = torch.empty(0)

    def run(self) -> bool:
        """Answer whatever the worker asks; returns whether it left by itself."""
        going = True
        while going:
            said = self.link.get(_DROPPED)
            self.member.hear()
            greeted = len(self.message) > 0
            if said.kind == wire.LEAVE:
                return True
            if self.roll.closing.is_set() and said.kind != wire.MEET:
                return False
            if said.kind == wire.GREET and not greeted:
                going = self.greet(said)
            elif said.kind == wire.MEET and greeted:
                going = self.meet(said)
            elif said.kind == wire.READ and greeted:
                with self.holding.changed:
                    head, numbers = self.header(wire.START), self.holding.held.clone()
                self.link.put(head, numbers, self.member.alive)
            elif said.kind != wire.LIVE:
                raise RuntimeError(f"a worker asked for {said.kind} at the wrong time")
        return False

    def header(self, kind: int, flag: int = 0) -> Header:
        """An answer, with the centre's clocks."""
        held = self.holding
        shard, shards = held.shard
        return Header(
            kind=kind, numbers=held.size, dtype=held.dtype, rule=held.code, run=held.run, steps=held.steps,
            clock=held.clock, members=max(1, self.roll.count()), shard=shard, shards=shards, flag=flag,
        )  # fmt: skip

    def refuse(self, why: int) -> bool:
        """Tell the worker why it is refused."""
        self.link.put(self.header(wire.REFUSED, why))
        return False

    def odd(self, said: Header) -> int:
        """Why a worker does not fit this centre; 0 if it does."""
        held = self.holding
        if said.version != wire.VERSION:
            return wire.ODD_VERSION
        if said.rule != held.code:
            return wire.ODD_RULE
        if (said.shard, said.shards) != held.shard or said.numbers < 1:
            return wire.ODD_SHARD
        if not 0 <= said.dtype < len(wire.DTYPES):
            return wire.ODD_DTYPE
        if held.x is None:
            return 0
        if said.numbers != held.size:
            return wire.ODD_SIZE
        if said.dtype != held.dtype:
            return wire.ODD_DTYPE
        return wire.ODD_RUN if said.run not in (0, held.run) else 0

    def greet(self, said: Header) -> bool:
        """Take a worker in; returns whether it fits."""
        if why := self.odd(said):
            return self.refuse(why)
        whole = checks.span(said.numbers, *self.holding.shard)
        message = torch.empty(whole.stop - whole.start, dtype=wire.DTYPES[said.dtype])
        seeds = self.chosen(said.age)
        if seeds and not self.seed(said, message):
            return False
        if why := self.odd(said):
            return self.refuse(why)
        with self.holding.changed:
            if self.holding.x is None:
                return False
            self.message = message
            start = not seeds and bool(said.flag or said.steps == 0 or self.older(said))
            if not start:
                self.holding.steps = max(self.holding.steps, said.age)
            self.roll.members[self.number] = self.member
            self.member.away = False
            head = self.header(wire.START if start else wire.KEEP)
            numbers = self.holding.x.clone() if start else None
        self.link.put(head, numbers, self.member.alive)
        return True

    def older(self, said: Header) -> bool:
        """Whether the others have left a worker behind."""
        if said.clock == 0:
            return said.steps < self.holding.steps
        return self.holding.steps - said.base > 2 * (said.since + self.holding.rule.period)

    def chosen(self, age: int) -> bool:
        """Wait until the centre has numbers, or this worker is the one to give them."""
        roll, changed, told = self.roll, self.holding.changed, time.monotonic()
        with changed:
            roll.first = roll.first if roll.waiting else told
            roll.waiting[self.number] = age
        while True:
            with changed:
                if self.holding.x is not None or roll.closing.is_set():
                    del roll.waiting[self.number]
                    return False
                left = roll.first + _SEEDING - time.monotonic()
                best = max(roll.waiting, key=lambda number: (roll.waiting[number], -number))
                if left <= 0 and not roll.seeding and best == self.number:
                    roll.seeding = True
                    return True
                changed.wait(max(left, 0.05))
            if time.monotonic() - told > wire.BEAT:
                told = time.monotonic()
                self.link.put(self.header(wire.WAIT), alive=self.member.alive)

    def seed(self, said: Header, message: Tensor) -> bool:
        """Get the numbers of the chosen worker; returns whether they are finite."""
        try:
            self.link.put(self.header(wire.SEED))
            if self.link.get().kind != wire.SEED:
                raise RuntimeError("a worker that was to send its numbers sent something else")
            self.link.get_numbers(message, self.member.alive)
            if not finite(message):
                return self.refuse(wire.NOT_FINITE)
            self.holding.seed(message, said)
            return True
        finally:
            with self.holding.changed:
                self.roll.seeding = False
                self.roll.waiting.pop(self.number, None)
                self.holding.changed.notify_all()

    def meet(self, said: Header) -> bool:
        """One meeting; returns whether the link goes on."""
        self.link.get_numbers(self.message, self.member.hear)
        if not finite(self.message):
            return self.refuse(wire.NOT_FINITE)
        with self.holding.changed:
            closing = self.roll.closing.is_set()
            members = max(1, self.roll.count())
            if closing:
                kind, answer = wire.CLOSED, None
            elif self.member.away and self.older(said):
                kind, answer = wire.START, self.holding.held.clone()
            else:
                kind, answer = wire.MET, self.holding.meet(self.message, said.age, members)
            self.member.away = False
            head = self.header(kind)
            head.members = members
        self.link.put(head, answer, self.member.alive)
        return not closing

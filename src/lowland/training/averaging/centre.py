"""The centre x̃ of elastic averaging: it meets each worker on a link of its own, so that none waits for another."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

from torch import Tensor

from lowland.errors import CheckpointError, OptionError, ShapeError, check_number
from lowland.training.averaging import checks, wire
from lowland.training.averaging.attendant import Attendant, Roll
from lowland.training.averaging.holding import Holding
from lowland.training.averaging.rules import Rule
from lowland.training.averaging.wire import Wire

_log = logging.getLogger(__name__)
_POLL = 0.03
_TIMEOUT = 20.0
"""Seconds for a piece of a message to travel."""


class Centre:
    """Holds x̃ and meets workers, from the moment it is made until `close`.

    Each link has a thread. The lock is held for arithmetic only, never while bytes travel, so that a worker that is
    slow, stopped or dead holds nobody up. p counts the links that were heard within `silence` seconds; α = rate/p
    follows it.

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
        host: address at which it listens; workers of other machines must reach it.
        every: seconds from one snapshot to the next.
        shard: (k, n) for a centre that holds the k-th of n slices of the numbers, counted from 0.
        silence: seconds after which a silent worker is not counted. Workers give a sign of life every second.

    Attributes:
        port: at which it listens.
        left, lost: links that ended well, and that broke or were refused.

    Raises:
        OptionError: if it cannot listen there, or the snapshot was written under another rule or shard.
        CheckpointError: if all snapshots are damaged.
        UnsupportedError: for a rule that is for analysis only.

    >>> from torch import nn
    >>> from lowland.training.averaging.link import Link
    >>> from lowland.training.averaging.rules import Elastic
    >>> model, rule = nn.Linear(2, 1), Elastic(period=1)
    >>> with Centre(rule) as centre, Link(model, rule, centre.address) as link:
    ...     link.step(), link.members, centre.clock
    (True, 1, 1)
    """

    def __init__(
        self, rule: Rule, port: int = 0, run: str | Path | None = None, host: str = "127.0.0.1", every: float = 5.0,
        shard: tuple[int, int] = (0, 1), silence: float = 3.0,
    ) -> None:  # fmt: skip
        checks.check_rule(rule)
        check_number("every", every, above=0)
        check_number("silence", silence, above=wire.BEAT)
        check_number("The number of shards", shard[1], least=1, whole=True)
        check_number("The shard", shard[0], least=0, below=shard[1], whole=True)
        if host in ("", "0.0.0.0", "::"):
            raise OptionError("A centre listens at one address that workers reach: give it as host, such as 10.0.0.5.")
        self.rule, self.host, self.every = rule, host, every
        self.left = self.lost = 0
        self._holding = Holding(rule, (int(shard[0]), int(shard[1])), run)
        self._roll = Roll(silence)
        self._store = wire.open_store(host, port, {"rule": f"{rule}"})
        self.port = int(self._store.port)
        self._links: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._accept, name="centre", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """HOST:PORT for workers."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def clock(self) -> int:
        """Meetings so far."""
        return self._holding.clock

    @property
    def steps(self) -> int:
        """The most steps that a worker has made."""
        return self._holding.steps

    @property
    def members(self) -> int:
        """p, the workers that are linked and not silent."""
        return self._roll.count()

    @property
    def empty(self) -> bool:
        """Whether no worker has given it numbers yet."""
        return self._holding.x is None

    def numbers(self) -> Tensor:
        """A copy of x̃, or of the shard's slice of it.

        Raises:
            OptionError: if the centre is empty.
        """
        with self._holding.changed:
            return self._holding.held.clone()

    def save(self) -> None:
        """Write a snapshot, if something has changed since the last.

        Raises:
            CheckpointError: if it cannot be written.
        """
        self._holding.save()

    def close(self) -> None:
        """Meet nobody any more, write the last snapshot, and end.

        Raises:
            CheckpointError: if the snapshot cannot be written.
        """
        with self._holding.changed:
            self._roll.closing.set()
            self._holding.changed.notify_all()
        self._thread.join()
        self._store = None
        self._holding.save()
        # Each worker that lives says something within a beat, and is told that its message does not count.
        until = time.monotonic() + 1.5 * wire.BEAT
        for link in self._links:
            link.join(max(0.0, until - time.monotonic()))

    def __enter__(self) -> Centre:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        seen, saved = 0, time.monotonic()
        while not self._roll.closing.wait(_POLL):
            for number in range(seen, seen := wire.knocks(self._store)):
                link = threading.Thread(target=self._serve, args=(number,), name=f"link {number}", daemon=True)
                self._links = [*(one for one in self._links if one.is_alive()), link]
                link.start()
            if time.monotonic() - saved > self.every:
                try:
                    self.save()
                except CheckpointError as error:
                    _log.warning("%s The centre goes on without.", error)
                saved = time.monotonic()

    def _serve(self, number: int) -> None:
        try:
            # A store lets one caller in at a time, also while it waits for a worker that died after it knocked.
            own = wire.find_store(self.host, self.port, _TIMEOUT)
            served = Attendant(self._holding, self._roll, Wire(own, number, 0, self.host, _TIMEOUT), number).run()
            self.left, self.lost = self.left + served, self.lost + (not served)
        except (*wire.LOST, ShapeError) as error:
            self.lost += 1
            _log.info("Link %d is lost: %s", number, str(error).partition("\n")[0])
        finally:
            with self._holding.changed:
                self._roll.members.pop(number, None)
                self._roll.waiting.pop(number, None)
                self._holding.changed.notify_all()

"""The thread of a link that talks to one centre, or one shard of it, and finds it again when it is lost."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from dataclasses import dataclass, field

from torch import Tensor

from lowland.training.averaging import wire
from lowland.training.averaging.wire import Header, Wire

_PAUSE = 0.25
"""Seconds from one look for a lost centre to the next."""

_GREETING = 5.0
"""Seconds for an answer to a greeting at least: an empty centre waits for other workers."""


@dataclass
class Job:
    """Something to ask a centre.

    Args:
        ask: the header.
        message: numbers to send, which nobody changes.
        answer: filled with the numbers that come.
        reply: the header that came; None where the centre was lost.
        sent: whether the message of a meeting has gone, so that the centre may have got all of it.
        seeded: whether the message became the centre's numbers.
        done: set when all has come, or nothing will.
    """

    ask: Header
    answer: Tensor
    message: Tensor | None = None
    reply: Header | None = None
    sent: bool = False
    seeded: bool = False
    done: threading.Event = field(default_factory=threading.Event)


class Strand:
    """Carries out one job after another, gives signs of life between them, and reconnects.

    Args:
        host, port: of the centre.
        timeout: seconds without an answer after which the centre counts as lost.
    """

    def __init__(self, host: str, port: int, timeout: float) -> None:
        self.host, self.port, self.timeout = host, port, timeout
        self.ready = self.greeted = False
        self.usual = 0.0
        self.said: dict[str, str] = {}
        self._bytes = 0
        self._wire: Wire | None = None
        self._closing = threading.Event()
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=f"link to {self.address}", daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return f"{self.host}:{self.port}"

    @property
    def bytes(self) -> int:
        """Sent and received so far."""
        return self._bytes + (0 if (link := self._wire) is None else link.bytes)

    def ask(self, job: Job) -> Job:
        """Queue a job; it is done, well or not, before the next."""
        self._jobs.put(job)
        return job

    def close(self) -> None:
        """Leave the centre and end."""
        self._closing.set()
        self._jobs.put(None)

    def join(self, seconds: float) -> None:
        """Wait until the thread has ended, but not for ever: it may wait for a stopped centre."""
        self._thread.join(seconds)

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                self._wire, self.said = wire.reach(self.host, self.port, self.timeout)
                self.ready = True
                self._serve(self._wire)
            except wire.LOST:
                pass
            finally:
                self.ready = self.greeted = False
                self._bytes, self._wire = self.bytes, None
                self._drop_jobs()
            self._closing.wait(_PAUSE)

    def _drop_jobs(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                if (job := self._jobs.get_nowait()) is not None:
                    job.done.set()

    def _serve(self, link: Wire) -> None:
        while True:
            try:
                job = self._jobs.get(timeout=wire.BEAT)
            except queue.Empty:
                link.put(Header(kind=wire.LIVE))
                continue
            if job is None:
                link.put(Header(kind=wire.LEAVE))
                return
            try:
                self._do(link, job)
            finally:
                job.done.set()

    def _do(self, link: Wire, job: Job) -> None:
        if self.greeted == (job.ask.kind == wire.GREET):
            return
        began = time.monotonic()
        link.put(job.ask, job.message if job.ask.kind == wire.MEET else None)
        job.sent = job.ask.kind == wire.MEET
        patience = max(self.timeout, _GREETING) if job.ask.kind == wire.GREET else self.timeout
        while (reply := link.get(patience)).kind in (wire.WAIT, wire.SEED):
            if reply.kind == wire.SEED and job.message is not None:
                link.put(Header(kind=wire.SEED), job.message)
                job.seeded = True
        if reply.kind in (wire.START, wire.MET):
            link.get_numbers(job.answer)
        self.greeted = reply.kind != wire.REFUSED
        job.reply = reply
        if job.sent:
            took = time.monotonic() - began
            # One long wait, such as that for a stopped centre, is not usual.
            self.usual = 0.8 * self.usual + 0.2 * min(took, 2 * self.usual + 0.1) if self.usual else took

"""What a link keeps for one shard of the centre, and what it does with the answers of that shard."""

from __future__ import annotations

import dataclasses
import logging

import torch
from torch import Tensor

from lowland.errors import TrainingError
from lowland.training.averaging import wire
from lowland.training.averaging.refusals import refusal
from lowland.training.averaging.rules import Numbers, Rule
from lowland.training.averaging.strand import Job, Strand
from lowland.training.averaging.wire import Header

_log = logging.getLogger(__name__)


class Part:
    """A slice of a model's numbers, its way to the centre, and its memory.

    Args:
        rule: of the link.
        strand: to the shard.
        where: the slice.
        about: what headers say of the model, the rule and the shard.
    """

    def __init__(self, rule: Rule, strand: Strand, where: slice, about: Header) -> None:
        self.rule, self.strand, self.where, self.about = rule, strand, where, about
        self.memory: Numbers = {}
        self.pending: Job | None = None
        self.next = rule.period
        self.since = self.base = self.clock = self.run = 0
        self.joined = self.unsure = False
        self._at = torch.empty(0)
        probe: Numbers = {}
        rule.join(torch.zeros(1), probe)
        self._remembers = bool(probe)

    def tick(self) -> None:
        """Count a step of the worker."""
        self.since += 1
        self.next -= 1

    @property
    def due(self) -> bool:
        """Whether there is something to send, and a centre to take it."""
        return self.pending is None and self.strand.ready and (self.next <= 0 or not self.strand.greeted)

    @property
    def unknown(self) -> bool:
        """Whether there is a centre that was not greeted yet."""
        return self.pending is None and self.strand.ready and not self.strand.greeted

    def ask(self, x: Tensor, steps: int) -> None:
        """Send a greeting, or a message that the rule makes of x, the numbers of the whole model."""
        self._at = x[self.where]
        kind, message = wire.GREET, self._at
        if self.strand.greeted:
            kind, message = wire.MEET, self.rule.message(self._at, self.memory)
            self.next = self.rule.period
        self.pending = self.strand.ask(Job(self._header(kind, steps), torch.empty_like(self._at), message))

    def read(self, steps: int) -> Job:
        """Ask for the numbers of the centre."""
        return self.strand.ask(Job(self._header(wire.READ, steps), torch.empty_like(self._at)))

    def done(self) -> Job | None:
        """The job that was answered since the last call, if there is one; one that was not leaves a doubt."""
        if self.pending is None or not self.pending.done.is_set():
            return None
        job, self.pending = self.pending, None
        if job.reply is None or job.reply.kind == wire.CLOSED:
            self.unsure |= job.reply is None and job.sent
            return None
        return job

    def apply(self, job: Job, reply: Header, x: Tensor) -> bool:
        """Apply an answer to x, the numbers of this part; returns whether it was a meeting.

        Raises:
            TrainingError: if the centre has refused.
        """
        if reply.kind == wire.REFUSED:
            raise TrainingError(refusal(self.strand.address, self.rule, job.ask, reply, self.strand.said))
        if reply.kind == wire.MET:
            self.rule.take(x, self._at, job.answer, self.memory, reply.members)
        elif reply.kind == wire.START:
            if job.ask.steps > 0 and reply.shard == 0:
                _log.warning(
                    "The worker, after %d steps, starts from the centre at %s, which knows of %d.",
                    job.ask.steps, self.strand.address, reply.steps,
                )  # fmt: skip
            x.copy_(job.answer)
            self._join(job.answer)
        elif job.seeded or not self.joined:
            self._join(self._at)
        self.joined = True
        self.base, self.run, self.clock = reply.steps, reply.run, reply.clock
        self.since -= job.ask.since
        return reply.kind == wire.MET

    def _join(self, centre: Tensor) -> None:
        self.rule.join(centre, self.memory)
        self.unsure = False

    def _header(self, kind: int, steps: int) -> Header:
        wants = self._remembers and (self.unsure or not self.joined)
        return dataclasses.replace(
            self.about, kind=kind, run=self.run, steps=steps, since=self.since, base=self.base, clock=self.clock,
            flag=int(wants),
        )  # fmt: skip

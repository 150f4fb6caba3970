"""A worker's side of elastic averaging: one call in a training loop, which goes on alone where no centre answers."""

from __future__ import annotations

import dataclasses
import time
import weakref
from collections.abc import Sequence
from pathlib import Path

from torch import nn

from lowland.errors import OptionError, ShapeError, TrainingError, check_number
from lowland.training.averaging import checks, wire
from lowland.training.averaging.centre import Centre
from lowland.training.averaging.flat import Flat
from lowland.training.averaging.launch import shared_centre, under_torchrun
from lowland.training.averaging.part import Part
from lowland.training.averaging.rules import Rule, check_buffers
from lowland.training.averaging.strand import Strand
from lowland.training.averaging.wire import Header

_PATIENCE = 0.5
"""Seconds for which a step waits for an answer at least; the longest is four times what is usual."""


class Link:
    """Links a model with a centre. Call `step` after `loss.backward()` and before `optimiser.step()`.

    The published order is kept: the gradient is taken at x, then the pull moves x, and then the optimiser applies the
    gradient that was computed before. Parameters and floating-point buffers travel in one vector.

    A lost centre is looked for in a thread, while training goes on alone; no step waits for it.

    Args:
        model: on its device already; its numbers must have one dtype. It starts from the centre's numbers, or gives an
            empty centre its own. A `Flat` of your own for one whose numbers lie elsewhere.
        rule: the same as that of the centre, such as `Elastic(period=10)`.
        centre: HOST:PORT of the centre, or of all its shards in order. None starts one: of this process alone,
            or, under torchrun, one for all processes.
        timeout: seconds without an answer after which a centre counts as lost.
        hidden: whether the exchange runs behind computation: the message goes at one step, and the answer is applied at
            the first step after it came.
        steps: that the model was trained before, where it resumes: one that is older than the centre starts from it.
        run: folder in which a centre that is started here keeps its numbers, and from which it goes on.

    Raises:
        OptionError: if an address is no host:port.
        ShapeError: if the numbers of the model have several dtypes, or fewer than the shards need.
        TrainingError: if no centre answers, or it does not fit.
        UnsupportedError: for a rule that is for analysis only, or that would spoil floating-point buffers.

    Attributes:
        meetings: with the centre so far.
        bytes: sent and received so far.
        waited: seconds that `step` has waited for answers.
        members: p, the workers that the centre counted last.
        clock: meetings of all workers that the centre counted last.
        steps: see above; `step` counts on.

    >>> from lowland.training.averaging.rules import Elastic
    >>> model, rule = nn.Linear(3, 1), Elastic(period=2)
    >>> with Centre(rule) as centre, Link(model, rule, centre.address) as link:
    ...     [link.step() for _ in range(4)], link.meetings
    ([False, True, False, True], 2)
    """

    def __init__(
        self, model: nn.Module | Flat, rule: Rule, centre: str | list[str] | tuple[str, ...] | None = "127.0.0.1:29600",
        timeout: float = 20.0, hidden: bool = False, steps: int = 0, run: str | Path | None = None,
    ) -> None:  # fmt: skip
        checks.check_rule(rule)
        check_number("timeout", timeout, above=0)
        check_number("steps", steps, least=0, whole=True)
        self.rule, self.timeout, self.hidden, self.steps = rule, timeout, hidden, int(steps)
        self._model = model if isinstance(model, Flat) else Flat(model)
        check_buffers(rule, self._model.buffers)
        self.meetings = self.members = self.clock = 0
        self.waited = 0.0
        self._own: Centre | None = None
        if centre is None and under_torchrun():
            centre = shared_centre(rule, timeout, run)
        elif centre is None:
            self._own = Centre(rule, run=run)
            centre = self._own.address
        addresses = list(centre) if isinstance(centre, list | tuple) else [centre]
        if not addresses:
            raise OptionError("A link needs the address of at least one centre, such as 127.0.0.1:29600.")
        found = [checks.parse_address(address) for address in addresses]
        about = Header(
            numbers=self._model.size, dtype=wire.DTYPES.index(self._model.dtype), rule=checks.rule_code(rule),
            shards=len(found),
        )  # fmt: skip
        whole = [checks.span(self._model.size, shard, len(found)) for shard in range(len(found))]
        self._parts = [
            Part(rule, Strand(*place, timeout), whole[shard], dataclasses.replace(about, shard=shard))
            for shard, place in enumerate(found)
        ]
        self._end = weakref.finalize(self, _end, [part.strand for part in self._parts])
        try:
            self._begin()
        except BaseException:
            self._leave()
            raise

    @property
    def bytes(self) -> int:
        """Sent and received so far."""
        return sum(part.strand.bytes for part in self._parts)

    def step(self) -> bool:
        """Count a step, and meet the centre where one is due.

        Returns:
            whether an answer of the centre was applied.

        Raises:
            TrainingError: if the centre refuses: it found a number that is not finite, or it does not fit any more.
        """
        self.steps += 1
        met = self._take()
        x = None
        for part in self._parts:
            part.tick()
            if part.due:
                x = self._model.read() if x is None else x
                part.ask(x, self.steps)
        if x is not None and not self.hidden:
            met |= self._wait()
        return met

    def meet(self) -> bool:
        """Meet the centre now, whatever the period: what a worker did since the last time counts before it ends."""
        met, x = self._wait(), None
        for part in self._parts:
            part.next = 0
            if part.due:
                x = self._model.read() if x is None else x
                part.ask(x, self.steps)
        return self._wait() or met

    def load_centre(self, model: nn.Module | Flat | None = None) -> None:
        """Write the numbers of the centre into a model, by default the one that is linked: those that count in the end.

        Raises:
            ShapeError: if the model is of another size or dtype.
            TrainingError: if the centre does not answer within `timeout` seconds.
        """
        into = self._model if model is None else model if isinstance(model, Flat) else Flat(model)
        if (into.size, into.dtype) != (self._model.size, self._model.dtype):
            raise ShapeError(
                f"The model has {into.size:,} numbers of {into.dtype}, but the centre {self._model.size:,} of "
                f"{self._model.dtype}: give it a model like the one that is linked."
            )
        x = into.read()
        until = time.monotonic() + self.timeout
        for part in self._parts:
            answer = None
            while answer is None and time.monotonic() < until:
                job = part.read(self.steps)
                job.done.wait(max(0.0, until - time.monotonic()))
                if job.reply is not None:
                    answer = job.answer
                else:
                    self._take()
                    self._greet()
                    time.sleep(0.05)
            if answer is None:
                raise TrainingError(f"The centre at {part.strand.address} does not answer: see whether it runs.")
            x[part.where] = answer
        into.write(x)

    def close(self) -> None:
        """Take what has come, and leave the centre."""
        try:
            if self._end.alive:
                self._take()
        finally:
            self._leave()

    def _leave(self) -> None:
        self._end()
        if self._own is not None:
            self._own.close()
            self._own = None

    def __enter__(self) -> Link:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self) -> None:
        """Reach all shards and greet them; start from the centre."""
        until = time.monotonic() + self.timeout
        while not all(part.strand.ready for part in self._parts) and time.monotonic() < until:
            time.sleep(0.01)
        while not all(part.joined for part in self._parts):
            self._greet()
            if time.monotonic() > until and (lost := [p.strand for p in self._parts if not p.strand.ready]):
                raise TrainingError(
                    f"No centre answers at {lost[0].address} within {self.timeout:g} s: start one with "
                    f"`lowland centre --port {lost[0].port} --run DIR`, or give the address of one."
                )
            for part in self._parts:
                if part.pending is not None:
                    part.pending.done.wait(0.05)
            self._take()
            time.sleep(0.005)

    def _greet(self) -> None:
        """Greet the shards that were found again."""
        for part in self._parts:
            if part.unknown:
                part.ask(self._model.read(), self.steps)

    def _wait(self) -> bool:
        """Wait for answers as long as they usually take, and take them. One that is late is taken at a later step."""
        began = time.monotonic()
        for part in self._parts:
            if part.pending is not None and part.pending.ask.kind == wire.MEET:
                patience = max(_PATIENCE, 4 * part.strand.usual)
                part.pending.done.wait(max(0.0, began + patience - time.monotonic()))
        self.waited += time.monotonic() - began
        return self._take()

    def _take(self) -> bool:
        """Apply the answers that have come."""
        x, met = None, False
        for part in self._parts:
            job = part.done()
            if job is None or job.reply is None:
                continue
            x = self._model.read() if x is None else x
            now = part.apply(job, job.reply, x[part.where])
            met |= now
            self.meetings += now and part is self._parts[0]
            self.steps = max(self.steps, job.reply.steps) if job.reply.kind == wire.START else self.steps
            self.clock, self.members = job.reply.clock, job.reply.members
        if x is not None:
            self._model.write(x)
        return met


def _end(strands: Sequence[Strand]) -> None:
    for strand in strands:
        strand.close()
    for strand in strands:
        strand.join(0.5)

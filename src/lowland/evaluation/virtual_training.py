"""Training by several workers in one process on a virtual clock: computation takes a given time, links are modelled.

Gradients, steps and meetings are really computed, in the order in which a cluster would come to them; only the time
that they take is counted instead of spent. So one machine compares rules of averaging on links that it does not have,
and two runs with a seed agree to the bit.

Shape letters: N numbers of a model.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from lowland.errors import OptionError, check_number
from lowland.evaluation.virtual_cluster import Cluster, Course, Method, Problem
from lowland.training.averaging.rules import Numbers


@torch.no_grad()
def train_virtually(
    problem: Problem,
    method: Method,
    cluster: Cluster,
    lr: float,
    steps: int,
    until: float = math.inf,
    every: float = 0.2,
) -> Course:
    """Train until the workers have made p · `steps` steps together, or virtual time is over.

    The gradient comes first, then the pull, then the step, as in `Rule.visit`; where messages are hidden the pull comes
    with the first gradient that is done after the answer is there. Workers meet at their steps τ, 2τ, …

    Args:
        problem: what to minimise.
        method, cluster: see there.
        lr: η of SGD.
        steps: of a worker, on average.
        until: most seconds of virtual time.
        every: seconds between two records.

    Raises:
        OptionError: for values out of their range, or a barrier whose messages are to be hidden.

    >>> class Bowl:
    ...     def start(self): return torch.ones(2)
    ...     def gradient(self, x, worker): return x.clone()
    ...     def error(self, x): return float(x.norm())
    >>> from lowland.training.averaging.rules import Elastic
    >>> course = train_virtually(Bowl(), Method(Elastic()), Cluster(members=2), lr=0.1, steps=50)
    >>> round(course.errors[0], 3), course.errors[-1] < 0.1, course.meetings
    (1.414, True, 10)
    """
    check_number("lr", lr, above=0)
    check_number("steps", steps, least=1, whole=True)
    check_number("every", every, above=0)
    if method.barrier and cluster.hidden and method.rule is not None:
        raise OptionError("Workers that wait for each other cannot hide their messages: take hidden=False.")
    kind = _AllReduce if method.rule is None else _Barrier if method.barrier else _Turns
    training = kind(problem, method, cluster, lr, steps, until, every)
    training.run()
    return training.course()


class _Training:
    """What all methods share: the parameters that are judged, the clock's records, and the optimiser."""

    def __init__(
        self, problem: Problem, method: Method, cluster: Cluster, lr: float, steps: int, until: float, every: float
    ) -> None:
        self.problem, self.method, self.cluster, self.lr = problem, method, cluster, lr
        self.centre = problem.start().clone()
        self.size = self.centre.numel() * self.centre.element_size()
        self.most, self.until, self.every = steps * cluster.members, until, every
        self.now, self.made, self.meetings, self.finite = 0.0, 0, 0, True
        self._records: list[tuple[float, float, float]] = []
        self._judged = -1

    def run(self) -> None:
        raise NotImplementedError

    def advance(self, now: float) -> bool:
        """Set the clock, and record what was before; False where training is over."""
        if self.made >= self.most:
            return False
        end = min(now, self.until)
        while self.finite and (tick := len(self._records) * self.every) < end:
            self._record(tick)
        if now > self.until or not self.finite:
            return False
        self.now = now
        return True

    def _record(self, at: float) -> None:
        if self._judged == self.meetings:
            error = self._records[-1][2]
        else:
            error, self._judged = self.problem.error(self.centre), self.meetings
            self.finite = bool(torch.isfinite(self.centre).all())
        self._records.append((at, self.made / self.cluster.members, error))

    def course(self) -> Course:
        if self.finite and self.now > self._records[-1][0]:
            self._record(self.now)
        seconds, steps, errors = map(list, zip(*self._records, strict=True))
        return Course(seconds, steps, errors, self.meetings, self.finite)

    def step(self, x: Tensor, slope: Tensor, memory: Numbers) -> None:
        """As torch.optim.SGD(nesterov=True)."""
        if momentum := self.method.momentum:
            speed = memory.setdefault("own speed", torch.zeros_like(x))
            speed.mul_(momentum).add_(slope)
            slope = slope.add(speed, alpha=momentum)
        x.sub_(slope, alpha=self.lr)


class _AllReduce(_Training):
    def run(self) -> None:
        cluster, memory = self.cluster, {}
        compute, ring = cluster.seconds * cluster.slow, cluster.link.ring(self.size, cluster.members)
        length = max(compute, ring) if cluster.hidden else compute + ring
        count = 0
        while self.advance((count + 1) * length):
            slopes = [self.problem.gradient(self.centre, worker) for worker in range(cluster.members)]
            self.step(self.centre, torch.stack(slopes).mean(dim=0), memory)
            self.made += cluster.members
            self.meetings += 1
            count += 1


class _Barrier(_Training):
    def run(self) -> None:
        cluster, rule = self.cluster, self.method.rule
        assert rule is not None
        members = cluster.members
        compute, ring = cluster.seconds * cluster.slow, cluster.link.ring(self.size, members)
        workers = [(self.centre.clone(), Numbers()) for _ in range(members)]
        state = Numbers()
        for _, memory in workers:
            rule.join(self.centre, memory)
        count = 0
        while self.advance((count + 1) * compute + (count + 1) // rule.period * ring):
            count += 1
            slopes = [self.problem.gradient(x, worker) for worker, (x, _) in enumerate(workers)]
            if count % rule.period == 0:
                messages = [rule.message(x.clone(), memory) for x, memory in workers]
                answer = rule.meet(self.centre, torch.stack(messages).mean(dim=0), state, members, members)
                for x, memory in workers:
                    rule.take(x, x.clone(), answer, memory, members)
                self.meetings += members
            for (x, memory), slope in zip(workers, slopes, strict=True):
                self.step(x, slope, memory)
            self.made += members


class _Flight(NamedTuple):
    """A message on its way: what x was, when the answer is back, and the answer once the centre has given it."""

    at: Tensor
    back: float
    answer: list[Tensor]


class _Turns(_Training):
    """Workers come one by one: a queue of events, each a time and what then happens, which may return a later time."""

    def run(self) -> None:
        assert self.method.rule is not None
        self.rule, self.state = self.method.rule, Numbers()
        self._queue: list[tuple[float, int, Callable[[], float | None]]] = []
        self._events, self._up = 0, 0.0
        for number in range(self.cluster.members):
            worker = self._worker(number)
            self._at(0.0, partial(next, worker, None))
        while self._queue:
            time, _, happen = heapq.heappop(self._queue)
            if not self.advance(time):
                return
            later = happen()
            if later is not None:
                self._at(later, happen)

    def _at(self, time: float, happen: Callable[[], float | None]) -> None:
        self._events += 1
        heapq.heappush(self._queue, (time, self._events, happen))

    def _worker(self, number: int) -> Iterator[float]:
        """Yields the times at which it goes on."""
        x, memory, flight = self.centre.clone(), Numbers(), None
        self.rule.join(self.centre, memory)
        compute = self.cluster.seconds * (self.cluster.slow if number == 0 else 1.0)
        count = 0
        while True:
            yield self.now + compute
            slope = self.problem.gradient(x, number)
            count += 1
            if flight is not None and flight.back <= self.now:
                flight = self._land(x, flight, memory)
            if count % self.rule.period == 0:
                if flight is not None:
                    yield flight.back
                    self._land(x, flight, memory)
                flight = self._send(x, memory)
                if not self.cluster.hidden:
                    yield flight.back
                    flight = self._land(x, flight, memory)
            self.step(x, slope, memory)
            self.made += 1

    def _send(self, x: Tensor, memory: Numbers) -> _Flight:
        link, wire, at = self.cluster.link, self.cluster.link.wire(self.size), x.clone()
        sent = (max(self.now, self._up) if link.shared else self.now) + wire
        self._up, arrival = sent, sent + link.latency
        # Messages of one size arrive so far apart that their answers need not queue.
        flight = _Flight(at, arrival + link.message(self.size), [])
        self._at(arrival, partial(self._meet, self.rule.message(at, memory), flight))
        return flight

    def _meet(self, message: Tensor, flight: _Flight) -> None:
        flight.answer.append(self.rule.meet(self.centre, message, self.state, self.cluster.members))
        self.meetings += 1

    def _land(self, x: Tensor, flight: _Flight, memory: Numbers) -> None:
        self.rule.take(x, flight.at, flight.answer[0], memory, self.cluster.members)

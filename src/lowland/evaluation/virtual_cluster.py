"""A cluster on a virtual clock: how long its computation and its messages take, and what is recorded of training on it.

Shape letters: N numbers of a model.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from torch import Tensor

from lowland.errors import UnsupportedError, check_number
from lowland.training.averaging.rules import ADMM, Rule


class Problem(Protocol):
    """What the workers minimise together, as functions of one vector (N,)."""

    def start(self) -> Tensor:
        """The first parameters, (N,), of all workers and the centre."""
        ...

    def gradient(self, x: Tensor, worker: int) -> Tensor:
        """A gradient at x, (N,), such as that of the worker's next batch; x is not changed."""
        ...

    def error(self, x: Tensor) -> float:
        """What is recorded on the way, such as the test error in percent."""
        ...


@dataclass(frozen=True)
class Link:
    """A message of n bytes takes latency + 8 n / bandwidth seconds (the α–β model). Both directions work at a time.

    Args:
        bandwidth: bits per second.
        latency: seconds of each message.
        shared: whether all messages to the centre pass its one link, first come, first served, and all answers likewise
            in the other direction; otherwise the centre has a link to each worker.

    Raises:
        OptionError: for a bandwidth that is not positive, or a negative latency.

    >>> link = Link()
    >>> link.message(125_000), link.ring(125_000, 4)
    (0.011, 0.021)
    """

    bandwidth: float = 100e6
    latency: float = 1e-3
    shared: bool = True

    def __post_init__(self) -> None:
        check_number("bandwidth", self.bandwidth, above=0)
        check_number("latency", self.latency, least=0)

    def wire(self, size: int) -> float:
        """Seconds for which n bytes keep the link busy, 8 n / bandwidth."""
        return 8 * size / self.bandwidth

    def message(self, size: int) -> float:
        """Seconds from sending n bytes to their arrival."""
        return self.latency + self.wire(size)

    def ring(self, size: int, members: int) -> float:
        """Seconds of an all-reduce of n bytes in a ring, 2 (p − 1) / p · 8 n / bandwidth + 2 (p − 1) · latency.

        Source: Patarasuk & Yuan 2009, "Bandwidth optimal all-reduce algorithms for clusters of workstations".
        """
        return 2 * (members - 1) * (self.wire(size) / members + self.latency)


@dataclass(frozen=True)
class Cluster:
    """p workers, how long their steps take, and their links.

    Args:
        members: p.
        seconds: of computation, a gradient and a step of the optimiser.
        link: of each worker, and of the centre.
        hidden: whether a worker goes on computing while its message is on the way, up to its next meeting. For an
            all-reduce it is the ideal of gradients that travel as soon as each is known: a step takes the longer of
            computation and ring.
        slow: by how much longer the first worker computes than the others.

    Raises:
        OptionError: for values that are out of their range.
    """

    members: int = 4
    seconds: float = 0.01
    link: Link = field(default_factory=Link)
    hidden: bool = False
    slow: float = 1.0

    def __post_init__(self) -> None:
        check_number("members", self.members, least=1, whole=True)
        check_number("seconds", self.seconds, above=0)
        check_number("slow", self.slow, least=1)


@dataclass(frozen=True)
class Method:
    """A way to train together.

    Args:
        rule: by which workers meet the centre; None to average every gradient (all-reduce).
        momentum: δ of the workers' SGD, Nesterov's as in `torch.optim.SGD`.
        barrier: whether all workers meet the centre at once, by an all-reduce of their messages, or one by one.

    Raises:
        OptionError: for momentum outside [0, 1).
        UnsupportedError: for `ADMM`, which is for analysis only.
    """

    rule: Rule | None = None
    momentum: float = 0.9
    barrier: bool = False

    def __post_init__(self) -> None:
        check_number("momentum", self.momentum, least=0, below=1)
        if isinstance(self.rule, ADMM):
            raise UnsupportedError("ADMM is for the analysis of stability: train with Elastic.")


class Course(NamedTuple):
    """What was recorded on the way.

    Attributes:
        seconds: virtual time: every `every` seconds, and the end.
        steps: of a worker by then, on average.
        errors: of the centre, or of the common parameters, by then.
        meetings: of workers with the centre, or all-reduces.
        finite: whether the parameters were finite to the end; a course that is not ends there.
    """

    seconds: list[float]
    steps: list[float]
    errors: list[float]
    meetings: int
    finite: bool

    def first(self, error: float) -> float | None:
        """The first recorded time at which the error is so small, if it ever is.

        >>> Course([0.0, 0.1, 0.2], [0, 5, 10], [90.0, 14.0, 16.0], 2, True).first(15.0)
        0.1
        """
        return next((t for t, e in zip(self.seconds, self.errors, strict=True) if e <= error), None)

    def mean(self, until: float) -> float:
        """The mean error over [0, until]; after its end a course keeps its last error.

        >>> Course([0.0, 1.0], [0, 1], [90.0, 10.0], 1, True).mean(2.0)
        50.0
        """
        ends = [*(min(t, until) for t in self.seconds[1:]), until]
        begins = [min(t, until) for t in self.seconds]
        return sum(e * (b - a) for a, b, e in zip(begins, ends, self.errors, strict=True)) / until

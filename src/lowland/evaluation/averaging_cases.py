"""Ways to train together, side by side on a virtual clock: which are tried, how, and what is read off their courses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import nn

from lowland.data.images import Images
from lowland.errors import check_number
from lowland.evaluation.averaging_trial import METHODS, NetworkProblem, choose_rate
from lowland.evaluation.virtual_cluster import Cluster, Course, Link, Method
from lowland.evaluation.virtual_training import train_virtually

SUM = "all-reduce"
HIDDEN, SLOW, OWN = "hidden", "one slow", "own links"
_LONGER = {"EASGD": 10.0}
"""By how much larger rates are tried than with momentum 0.9: steps are then as long. Those of Downpour add up."""
_LOOKS = 12
"""Readings of the validation error while rates are compared."""


class Case(NamedTuple):
    """A method, its period τ, p workers, and what is unusual: messages are hidden, one worker is slow, or own links.

    Of `SUM`, which averages every gradient, the period is 1.
    """

    name: str
    period: int
    members: int
    unusual: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """As a page calls it.

        >>> Case("EASGD", 10, 4, (HIDDEN,)).key, Case("all-reduce", 1, 2).key
        ('EASGD, τ = 10, p = 4, hidden', 'all-reduce, p = 2')
        """
        period = [f"τ = {self.period}"] if self.name != SUM else []
        return ", ".join([self.name, *period, f"p = {self.members}", *self.unusual])

    @property
    def stage(self) -> str:
        """As a file is called.

        >>> Case("local SGD", 10, 4, (SLOW,)).stage
        'local-sgd-10-4-one-slow'
        """
        parts = (self.name, str(self.period), str(self.members), *self.unusual)
        return "-".join(parts).replace(" ", "-").lower()

    @property
    def method(self) -> Method:
        """How it trains."""
        return Method() if self.name == SUM else METHODS[self.name](self.period)


@dataclass(frozen=True)
class Comparison:
    """Cases that differ in one thing: τ with the most workers, p with the middle τ, then what is unusual with both.

    Args:
        periods: τ, rising.
        members: p, rising; the first, if it is 1, is one machine alone.

    >>> len(Comparison((1, 10, 64), (1, 2, 4)).cases), len(Comparison((10,), (4,)).headline)
    (46, 18)
    """

    periods: tuple[int, ...]
    members: tuple[int, ...]

    @property
    def usual(self) -> int:
        """The middle τ."""
        return self.periods[len(self.periods) // 2]

    @property
    def most(self) -> int:
        """The largest p."""
        return self.members[-1]

    @property
    def cases(self) -> list[Case]:
        """All of them."""
        found = [Case(SUM, 1, p) for p in self.members] + [Case(SUM, 1, self.most, (one,)) for one in (HIDDEN, SLOW)]
        for name, method in METHODS.items():
            found += [Case(name, period, self.most) for period in self.periods]
            found += [Case(name, self.usual, p) for p in self.members[:-1]]
            if not method(self.usual).barrier:
                found += [Case(name, period, self.most, (HIDDEN,)) for period in self.periods]
        found += [
            Case("EAMSGD", self.usual, self.most, one)
            for one in ((OWN,), (OWN, HIDDEN), (HIDDEN, SLOW), (OWN, HIDDEN, SLOW))
        ]
        return found + [Case(name, self.usual, self.most, (SLOW,)) for name in ("EASGD", "EAMSGD", "local SGD")]

    @property
    def headline(self) -> list[Case]:
        """The fewest workers with averaged gradients, then all with the middle τ and the most workers."""
        few, most = Case(SUM, 1, self.members[0]), [one for one in self.cases if one.members == self.most]
        return list(dict.fromkeys([few, *(one for one in most if one.name == SUM or one.period == self.usual)]))

    @property
    def pictures(self) -> dict[str, list[Case]]:
        """Which belong into one picture, by what they differ in."""
        plain = [one for one in self.cases if not one.unusual]
        return {
            "methods": [one for one in self.headline if not one.unusual],
            "periods": [one for one in self.cases if one.name == "EAMSGD" and one.members == self.most
                        and one.unusual in ((), (HIDDEN,))],
            "members": [one for one in plain if one.name == SUM or (one.name == "EAMSGD" and one.period == self.usual)],
            "slow": [one for one in self.cases if SLOW in one.unusual],
        }  # fmt: skip

    def tuned(self, case: Case) -> Case:
        """The case whose learning rate is chosen for this one: of its method and τ, or of its p for averaged gradients.

        >>> Comparison((1, 10), (1, 4)).tuned(Case("EASGD", 10, 1)).key
        'EASGD, τ = 10, p = 4'
        """
        return Case(case.name, case.period, case.members if case.name == SUM else self.most)

    def numbers(self, courses: Mapping[Case, Course], target: float) -> dict[str, dict[str, Any]]:
        """What is measured, by `Case.key`, and the error before training, of "untrained".

        "time" to the target, and "reached", 100 or 0. How many times sooner that is than averaged gradients of as many
        workers, "sooner", those whose messages are hidden, and one machine; None where it was not reached. "end" in
        seconds, "last" error, "step" in milliseconds; and "error", the last one, where cases with the largest τ are
        compared.

        Args:
            courses: by case.
            target: an error in percent.
        """
        found: dict[str, dict[str, Any]] = {"untrained": {"error": courses[Case(SUM, 1, self.most)].errors[0]}}
        for case, course in courses.items():
            slow = (SLOW,) if SLOW in case.unusual else ()
            rivals = {"sooner": Case(SUM, 1, case.members, slow), "sooner than alone": Case(SUM, 1, self.members[0])}
            if case.members == self.most and not slow:
                rivals["sooner than hidden"] = Case(SUM, 1, self.most, (HIDDEN,))
            row = found[case.key] = {"time": course.first(target), "end": course.seconds[-1], "last": course.errors[-1]}
            row["step"] = 1000 * course.seconds[-1] / course.steps[-1]
            row["reached"] = 100 * (row["time"] is not None)
            row |= {name: _ratio(courses[rival].first(target), row["time"]) for name, rival in rivals.items()}
            longest = case.name == SUM or case.period == self.periods[-1]
            if case.members == self.most and not case.unusual and longest:
                row["error"] = course.errors[-1]
        return found


def _ratio(theirs: float | None, ours: float | None) -> float | None:
    return None if theirs is None or not ours else theirs / ours


@dataclass(frozen=True)
class Trial:
    """How cases are trained.

    Args:
        images: with labels.
        network: makes one by the number of a seed; see `NetworkProblem`.
        batch_size: of a worker's gradient.
        seconds: of a step's computation; see `step_seconds`.
        link: of all cases, but for those with own links.
        slow: by how much a slow worker is slower.
        steps: of a worker, on average.
        until: most seconds of virtual time.
        every: seconds between two readings of the error.

    >>> from functools import partial
    >>> from lowland.data import digits
    >>> from lowland.nn.layers import linear
    >>> trial = Trial(digits(), lambda seed: nn.Sequential(nn.Flatten(), linear(64, 10)), steps=50, seconds=0.01)
    >>> case = Case("EASGD", 10, 2)
    >>> rate = trial.choose(case, (0.001, 0.03))
    >>> course = trial.train(case, rate)
    >>> rate, course.errors[-1] < course.errors[0]
    (0.3, True)
    """

    images: Images
    network: Callable[[int], nn.Module]
    batch_size: int = 128
    seconds: float = 0.01
    link: Link = field(default_factory=Link)
    slow: float = 4.0
    steps: int = 800
    until: float = 25.0
    every: float = 0.2

    def __post_init__(self) -> None:
        check_number("until", self.until, above=0)

    def problem(self, seed: int = 0, members: int = 1, judged: str = "test") -> NetworkProblem:
        """The network of a seed, and batches of its workers."""
        return NetworkProblem(self.network(seed), self.images, self.batch_size, members, seed, judged)

    def cluster(self, case: Case) -> Cluster:
        """The cluster of a case."""
        shared = self.link.shared and OWN not in case.unusual
        link = Link(self.link.bandwidth, self.link.latency, shared)
        slow = self.slow if SLOW in case.unusual else 1.0
        return Cluster(case.members, self.seconds, link, HIDDEN in case.unusual, slow)

    def choose(self, case: Case, rates: Sequence[float], seed: int = 500) -> float:
        """The rate with the least mean validation error over half the steps and half the time, by `choose_rate`.

        Args:
            case: a case.
            rates: with momentum 0.9; ten times as large for EASGD, which has none, since its steps are then as long.
            seed: another one than those that are tested.
        """
        tried = [round(rate * _LONGER.get(case.name, 1.0), 9) for rate in rates]
        until = self.until / 2
        found = choose_rate(
            lambda: self.problem(seed, case.members, "validation"), case.method, self.cluster(case), tried,
            max(1, self.steps // 2), until, until / _LOOKS,
        )  # fmt: skip
        return min(found, key=found.__getitem__)

    def train(self, case: Case, lr: float, seed: int = 0) -> Course:
        """The course of a case, judged by the test images."""
        problem = self.problem(seed, case.members)
        return train_virtually(problem, case.method, self.cluster(case), lr, self.steps, self.until, self.every)

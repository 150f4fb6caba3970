"""What the recipe `easgd` trains on the virtual clock, and what is read off its courses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from lowland.evaluation.averaging_trial import METHODS
from lowland.evaluation.virtual_cluster import Course, Method

SUM = "all-reduce"
HIDDEN, SLOW, OWN = "hidden", "one slow", "own links"
SYSTEMS = {SUM: "D5", "EASGD": "D2", "EAMSGD": "D2", "Downpour": "D3", "DiLoCo": "D5", "local SGD": "D5"}
"""Of the list of systems, by method."""
LONGER = {"EASGD": 10.0}
"""By how much larger rates are tried than with momentum 0.9: steps are then as long. Those of Downpour add up."""


class Case(NamedTuple):
    """A method, its period τ, p workers, and what is unusual about their cluster."""

    name: str
    period: int
    members: int
    unusual: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """As the page calls it.

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


def all_cases(periods: Sequence[int], members: Sequence[int]) -> list[Case]:
    """τ is varied with the most workers, and p with the middle τ; then what is unusual, with both at these values."""
    usual, most = periods[len(periods) // 2], members[-1]
    found = [Case(SUM, 1, p) for p in members] + [Case(SUM, 1, most, (one,)) for one in (HIDDEN, SLOW)]
    for name in METHODS:
        found += [Case(name, period, most) for period in periods]
        found += [Case(name, usual, p) for p in members[:-1]]
        if not METHODS[name](usual).barrier:
            found += [Case(name, period, most, (HIDDEN,)) for period in periods]
    found += [Case("EAMSGD", usual, most, one) for one in ((OWN,), (OWN, HIDDEN))]
    return found + [Case(name, usual, most, (SLOW,)) for name in ("EASGD", "EAMSGD", "local SGD")]


def headline(periods: Sequence[int], members: Sequence[int]) -> list[Case]:
    """The cases that are claimed: τ in the middle, and the most workers."""
    usual, most = periods[len(periods) // 2], members[-1]
    found = [case for case in all_cases(periods, members) if case.members == most]
    return [Case(SUM, 1, members[0]), *(one for one in found if one.name == SUM or one.period == usual)]


def numbers(courses: Mapping[Case, Course], target: float, longest: int) -> dict[str, dict[str, Any]]:
    """What is measured of each case, and the error before training.

    Args:
        courses: by case.
        target: the test error, in percent, whose time counts.
        longest: the largest τ; the last errors of all methods with it are compared.
    """
    most = max(case.members for case in courses)
    found: dict[str, dict[str, Any]] = {"untrained": {"error": courses[Case(SUM, 1, most)].errors[0]}}
    for case, course in courses.items():
        slow = tuple(one for one in case.unusual if one == SLOW)
        rivals = {"sooner": Case(SUM, 1, case.members, slow), "sooner than alone": Case(SUM, 1, min(_members(courses)))}
        rivals |= {"sooner than hidden": Case(SUM, 1, most, (HIDDEN,))} if case.members == most and not slow else {}
        row = found[case.key] = {"time": course.first(target), "end": course.seconds[-1], "last": course.errors[-1]}
        row["step"] = 1000 * course.seconds[-1] / course.steps[-1]
        for name, rival in rivals.items():
            row[name] = _ratio(courses[rival].first(target), row["time"])
        if case.members == most and not case.unusual and (case.period == longest or case.name == SUM):
            row["error"] = course.errors[-1]
    return found


def _members(courses: Mapping[Case, Course]) -> set[int]:
    return {case.members for case in courses}


def _ratio(theirs: float | None, ours: float | None) -> float | None:
    return None if theirs is None or not ours else theirs / ours

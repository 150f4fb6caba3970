"""Elastic averaging: where it is stable, and the time to a test error beside other ways to train together."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from lowland.data.catalogue import load
from lowland.data.images import Images
from lowland.evaluation.averaging_stability import admm_radii, disagreements, easgd_radii, easgd_region
from lowland.evaluation.averaging_trial import METHODS, NetworkProblem, choose_rate, step_seconds
from lowland.evaluation.virtual_cluster import Cluster, Course, Link
from lowland.evaluation.virtual_training import train_virtually
from lowland.nn.encoders.convnet import ConvNet
from lowland.nn.layers import mlp
from lowland.recipes.base import Bound, Count, NotNegative, Positive, Recipe, recipe
from lowland.recipes.scale.easgd.cases import (
    HIDDEN,
    LONGER,
    OWN,
    SLOW,
    SUM,
    SYSTEMS,
    Case,
    all_cases,
    headline,
    numbers,
)
from lowland.recipes.scale.easgd.figures import eigenvalues, errors, regions
from lowland.reports.run import Run
from lowland.training.snapshots import check_rising

PUBLISHED, CROWDS = (0.001, 2.5), (3, 8)
"""η and ρ at which eigenvalues of ADMM are published, and for how many workers."""
MOST = (0.01, 10.0, 2.0, 1.2)
"""Ends of the pictures of stability: of η and ρ where ADMM is compared, of η and α where regions are."""


@recipe
@dataclass(frozen=True)
class EasgdRecipe(Recipe):
    """A classifier trained by p workers that meet every τ steps. Computation is measured; links are modelled."""

    data: Literal["fashion_mnist", "mnist10k", "mnist", "digits"] = "fashion_mnist"
    """Images: fashion_mnist, mnist10k, mnist or digits."""
    seeds: Count = 3
    """Repetitions, each with its own first weights and batches."""
    periods: tuple[Count, ...] = (1, 10, 64)
    """τ, steps between two meetings, rising. The middle one is used where τ does not vary."""
    members: tuple[Count, ...] = (1, 2, 4)
    """p, numbers of workers, rising. The last one is used where p does not vary."""
    target: Positive = 15.0
    """Test error in percent, whose time counts."""
    batch: Count = 128
    """Images of a gradient of one worker."""
    maps: tuple[Count, ...] = (16, 32)
    """Feature maps of the ConvNet's stages."""
    hidden: Count = 64
    """Units between its last maps and the answers."""
    steps: Count = 800
    """Most steps of a worker, on average."""
    until: Positive = 25.0
    """Most seconds of virtual time."""
    every: Annotated[float, Bound(above=0, most=0.2)] = 0.2
    """Seconds of virtual time between two readings of the test error."""
    rates: tuple[Positive, ...] = (0.003, 0.01, 0.03, 0.1, 0.3)
    """Learning rates to choose from; ten times as large for EASGD, which has no momentum."""
    compute: NotNegative = 0.0
    """Milliseconds of a worker's step; 0 to measure them on this machine."""
    bandwidth: Positive = 100.0
    """Of each link, in Mbit/s."""
    latency: NotNegative = 1.0
    """Of each message, in ms."""
    shared: bool = True
    """Whether the centre has one link for all workers, or one to each, as if it were cut into as many shards."""
    slow: Annotated[float, Bound(least=1)] = 4.0
    """By how much longer one worker takes for its steps, in the cases with a slow one."""
    cells: Annotated[int, Bound(least=2)] = 40
    """Rows and columns of the pictures of stability."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {
            "data": "digits", "seeds": 1, "periods": (1, 4), "members": (1, 2), "target": 50.0, "batch": 32,
            "maps": (4, 8), "hidden": 16, "steps": 80, "until": 0.6, "every": 0.05, "rates": (0.1,), "compute": 2.0,
            "cells": 5,
        }
    }  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        check_rising("periods", self.periods)
        check_rising("members", self.members)

    def run(self, run: Run) -> None:
        cases = all_cases(self.periods, self.members)
        tuned = {_tuned(case, self.members[-1]): case for case in cases}
        run.expect(2 + len(tuned) + len(cases) * self.seeds)
        still = run.stage("stability", self._stability)
        run.measured.add(still["numbers"])
        courses = self._virtual(run, cases)
        run.part(self._draw, still["maps"], courses)

    # Stability of a round

    def _axes(self) -> tuple[list[float], ...]:
        """η, ρ, η and α of the pictures, without zeros."""
        return tuple((torch.arange(1, self.cells + 1) * most / self.cells).tolist() for most in MOST)

    def _kinds(self) -> dict[str, tuple[int, bool]]:
        ways = {"in turns": True, "all at once": False}
        return {f"EASGD {way}, p = {p}": (p, turns) for way, turns in ways.items() for p in CROWDS}

    def _stability(self) -> dict[str, Any]:
        rates, pulls, large, elastic = self._axes()
        maps: dict[str, Tensor] = {}
        found: dict[str, dict[str, Any]] = {}
        for (name, radii), p in itertools.product({"ADMM": admm_radii, "EASGD": easgd_radii}.items(), CROWDS):
            title = f"{name}, p = {p}"
            maps[title] = radii(p, rates, pulls)
            at = radii(p, PUBLISHED[:1], PUBLISHED[1:])
            found[title] = {"radius": float(at), "unstable": 100 * float((maps[title] > 1 + 1e-9).double().mean())}
        for title, (p, turns) in self._kinds().items():
            maps[title] = easgd_region(p, large, elastic, turns)
            found[title] = {"otherwise": disagreements(p, turns)}
        return {"maps": maps, "numbers": found}

    # Test error over virtual time

    def _virtual(self, run: Run, cases: list[Case]) -> dict[Case, Course]:
        """Numbers of all seeds; the courses of the first."""
        images = load(self.data)
        if images.stand_in_for:
            run.stand_in(f"{self.data} stands in for {images.stand_in_for}.")
        seconds = run.stage("step", partial(self._seconds, images))
        rates: dict[str, float] = {}
        for case in cases:
            if (name := _tuned(case, self.members[-1])) not in rates:
                tried = run.stage(f"rate/{name}", partial(self._tune, images, case, seconds))
                rates[name] = tried["rates"][tried["errors"].index(min(tried["errors"]))]
        first: dict[Case, Course] = {}
        for seed in range(self.seeds):
            courses = {}
            for case in cases:
                rate = rates[_tuned(case, self.members[-1])]
                work = partial(self._train, images, case, seconds, rate, seed)
                with run.below(f"seed-{seed}"):
                    courses[case] = Course(**run.stage(case.stage, work))
            found = numbers(courses, self.target, self.periods[-1])
            for case in cases:
                found[case.key]["rate"] = rates[_tuned(case, self.members[-1])]
            run.measured.add(found)
            first = first or courses
        size = len(self._problem(images, 0, 1, "test").start())
        ring = self._cluster(cases[0], seconds).link.ring(4 * size, self.members[-1])
        run.show(
            tests=len(images.test), parameters=size, milliseconds=1000 * seconds, ring=1000 * ring,
            message=1000 * self._cluster(cases[0], seconds).link.message(4 * size), ratio=ring / seconds,
            headline=(named := [case.key for case in headline(self.periods, self.members)]),
            compared=[key for key in named if not key.startswith(SUM) or HIDDEN in key],
            systems={case.key: SYSTEMS[case.name] for case in cases}, measured_here=self.compute == 0,
            usual=self.periods[len(self.periods) // 2], most=self.members[-1], least=self.members[0],
        )  # fmt: skip
        return first

    def _shown(self, cases: list[Case]) -> dict[str, list[Case]]:
        """What stands in each picture."""
        usual, most = self.periods[len(self.periods) // 2], self.members[-1]
        alone = Case(SUM, 1, self.members[0])
        return {
            "methods": [alone, Case(SUM, 1, most), *(Case(name, usual, most) for name in METHODS)],
            "periods": [one for one in cases if one.name == "EAMSGD" and one.members == most
                        and one.unusual in ((), (HIDDEN,))],
            "members": [one for one in cases if one.name in (SUM, "EAMSGD") and not one.unusual
                        and one.period in (1 if one.name == SUM else usual,)],
            "slow": [one for one in cases if SLOW in one.unusual],
        }  # fmt: skip

    def _problem(self, images: Images, seed: int, members: int, judged: str) -> NetworkProblem:
        draw = self.generator(seed)
        encoder = ConvNet(images.shape, self.maps, norm=False, pooled=False, generator=draw)
        answers = mlp(encoder.size, self.hidden, len(images.classes), activation=nn.ReLU, generator=draw)
        network = nn.Sequential(encoder, answers).to(self.device)
        return NetworkProblem(network, images, self.batch, members, 1000 * self.seed + seed, judged)

    def _cluster(self, case: Case, seconds: float) -> Cluster:
        link = Link(1e6 * self.bandwidth, self.latency / 1000, self.shared and OWN not in case.unusual)
        slow = self.slow if SLOW in case.unusual else 1.0
        return Cluster(case.members, seconds, link, HIDDEN in case.unusual, slow)

    def _seconds(self, images: Images) -> float:
        return self.compute / 1000 or step_seconds(self._problem(images, 0, 1, "test"))

    def _tune(self, images: Images, case: Case, seconds: float) -> dict[str, list[float]]:
        """Half the steps and half the time are enough to tell rates apart."""
        rates = [round(rate * LONGER.get(case.name, 1.0), 6) for rate in self.rates]
        make = partial(self._problem, images, 500, case.members, "validation")
        steps, until = max(1, self.steps // 2), self.until / 2
        every = min(1.0, until / 5)
        found = choose_rate(make, case.method, self._cluster(case, seconds), rates, steps, until, every)
        return {"rates": list(found), "errors": list(found.values())}

    def _train(self, images: Images, case: Case, seconds: float, rate: float, seed: int) -> dict[str, Any]:
        problem, cluster = self._problem(images, seed, case.members, "test"), self._cluster(case, seconds)
        course = train_virtually(problem, case.method, cluster, rate, self.steps, self.until, self.every)
        return course._asdict()

    def _draw(self, run: Run, maps: dict[str, Tensor], courses: dict[Case, Course]) -> None:
        rates, pulls, large, elastic = self._axes()
        kinds = self._kinds()
        compared = {title: one for title, one in maps.items() if title not in kinds}
        run.figure("eigenvalues", partial(eigenvalues, compared, rates, pulls))
        measured = {title: maps[title] for title in kinds}
        run.figure("regions", partial(regions, measured, large, elastic, kinds))
        for part, chosen in self._shown(list(courses)).items():
            run.figure(part, partial(errors, courses, chosen))


def _tuned(case: Case, most: int) -> str:
    """Rates are chosen for each method and τ with the most workers; for averaged gradients, for each p."""
    return f"{case.name}-{case.members if case.name == SUM else case.period}".replace(" ", "-").lower()

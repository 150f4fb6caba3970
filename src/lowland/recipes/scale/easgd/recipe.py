"""Elastic averaging: where it is stable, and the time to a test error beside other ways to train together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

import torch
from torch import nn

from lowland.data.catalogue import load
from lowland.data.images import Images
from lowland.evaluation.averaging_cases import HIDDEN, SUM, Case, Comparison, Trial
from lowland.evaluation.averaging_faults import fault_rows
from lowland.evaluation.averaging_stability import stability_report
from lowland.evaluation.averaging_trial import step_seconds
from lowland.evaluation.slow_link import link_rows, not_here
from lowland.evaluation.virtual_cluster import Course, Link
from lowland.nn.encoders.convnet import ConvNet
from lowland.nn.layers import mlp
from lowland.plots import curves
from lowland.plots.averaging import radius_maps
from lowland.recipes.base import Bound, Count, NotNegative, Positive, Recipe, recipe
from lowland.reports.run import Run
from lowland.training.snapshots import check_rising

SYSTEMS = {"EASGD": "D2", "EAMSGD": "D2", "Downpour": "D3"}


@recipe
@dataclass(frozen=True)
class EasgdRecipe(Recipe):
    """A classifier trained by p workers that meet every τ steps. Computation is measured; links are modelled."""

    data: Literal["fashion_mnist", "cifar10", "mnist10k", "mnist", "digits"] = "fashion_mnist"
    """Images: fashion_mnist, cifar10, mnist10k, mnist or digits."""
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
    slowed: NotNegative = 20.0
    """Mbit/s of the link of two real processes; 0 to leave them out."""
    faults: Literal["none", "short", "long"] = "long"
    """Faults of real processes: none, some seconds, or some minutes of them."""

    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {
            "data": "digits", "seeds": 1, "periods": (1, 4), "members": (1, 2), "target": 50.0, "batch": 32,
            "maps": (4, 8), "hidden": 16, "steps": 80, "until": 0.6, "every": 0.05, "rates": (0.1,), "compute": 2.0,
            "cells": 5, "slowed": 0.0, "faults": "none",
        },
        "gpu": {
            "data": "cifar10", "maps": (64, 128, 64), "hidden": 256, "target": 20.0, "steps": 20_000, "until": 300.0,
            "bandwidth": 10_000.0, "latency": 0.05,
        },
    }  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        check_rising("periods", self.periods)
        check_rising("members", self.members)

    def run(self, run: Run) -> None:
        compared = Comparison(self.periods, self.members)
        tuned = list(dict.fromkeys(map(compared.tuned, compared.cases)))
        run.expect(4 + len(tuned) + len(compared.cases) * self.seeds)
        stability = run.stage("stability", partial(stability_report, self.cells))
        run.measured.add(stability["numbers"])
        courses = self._virtual(run, compared, tuned)
        self._real(run)
        run.part(self._draw, stability, compared, courses)

    def _virtual(self, run: Run, compared: Comparison, tuned: list[Case]) -> dict[Case, Course]:
        """Test error over virtual time: the numbers of all seeds, and the courses of the first."""
        trial, first = self._trial(load(self.data)), {}
        if trial.images.stand_in_for:
            run.stand_in(f"{self.data} stands in for {trial.images.stand_in_for}.")
        compute = run.stage("step", lambda: self.compute / 1000 or step_seconds(trial.problem()))
        trial = replace(trial, seconds=compute)
        apart, rates = 1000 * self.seed + 500, {}
        for case in tuned:
            rates[case] = run.stage(f"rate/{case.stage}", partial(trial.choose, case, self.rates, apart))
        for seed in range(self.seeds):
            courses = {}
            for case in compared.cases:
                train = partial(trial.train, case, rates[compared.tuned(case)], 1000 * self.seed + seed)
                courses[case] = Course(*run.stage(f"seed-{seed}/{case.stage}", train))
            found = compared.numbers(courses, self.target)
            run.measured.add(found)
            run.measured.add({one.key: {"rate": rates[compared.tuned(one)]} for one in courses})
            first = first or courses
        size = len(trial.problem().start())
        message, ring = trial.link.message(4 * size), trial.link.ring(4 * size, compared.most)
        headline = [case.key for case in compared.headline]
        run.show(
            tests=len(trial.images.test), parameters=size, compute=1000 * compute, message=1000 * message,
            ring=1000 * ring, usual=compared.usual, most=compared.most, least=self.members[0], headline=headline,
            compared=[key for key in headline if not key.startswith(SUM) or HIDDEN in key],
            systems={case.key: SYSTEMS.get(case.name, "D5") for case in compared.cases},
        )  # fmt: skip
        return first

    def _real(self, run: Run) -> None:
        """Real processes: seconds of a step over a slowed link, and what survivors notice of faults."""
        reason = not_here() if self.slowed else "Links were not slowed (slowed = 0)."
        if not reason:
            size = len(self._trial(load(self.data)).problem().start())
            run.measured.add(run.stage("links", partial(link_rows, size, self.periods[1:], 1e6 * self.slowed)))
        if self.faults != "none":
            run.measured.add(run.stage("faults", partial(fault_rows, self.faults == "short", self.seed)))
        run.show(real=not reason, reason=reason, played=self.faults != "none")

    def _trial(self, images: Images) -> Trial:
        def network(seed: int) -> nn.Module:
            draw = torch.Generator().manual_seed(seed)
            encoder = ConvNet(images.shape, self.maps, norm=False, pooled=False, generator=draw)
            answers = mlp(encoder.size, self.hidden, len(images.classes), activation=nn.ReLU, generator=draw)
            return nn.Sequential(encoder, answers).to(self.device)

        link = Link(1e6 * self.bandwidth, self.latency / 1000, self.shared)
        return Trial(images, network, self.batch, link=link, slow=self.slow, steps=self.steps, until=self.until,
                     every=self.every)  # fmt: skip

    def _draw(self, run: Run, stability: dict[str, Any], compared: Comparison, courses: dict[Case, Course]) -> None:
        axes, maps, regions = (stability[name] for name in ("axes", "eigenvalues", "regions"))
        run.figure("eigenvalues", partial(radius_maps, maps, axes["η"], axes["ρ"], "η", "ρ"))
        run.figure("regions", partial(radius_maps, regions, axes["large η"], axes["α"], "η", "α", stability["borders"]))
        for name, cases in compared.pictures.items():
            lines = {case.key: (courses[case].seconds, courses[case].errors) for case in cases}
            texts = {"xlabel": "virtual time, s", "ylabel": "test error, %"}
            run.figure(name, partial(curves, lines, **texts, log="y", plain=True))

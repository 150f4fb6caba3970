"""Near to far: what stereo says of the ground nearby trains, while driving, what is said of the ground far away."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lowland.data.terrain import Course
from lowland.energies.classifier import Classifier
from lowland.errors import OptionError
from lowland.evaluation.near_to_far import (
    NEAREST,
    Sight,
    colour_answers,
    drive,
    far_errors,
    learn_online,
    near_agreement,
)
from lowland.nn.band_net import FEATURES, BandNet
from lowland.nn.ground_bands import Places
from lowland.plots.curves import curves
from lowland.plots.ground_labels import ground_labels, painted
from lowland.plots.video import write_video
from lowland.recipes.base import Bound, Count, Positive, SeededRecipe, recipe
from lowland.reports.run import Run
from lowland.training.band_features import BandFeatures, learn_features, learn_head
from lowland.training.snapshots import check_rising

NETWORKS = {
    "learned": ("labels", "scaled"),
    "courses": ("courses", "scaled"),
    "autoencoder": ("autoencoder", "scaled"),
    "random": ("random", "scaled"),
    "fixed": ("courses", "fixed"),
}
"""Of each network, how its features were learned, and whether its windows are scaled by distance."""
MAIN = "courses"
NOTHING, COLOUR, OFFLINE, PLAIN, BLANK, TOLD = (
    "nothing", "colour", "offline", "labels offline", "near labels alone", "told",
)  # fmt: skip
_LENGTH, _SHOWN, _SKIPPED, _WINDOWS = 56.0, 3, 30, 16_000
_CURVES = {
    PLAIN: "labels, not adapted", "learned": "labels, adapted", OFFLINE: "courses, not adapted",
    MAIN: "courses, adapted", COLOUR: "colours", TOLD: "told the truth",
}  # fmt: skip
"""Names in the pictures."""


class Left(NamedTuple):
    """What the pictures need of the first seed: one test drive, and the answers for it by method."""

    pictures: list[Tensor]
    sights: list[Sight]
    answers: dict[str, list[Tensor]]
    by_frame: dict[str, list[float]]


@recipe
@dataclass(frozen=True)
class LongRangeRecipe(SeededRecipe):
    """E(x, y) = −y·(W f(x)): x a window along the ground, y whether it can be driven on, W learned on the way."""

    courses: Annotated[int, Bound(least=1, most=1000)] = 16
    """Courses on which features are learned beforehand, three frames of each."""
    validated: Count = 2
    """Courses on which the learning rate on the way is chosen."""
    tested: Count = 3
    """Courses of the test."""
    frames: Annotated[int, Bound(least=2, most=100)] = 8
    """Frames of a drive of 56 metres."""
    edges: tuple[Positive, ...] = (12.0, 20.0, 30.0, 45.0, 60.0)
    """Metres: how far stereo reaches, and ends of ranges beyond for which errors are given."""
    steps: Count = 250
    """Training steps of 128 windows of each network, beforehand."""
    online: Count = 8
    """Training steps of 32 places with each frame, on the way."""
    rates: tuple[Positive, ...] = (0.001, 0.01)
    """Learning rates of Adam on the way, to choose from."""

    stages: ClassVar[int] = len(NETWORKS) + 1
    accelerated: ClassVar[bool] = False
    presets: ClassVar[dict[str, dict[str, Any]]] = {
        "smoke": {
            "courses": 2, "validated": 1, "tested": 1, "frames": 2, "steps": 3, "online": 2, "rates": (0.01,),
            "seeds": 1,
        }
    }  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        check_rising("edges", self.edges)
        if len(self.edges) < 2 or self.edges[0] <= NEAREST or self.edges[-1] > 100:
            raise OptionError(f"edges must be two or more, above {NEAREST:g} and up to 100 m, not {self.edges}.")

    def measure(self, run: Run, seed: int) -> tuple[dict[str, dict[str, Any]], Left]:
        run.stand_in("The terrain is rendered here, of pieces of photographs: no runs of the vehicle are published.")
        taught = cache(partial(self._taught, run, seed))
        networks, heads = dict[str, tuple[str, BandFeatures]](), dict[str, Classifier]()
        for name, (kind, view) in NETWORKS.items():
            networks[name] = view, BandFeatures(BandNet())
            heads[name] = Classifier(FEATURES, 2, ())
            learn = partial(self._learn, taught, kind, view, networks[name][1], heads[name], self._first(seed))
            run.stage(f"train/{name}", learn, [networks[name][1], heads[name]])
        found = run.stage("drive", partial(self._drive, run, networks, heads, seed))
        sights = [Sight(Places(u, v, far), share, truth, {}) for u, v, far, share, truth in found["sights"]]
        left = Left(found["pictures"], sights, found["answers"], found["by_frame"])
        if seed == 0:
            run.show(near=found["near"], places=found["places"], edges=list(self.edges))
        return found["rows"], left

    def _first(self, seed: int) -> int:
        """The first number of the courses of a seed: no two seeds share a course."""
        return (1000 * self.seed + 100 * seed) % 2**30

    def _taught(self, run: Run, seed: int) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Windows by view, their labels, and the numbers of their courses, of courses that are not driven on."""
        run.doing("courses to learn from beforehand")
        sights, numbers = [], []
        for number in range(self.courses):
            course = Course("train", 1000 * self._first(seed) + number)
            for sight in drive(course, (0.0, 0.3 * _LENGTH, 0.6 * _LENGTH), self.edges[0], self.edges[-1], number):
                sights.append(sight)
                numbers.append(torch.full_like(sight.truth, number))
        labels, course = torch.cat([sight.truth for sight in sights]), torch.cat(numbers)
        some = torch.randperm(len(labels), generator=self.generator(seed))[:_WINDOWS]
        windows = {view: torch.cat([sight.inputs[view] for sight in sights])[some] for view in ("scaled", "fixed")}
        return windows, labels[some], course[some]

    def _learn(
        self, taught: Callable[[], Any], kind: str, view: str, features: BandFeatures, head: Classifier, seed: int
    ) -> None:
        windows, labels, course = taught()
        answers = labels + 2 * course if kind == "courses" else labels
        how: Any = "labels" if kind == "courses" else kind
        learned = learn_features(how, windows[view], answers, self.steps, seed=seed)
        features.load_state_dict(learned.state_dict())
        head.load_state_dict(learn_head(features.of(windows[view]), labels, self.steps, seed).state_dict())

    def _sights(self, part: str, number: int, networks: dict[str, tuple[str, BandFeatures]]) -> list[Sight]:
        stops = np.linspace(0, _LENGTH, self.frames).tolist()
        passing = {name: (view, network.of) for name, (view, network) in networks.items()}
        seen = drive(Course(part, number), stops, self.edges[0], self.edges[-1], number)
        return [sight.through(passing) for sight in seen]

    def _online(self, head: Classifier | None, name: str, rate: float, sights: Sequence[Sight], told: bool = False,
                ) -> list[Tensor]:  # fmt: skip
        """Answers on the way of features of a network: from a head, or from none."""
        energy = Classifier(FEATURES, 2, (), self.generator()) if head is None else copy.deepcopy(head)
        shares = [sight.truth.float() if told else sight.share for sight in sights]
        features = [sight.inputs[name] for sight in sights]
        tables = learn_online(energy, features, shares, self.online, rate, seed=self.seed)
        return [table.argmin(dim=1) for table in tables]

    def _drive(
        self, run: Run, networks: dict[str, tuple[str, BandFeatures]], heads: dict[str, Classifier], seed: int
    ) -> dict[str, Any]:
        """Choose rates on validation drives, then drive the test courses once with all methods."""
        first = 1000 * self._first(seed)
        held = [self._sights("validation", first + number, networks) for number in range(self.validated)]
        ways: dict[str, tuple[Classifier | None, str, bool]] = {name: (heads[name], name, False) for name in networks}
        ways |= {BLANK: (None, MAIN, False), TOLD: (heads[MAIN], MAIN, True)}
        rates = {}
        for name, (head, network, told) in ways.items():
            errors = [
                self._errors([self._online(head, network, rate, one, told) for one in held], held)["far"]
                for rate in self.rates
            ]
            rates[name] = self.rates[int(np.argmin(errors))]
        drives, answers = [], dict[str, list[list[Tensor]]]()
        for number in range(self.tested):
            run.doing(f"test course {number + 1} of {self.tested}")
            sights = self._sights("test", first + number, networks)
            said = {NOTHING: [torch.zeros_like(sight.truth) for sight in sights], COLOUR: colour_answers(sights, seed)}
            for name, network in ((OFFLINE, MAIN), (PLAIN, "learned")):
                said[name] = [heads[network].network(sight.inputs[network]).argmax(dim=1) for sight in sights]
            for name, (head, network, told) in ways.items():
                said[name] = self._online(head, network, rates[name], sights, told)
            for name, each in said.items():
                answers.setdefault(name, []).append(each)
            drives.append([sight._replace(inputs={}) for sight in sights])
        rows: dict[str, dict[str, float]] = {name: self._errors(each, drives) for name, each in answers.items()}
        for name, rate in rates.items():
            rows[name]["rate"] = rate
        every = [sight for sights in drives for sight in sights]
        by_frame = {
            name: [far_errors([one[k] for one in answers[name]], [one[k] for one in drives], self.edges[0])[1]
                   for k in range(self.frames)] for name in _CURVES
        }  # fmt: skip
        stops = np.linspace(0, _LENGTH, self.frames).tolist()
        return {
            "rows": rows, "near": near_agreement(every), "places": len(every[0].truth), "by_frame": by_frame,
            "answers": {name: answers[name][0] for name in answers},
            "sights": [[*sight.places, sight.share, sight.truth] for sight in drives[0]],
            "pictures": [Course("test", first).frame(stop).image for stop in stops] if seed == 0 else [],
        }  # fmt: skip

    def _errors(self, answers: Sequence[Sequence[Tensor]], drives: Sequence[Sequence[Sight]]) -> dict[str, float]:
        """Errors in %: of all far places, their mean over both labels, and that of each range."""
        said, seen = [one for each in answers for one in each], [one for each in drives for one in each]
        wrong, far = far_errors(said, seen, self.edges[0])
        found = {"far": far, "wrong": wrong, "near": far_errors(said, seen, 0.0, self.edges[0])[1]}
        for low, high in zip(self.edges[:-1], self.edges[1:], strict=True):
            found[f"to {high} m"] = far_errors(said, seen, low, high)[1]
        return found

    def figures(self, run: Run, first: Left) -> None:
        near = [torch.where(one.share.isnan(), -1.0, (one.share > 0.5).float()).long() for one in first.sights]
        far = [sight.places.distance >= self.edges[0] for sight in first.sights]
        labels = {"stereo, near": near}
        for name in (PLAIN, "learned", MAIN, COLOUR):
            labels[_CURVES[name]] = [torch.where(f, one, -1) for f, one in zip(far, first.answers[name], strict=True)]
        labels["truth"] = [sight.truth for sight in first.sights]
        shown = np.linspace(0, self.frames - 1, min(_SHOWN, self.frames)).round().astype(int)
        rows = {title: [self._painted(first, each, k) for k in shown] for title, each in labels.items()}
        run.figure("drive", partial(ground_labels, rows, ("can be driven on", "cannot")))
        lines = {title: run.measured.curve(name, "to {} m", self.edges[1:]) for name, title in _CURVES.items()}
        run.figure(
            "distance", partial(curves, lines, xlabel="distance up to, m", ylabel="error, mean of both labels, %")
        )
        stops = np.linspace(0, _LENGTH, self.frames).tolist()
        way = {_CURVES[name]: (stops, each) for name, each in first.by_frame.items()}
        run.figure("way", partial(curves, way, xlabel="metres driven", ylabel="error, mean of both labels, %"))
        both = [torch.where(f, said, one) for f, said, one in zip(far, first.answers["learned"], near, strict=True)]
        film = (self._painted(first, both, k) for k in range(self.frames))
        run.video(lambda: write_video(run.folder / "figures" / "drive.mp4", film, rate=2))

    @staticmethod
    def _painted(first: Left, labels: Sequence[Tensor], frame: int) -> NDArray[np.uint8]:
        place = first.sights[frame].places
        return painted(first.pictures[frame], place.u, place.v, labels[frame])[_SKIPPED:]

"""CommonRoad XML, versions 2018b and 2020a (Althoff, Koschi & Manzinger 2017): lanelets and recorded vehicles.

Read with Python's own parser: the package commonroad-io pins an old protobuf that breaks TensorBoard and ONNX. The road
is straightened: x is the arc length along its middle, y the signed distance to the left of the leftmost lanes' left
bound.

Shape letters: N points, V vertices.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from xml.etree import ElementTree

import numpy as np
from scipy.signal import savgol_filter
from scipy.spatial import KDTree

from lowland.data.cleaning import Fault, clean, many
from lowland.data.logs.clock import clocked
from lowland.data.tracks import Floats, Road, Tracks
from lowland.errors import DataError

_SPACING = 2.0
"""Metres between the vertices of a reference line."""
_SMOOTHED = 51
"""Vertices over which a reference line is smoothed, so that its kinks do not show in speeds."""
_LONGEST = 20_000.0
"""Maximum length of a section in metres; a damaged coordinate could require any number of vertices."""
_ELEMENTS, _LANELETS = 2_000_000, 2_000
"""Maximum numbers per file: more would not fit into memory, and a road network is not a section."""
EXACT = 0.01
"""Largest relative difference between a step along the reference and the same step in the plane."""
_STEP = 0.3
"""In metres; shorter steps are of the size of rounding in the positions."""


def read_commonroad(
    root: ElementTree.Element,
    events: Iterator[tuple[str, ElementTree.Element]],
    name: str,
    road: Road | None = None,
) -> tuple[Tracks, list[Fault]]:
    """The recorded vehicles of a scenario, and the faults found.

    x is the arc length along the middle of the road, a compromise between the inside and the outside of a bend.

    Args:
        root: the root element, complete once the events end.
        events: start and end events of elements.
        name: name of the log.
        road: the road, if known.

    Raises:
        DataError: without lanelets or trajectories (a set-based scenario has only regions), for broken numbers, or if a
            step along the road differs from that in the file by more than a hundredth, as at a crossing.
    """
    if sum(1 for _ in islice(events, 2 * _ELEMENTS)) == 2 * _ELEMENTS:
        raise DataError(f"{name} has more than {_ELEMENTS:,} elements: cut out one stretch of road.")
    try:
        lanelets = {lanelet.key: lanelet for lanelet in map(_lanelet, root.findall("lanelet"))}
        dt = float(root.get("timeStepSize", "0.1"))
        rows, without = _rows(root, name)
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(
            f"{name} is not a complete CommonRoad scenario: an element is missing or not a number ({error})."
        ) from None
    if not lanelets:
        raise DataError(f"{name} has no lanelets, so the course of its road is unknown.")
    if len(lanelets) > _LANELETS:
        raise DataError(f"{name} has {len(lanelets):,} lanelets, a network of roads: cut out one stretch of road.")
    if not 0 < dt < 10:
        raise DataError(f"{name} has time steps of {dt:g} s.")
    chain = _carriageway(lanelets, rows[:, 2:4])
    left = Reference(np.concatenate([lanelets[key].left for key in chain]))
    drawn = _road(lanelets, chain, left)
    middle = (drawn.left + drawn.right) / 2
    line = left.shifted(middle)
    x, y = line.project(rows[:, 2:4])
    _check_steps(rows, x, y, name)
    frame, dt, clock = clocked(rows[:, 0].astype(np.int64), rows[:, 1], None, f"The log {name}", fps=1 / dt)
    columns = {
        "vehicle": rows[:, 0],
        "frame": frame,
        "x": x,
        "y": y + middle,
        "length": rows[:, 4],
        "width": rows[:, 5],
    }
    section = _road(lanelets, chain, line, middle)
    tracks, faults = clean(columns, road or section, dt, root.get("benchmarkID", name))
    if 2 * int((tracks.lane < 0).sum()) > len(tracks):
        raise DataError(f"{name} is not a straight section: most of its vehicles drive beside its longest road.")
    if without:
        faults.append(Fault("no trajectory", without, f"{many(without, 'obstacle')} without a trajectory left out."))
    tracks = replace(tracks, reading=f"Read as CommonRoad in metres, along the middle of the road. {clock}")
    return tracks, [fault for fault in faults if fault.kind != "no lanes"]


def _check_steps(rows: Floats, x: Floats, y: Floats, name: str) -> None:
    """Raise if lengths along the reference differ from those in the plane: a bend is too sharp for its width."""
    order = np.lexsort((rows[:, 1], rows[:, 0]))
    vehicle, same = rows[order, 0], np.diff(rows[order, 0]) == 0
    plane = np.hypot(*np.diff(rows[order, 2:4], axis=0)[same].T)
    along = np.hypot(np.diff(x[order])[same], np.diff(y[order])[same])
    told = plane > _STEP
    error = np.abs(along[told] / plane[told] - 1)
    _, whose = np.unique(vehicle[1:][same], return_inverse=True)
    way, found = (np.bincount(whose, lengths) for lengths in (plane, along))
    whole = np.abs(found - way)[way > 10 * _STEP] / way[way > 10 * _STEP]
    if (error > EXACT).sum() > EXACT * len(error) or (whole > EXACT).any():
        most = 100 * max(error.max(initial=0), whole.max(initial=0))
        raise DataError(
            f"{name} is not a straight section: along its longest road, steps of its vehicles would be up to "
            f"{most:.0f} % longer or shorter than they are. Cut out a stretch without crossings and sharp bends."
        )


def _rows(root: ElementTree.Element, name: str) -> tuple[Floats, int]:
    """(N, 6): vehicle, frame, x, y, length, width; and the number of obstacles without a trajectory."""
    obstacles = root.findall("dynamicObstacle")
    obstacles += [each for each in root.findall("obstacle") if each.findtext("role") == "dynamic"]
    rows: list[tuple[float, ...]] = []
    without = 0
    for obstacle in obstacles:
        states = [*obstacle.findall("initialState"), *obstacle.findall("trajectory/state")]
        if obstacle.find("trajectory") is None or any(state.find("position/point") is None for state in states):
            without += 1
            continue
        size = [float(obstacle.findtext(f"shape/rectangle/{side}", "0")) for side in ("length", "width")]
        rows += [
            (float(obstacle.get("id", "")), _number(state, "time/exact"), _number(state, "position/point/x"),
             _number(state, "position/point/y"), *size)
            for state in states
        ]  # fmt: skip
    if not rows:
        what = "only regions that vehicles may occupy (it is set-based)" if without else "no moving vehicle"
        raise DataError(f"{name} cannot be replayed: it holds {what}, and no recorded trajectory.")
    return np.array(rows), without


def _number(element: ElementTree.Element, path: str) -> float:
    return float(element.findtext(path, "missing"))


@dataclass(frozen=True, eq=False)
class _Lanelet:
    key: str
    left: Floats
    right: Floats
    next: tuple[str, ...]
    beside: dict[str, str]
    """Neighbours in the same direction, by "Left" and "Right"."""


def _lanelet(element: ElementTree.Element) -> _Lanelet:
    left, right = (
        np.array([[_number(point, "x"), _number(point, "y")] for point in element.findall(f"{side}Bound/point")])
        for side in ("left", "right")
    )
    if min(len(left), len(right)) < 2:
        raise ValueError("a lanelet with fewer than two points on a side")
    beside = {
        side: found.get("ref", "")
        for side in ("Left", "Right")
        if (found := element.find(f"adjacent{side}")) is not None and found.get("drivingDir") == "same"
    }
    following = tuple(each.get("ref", "") for each in element.findall("successor"))
    return _Lanelet(element.get("id", ""), left, right, following, beside)


def _carriageway(lanelets: dict[str, _Lanelet], places: Floats) -> list[str]:
    """The chain of leftmost lanelets with the most vehicles to its right, within ten lanes."""
    inner = {key for key, lanelet in lanelets.items() if "Left" not in lanelet.beside} or set(lanelets)
    followed = {key for inside in inner for key in lanelets[inside].next}
    best, most = [next(iter(inner))], -1
    for start in sorted(inner - followed) or sorted(inner):
        chain = [start]
        while options := [key for key in lanelets[chain[-1]].next if key in inner and key not in chain]:
            chain.append(max(options, key=lambda key: len(lanelets[key].left)))
        line = Reference(np.concatenate([lanelets[key].left for key in chain]))
        x, y = line.project(places)
        count = int(((x >= 0) & (x <= line.length) & (y <= 1) & (y > -40)).sum())
        if count > most:
            best, most = chain, count
    return best


def _road(lanelets: dict[str, _Lanelet], chain: list[str], line: Reference, y: float = 0.0) -> Road:
    """The cross-section with the most lanes along the chain; the line is at y."""
    sections = []
    for key in chain:
        row = [key]
        while (right := lanelets[row[-1]].beside.get("Right")) in lanelets and right not in row:
            row.append(str(right))
        sections.append(row)
    lanes = max(Counter(map(len, sections)))
    widest = [row for row in sections if len(row) == lanes]
    bounds = [np.concatenate([lanelets[row[0]].left for row in widest])]
    bounds += [np.concatenate([lanelets[row[lane]].right for row in widest]) for lane in range(lanes)]
    edges = sorted(y + float(np.median(line.project(bound)[1])) for bound in bounds)
    return Road(0.0, line.length, tuple(edges))


class Reference:
    """A smooth line along a road, extended straight at both ends.

    >>> line = Reference(np.array([[0.0, 0.0], [100.0, 0.0]]))
    >>> along, across = line.project(np.array([[30.0, 2.0], [-5.0, -1.0]]))
    >>> along.round(6).tolist(), across.round(6).tolist()
    ([30.0, -5.0], [2.0, -1.0])

    Raises:
        DataError: if the line has no length, is not finite, or is longer than any section.
    """

    def __init__(self, points: Floats) -> None:
        along = np.concatenate([[0], np.hypot(*np.diff(points, axis=0).T)]).cumsum()
        kept = np.diff(along, prepend=-1) > 1e-6
        if not np.isfinite(along).all() or kept.sum() < 2:
            raise DataError("The bound of a lane has no length.")
        self.length = float(along[-1])
        if self.length > _LONGEST:
            raise DataError(
                f"The bound of a lane is {self.length / 1000:.3g} km long: one of its points must be wrong."
            )
        count = max(round(self.length / _SPACING), 1) + 1
        even = np.linspace(0, self.length, count)
        line = np.stack([np.interp(even, along[kept], axis[kept]) for axis in points.T], axis=1)
        self.spacing = self.length / (count - 1)
        # A rolling mean would move a bend inward; a parabola fitted to each stretch follows it, even at the ends.
        window = min(_SMOOTHED, count - 1 + count % 2)
        self.line: Floats = np.asarray(savgol_filter(line, window, min(2, window - 1), axis=0), dtype=np.float64)
        tangent = np.asarray(np.gradient(self.line, axis=0), dtype=np.float64)
        self.tangent = tangent / np.hypot(*tangent.T)[:, None]

    def shifted(self, distance: float) -> Reference:
        """The line shifted to the left by `distance`, with its own arc length."""
        normal = np.stack([-self.tangent[:, 1], self.tangent[:, 0]], axis=1)
        return Reference(self.line + distance * normal)

    def project(self, points: Floats) -> tuple[Floats, Floats]:
        """Arc length along the line and distance to its left, (N,) each: s such that (p − c(s)) · t(s) = 0.

        The line and its tangent are interpolated, so s does not jump at the kinks of a polyline.
        """
        place: Floats = np.asarray(KDTree(self.line).query(points)[1], dtype=np.float64)
        for _ in range(20):
            off = points - self._at(self.line, place)
            # Beyond the ends the line is straight, so a single step of any length is exact.
            place = place + (off * self._at(self.tangent, place)).sum(axis=1) / self.spacing
        tangent = self._at(self.tangent, place)
        off = points - self._at(self.line, place)
        return place * self.spacing, tangent[:, 0] * off[:, 1] - tangent[:, 1] * off[:, 0]

    def _at(self, values: Floats, place: Floats) -> Floats:
        """Values between vertices and beyond the ends, where lines are straight and tangents constant."""
        clipped = np.clip(place, 0, len(values) - 1)
        grid = np.arange(len(values))
        inside = np.stack([np.interp(clipped, grid, axis) for axis in values.T], axis=1)
        if values is self.line:
            end = np.where(place < 0, 0, len(values) - 1).astype(int)
            inside = inside + ((place - clipped) * self.spacing)[:, None] * self.tangent[end]
        return inside

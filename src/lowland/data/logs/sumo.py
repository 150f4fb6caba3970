"""SUMO's floating-car output (`--fcd-output`): every vehicle at every time step, in the coordinates of the network.

Its position is the middle of the front bumper and its angle is clockwise from north. The file has no sizes: those of
SUMO's default car are used. The section must be straight; it is rotated so that x is the mean direction of travel.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np

from lowland.data.cleaning import FARTHEST, Fault, clean
from lowland.data.logs.clock import clocked
from lowland.data.tracks import Road, Tracks
from lowland.errors import DataError

LENGTH, WIDTH = 5.0, 1.8
"""Length and width of SUMO's default vehicle, in metres."""
_STRAIGHT = 0.35
"""Largest deviation from the mean direction of travel, in radians (20°)."""


def read_sumo(
    root: ElementTree.Element,
    events: Iterator[tuple[str, ElementTree.Element]],
    name: str,
    road: Road | None = None,
) -> tuple[Tracks, list[Fault]]:
    """The vehicles of a floating-car output. Lanes are numbered within their edge, with 0 the rightmost.

    Args:
        root: the root element, which is emptied while the file is read.
        events: start and end events of elements.
        name: name of the log.
        road: the road, if known.

    Raises:
        DataError: for broken numbers, no vehicles, or a road that is not straight.
    """
    rows, numbers = array("d"), dict[str, int]()
    time, sized = float("nan"), True
    try:
        for event, each in events:
            if event == "start" and each.tag == "timestep":
                time = float(each.get("time", "missing"))
            elif event == "end" and each.tag == "vehicle":
                whose = numbers.setdefault(each.get("id", ""), len(numbers))
                sized = sized and "length" in each.attrib
                lane = each.get("lane", "").rpartition("_")[2]
                rows.extend(
                    (whose, time, *(float(each.get(key, "missing")) for key in ("x", "y", "angle")),
                     float(each.get("length", LENGTH)), float(each.get("width", WIDTH)),
                     float(lane) if lane.isdecimal() else -1)
                )  # fmt: skip
                each.clear()
            elif event == "end" and each.tag == "timestep":
                root.clear()
    except ElementTree.ParseError:
        raise
    except ValueError as error:
        raise DataError(f"{name} is not a complete floating-car output of SUMO: {error}.") from None
    if not rows:
        raise DataError(f"{name} is a floating-car output of SUMO without a vehicle in it.")
    table = np.frombuffer(rows).reshape(-1, 8)
    if not (np.abs(table) < FARTHEST).all():
        raise DataError(f"{name} holds numbers that are not finite or no places on Earth.")
    vehicle, time, x, y, angle, length, width, lane = table.T
    heading = np.pi / 2 - np.deg2rad(angle)
    mean = np.arctan2(np.sin(heading).mean(), np.cos(heading).mean())
    turned = np.abs(np.angle(np.exp(1j * (heading - mean)))) > _STRAIGHT
    if turned.mean() > 0.05:
        raise DataError(
            f"{name} is not a straight section of one direction: {100 * turned.mean():.0f} % of its vehicles drive "
            "more than 20° away from the others. Record one stretch of the network."
        )
    frame, dt, clock = clocked(vehicle.astype(np.int64), None, time, f"The log {name}")
    x, y = x - np.cos(heading) * length / 2, y - np.sin(heading) * length / 2
    columns = {
        "vehicle": vehicle,
        "frame": frame,
        "x": np.cos(mean) * x + np.sin(mean) * y,
        "y": np.cos(mean) * y - np.sin(mean) * x,
        "length": length,
        "width": width,
        "lane": lane,
    }
    tracks, faults = clean(columns, road, dt, name)
    tracks = replace(tracks, reading=f"Read as SUMO's floating cars in metres. {clock}")
    if not sized:
        sentence = f"The file has no sizes of vehicles: {LENGTH:g} × {WIDTH:g} m, SUMO's ordinary car, taken for all."
        faults.append(Fault("no sizes", len(tracks.vehicles), sentence))
    return tracks, faults

"""Dense traffic on six lanes, simulated by SUMO and recorded at ten frames per second.

Uniform congestion is too easy: a car that keeps its speed and lane never meets another. Stop-and-go waves make dense
traffic hard, so here the speed limits vary, one zone is slow, and the exit opens and closes.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from lowland.data.tracks import Floats, Road, Tracks
from lowland.errors import DataError, OptionError, UnsupportedError


@dataclass(frozen=True)
class Scene:
    """The settings of a simulation, in metres and seconds.

    Args:
        lanes: number of lanes.
        lane_width: width of a lane.
        edges: number of stretches of `stretch` metres, each with its own speed limit in each lane.
        stretch: length of a stretch.
        recorded: x where the recording begins and ends; traffic enters and leaves outside.
        speed: mean of the speed limits; the slow zone and other cars reduce actual speeds to about half.
        every: time between changes of limits.
        changed: fraction of limits that change.
        range: range of a limit, as fractions of `speed`.
        slow: the same for the slow zone, which is one stretch that moves.
        exit: the same for the last stretch.
        flow: vehicles per second that try to enter each lane.
        wander: standard deviation of the lateral movement about the lane centre, which SUMO does not model.
        warm_up: time simulated before the recording.
    """

    lanes: int = 6
    lane_width: float = 3.7
    edges: int = 5
    stretch: float = 100.0
    recorded: tuple[float, float] = (100.0, 340.0)
    speed: float = 17.0
    every: float = 8.0
    changed: float = 0.3
    range: tuple[float, float] = (0.7, 1.5)
    slow: tuple[float, float] = (0.35, 0.65)
    exit: tuple[float, float] = (0.7, 1.4)
    flow: float = 0.37
    wander: float = 0.2
    warm_up: float = 240.0


DRIVERS = {
    "calm": (0.3, "length='4.7' width='1.85' accel='1.4' decel='2.5' tau='1.4' speedFactor='normc(0.92,0.08,0.7,1.2)'"),
    "usual": (0.4, "length='4.4' width='1.8' accel='2.0' decel='3.0' tau='1.1' speedFactor='normc(1.0,0.1,0.75,1.3)'"),
    "hasty": (
        0.2,
        "length='4.5' width='1.85' accel='2.8' decel='3.5' tau='0.8' speedFactor='normc(1.15,0.1,0.9,1.5)' "
        "lcSpeedGain='3' lcAssertive='1.3'",
    ),
    "van": (0.06, "length='6.2' width='2.0' accel='1.3' decel='2.5' tau='1.3' speedFactor='normc(0.95,0.06,0.8,1.1)'"),
    "truck": (0.04, "length='11' width='2.45' accel='0.9' decel='2.2' tau='1.6' speedFactor='normc(0.9,0.05,0.8,1)'"),
}
"""Types of drivers: their share, and attributes of SUMO's vType in addition to the common ones."""

FRAME = 0.1
"""Seconds between frames, of simulation and recording."""
Rows: TypeAlias = list[tuple[str, int, float, float, float, float]]
"""Vehicle, frame, x and y of its front bumper, length, width."""


def simulate(seed: int, minutes: float = 10.0, scene: Scene | None = None) -> Tracks:
    """A recording of dense traffic, deterministic given the seed.

    Cars follow by the intelligent driver model (Treiber, Hennecke & Helbing 2000) and change lanes by LC2013, taking
    four seconds. SUMO's position is the middle of the front bumper; here it is the centre.

    Raises:
        UnsupportedError: without SUMO: `pip install libsumo eclipse-sumo`.
        OptionError: for a seed below 0, or a recording of length 0.
    """
    scene = scene or Scene()
    if seed < 0 or not 1 / 600 <= minutes <= 600:
        raise OptionError(f"A recording needs a seed from 0 and a frame to 600 minutes, not {seed} and {minutes}.")
    try:
        import libsumo
        import sumo
    except ImportError:
        raise UnsupportedError("Traffic is simulated by SUMO: run `pip install libsumo eclipse-sumo`.") from None
    with tempfile.TemporaryDirectory() as folder:
        net = _network(scene, Path(folder), str(Path(sumo.SUMO_HOME) / "bin"))
        demand = Path(folder) / "demand.rou.xml"
        demand.write_text(_demand(scene, scene.warm_up + 60 * minutes))
        options = {
            "--net-file": net,
            "--route-files": demand,
            "--seed": seed,
            "--step-length": FRAME,
            "--lanechange.duration": 4,
            "--time-to-teleport": -1,
            "--collision.action": "none",
            "--no-step-log": "true",
            "--no-warnings": "true",
        }
        words = [str(word) for pair in options.items() for word in pair]
        try:
            libsumo.start(["sumo", *words])
            try:
                rows = _record(libsumo, scene, seed, minutes)
            finally:
                libsumo.close()
        except (libsumo.TraCIException, libsumo.FatalTraCIError) as error:
            raise DataError(f"SUMO could not simulate the traffic ({error}).") from error
    return _tracks(rows, scene, seed)


def _network(scene: Scene, folder: Path, programs: str) -> Path:
    """A straight road, made by SUMO's own tool."""
    netconvert = shutil.which("netconvert", path=programs)
    if netconvert is None:
        raise UnsupportedError(f"SUMO's netconvert is not in {programs}: run `pip install eclipse-sumo`.")
    places = [i * scene.stretch for i in range(scene.edges + 1)]
    nodes = "".join(f"<node id='n{i}' x='{x}' y='0'/>" for i, x in enumerate(places))
    edges = "".join(
        f"<edge id='e{i}' from='n{i}' to='n{i + 1}' numLanes='{scene.lanes}' speed='{1.5 * scene.speed}' "
        f"width='{scene.lane_width}' spreadType='right'/>"
        for i in range(scene.edges)
    )
    files = {"nodes": folder / "road.nod.xml", "edges": folder / "road.edg.xml"}
    files["nodes"].write_text(f"<nodes>{nodes}</nodes>")
    files["edges"].write_text(f"<edges>{edges}</edges>")
    made = folder / "road.net.xml"
    command = [netconvert, "-n", files["nodes"], "-e", files["edges"], "-o", made]
    quiet = ["--no-internal-links", "--no-turnarounds", "--offset.disable-normalization", "true"]
    done = subprocess.run([*map(str, command), *quiet], capture_output=True, text=True, check=False)
    if done.returncode or not made.is_file():
        raise DataError(f"SUMO's netconvert failed: {' '.join(done.stderr.split())[:300]}")
    return made


def _demand(scene: Scene, seconds: float) -> str:
    """As many vehicles as each lane can take, of all driver types."""
    common = "carFollowModel='IDM' minGap='2' lcMaxSpeedLatStanding='0' lcMaxSpeedLatFactor='0.12'"
    types = "".join(
        f"<vType id='{name}' probability='{share}' {common} {text}/>" for name, (share, text) in DRIVERS.items()
    )
    route = " ".join(f"e{i}" for i in range(scene.edges))
    flows = "".join(
        f"<flow id='f{lane}' type='drivers' route='road' begin='0' end='{seconds}' period='exp({scene.flow})' "
        f"departLane='{lane}' departSpeed='avg' departPos='base'/>"
        for lane in range(scene.lanes)
    )
    return (
        f"<routes><vTypeDistribution id='drivers'>{types}</vTypeDistribution>"
        f"<route id='road' edges='{route}'/>{flows}</routes>"
    )


def _record(libsumo: Any, scene: Scene, seed: int, minutes: float) -> Rows:
    """Vary the limits while SUMO runs, and record the position of every vehicle at every recorded frame."""
    chance = np.random.default_rng(seed)
    warm_up, frames = round(scene.warm_up / FRAME), round(60 * minutes / FRAME)
    sizes: dict[str, tuple[float, float]] = {}
    rows: Rows = []
    for step in range(warm_up + frames):
        if step % round(scene.every / FRAME) == 0:
            _limits(libsumo, scene, chance, first=step == 0)
        libsumo.simulationStep()
        if step < warm_up:
            continue
        for name in libsumo.vehicle.getIDList():
            if name not in sizes:
                sizes[name] = (libsumo.vehicle.getLength(name), libsumo.vehicle.getWidth(name))
            rows.append((name, step - warm_up, *libsumo.vehicle.getPosition(name), *sizes[name]))
    return rows


def _limits(libsumo: Any, scene: Scene, chance: np.random.Generator, first: bool) -> None:
    """Redraw some of the limits of all lanes and stretches; one stretch is slow, and the last is the exit."""
    slow = int(chance.integers(scene.edges - 1))
    for edge in range(scene.edges):
        low, high = scene.exit if edge == scene.edges - 1 else scene.slow if edge == slow else scene.range
        for lane in range(scene.lanes):
            drawn = chance.random() < scene.changed or first
            limit = scene.speed * chance.uniform(low, high)
            if drawn:
                libsumo.lane.setMaxSpeed(f"e{edge}_{lane}", limit)


def _tracks(rows: Rows, scene: Scene, seed: int) -> Tracks:
    """Convert bumpers to centres, add lateral movement, and cut out the recorded part of the road."""
    names, vehicle = np.unique([row[0] for row in rows], return_inverse=True)
    frame = np.array([row[1] for row in rows])
    x, y, length, width = np.array([row[2:] for row in rows], dtype=np.float64).T
    order = np.lexsort((frame, vehicle))
    road = Road(*scene.recorded, edges=tuple(np.arange(scene.lanes + 1) * scene.lane_width))
    x, y, length, width = x[order] - length[order] / 2, y[order] + road.left, length[order], width[order]
    whole = Tracks(vehicle[order], frame[order], x, y, length, width, 0 * frame, road, FRAME, f"traffic-{seed}")
    # Lane changes begin and end abruptly in SUMO, which no real car can do.
    y = whole.smooth(21).y + _wander(whole, len(names), scene, np.random.default_rng([seed, 1]))
    inside = (whole.x >= road.length_from) & (whole.x <= road.length_to)
    return replace(whole, y=y, lane=road.lane_of(y)).select(inside)


def _wander(tracks: Tracks, vehicles: int, scene: Scene, chance: np.random.Generator) -> Floats:
    """Three waves along the road per vehicle, as a function of x, so that a standing car does not slide."""
    waves = 3
    wave_length, phase = chance.uniform(60, 200, (waves, vehicles)), chance.uniform(0, 2 * np.pi, (waves, vehicles))
    angle = 2 * np.pi * tracks.x / wave_length[:, tracks.vehicle] + phase[:, tracks.vehicle]
    return scene.wander * np.sqrt(2 / waves) * np.sin(angle).sum(axis=0)

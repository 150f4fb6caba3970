"""Files of logs: written as a whole or not at all, read within bounds, and bends as long as they are."""

from __future__ import annotations

import errno
import gzip
import io
import os
import tracemalloc
import zipfile

import numpy as np
import pytest

from lowland.data.cleaning import clean
from lowland.data.logs import opening as opening_module
from lowland.data.logs import parse_tracks, read_tracks, save_tracks, write_table
from lowland.data.logs.opening import check_archive, unpacked
from lowland.errors import DataError

from . import tables  # noqa: TID252  folders of tests are on no path

TRUE = tables.world()
SHAPE = "<shape><rectangle><length>4.5</length><width>1.8</width></rectangle></shape>"


@pytest.fixture
def log():
    return parse_tracks(tables.text(tables.own(TRUE)).encode(), "log.csv")[0]


@pytest.mark.parametrize("write", [save_tracks, write_table])
def test_a_full_disk_leaves_the_old_log(log, write, tmp_path, monkeypatch):
    path = write(log, tmp_path / "logs" / "log")
    before = path.read_bytes()

    def full(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match="could not be written: No space left"):
        write(log.select(np.arange(50)), path)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_what_is_no_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="is a named pipe, not a file"):
        read_tracks(tmp_path / "pipe")
    with pytest.raises(DataError, match="is a folder, not a file"):
        read_tracks(tmp_path)
    with pytest.raises(DataError, match="is a device, not a file"):
        read_tracks("/dev/zero")


def test_packed_logs_are_bounded(monkeypatch):
    monkeypatch.setattr(opening_module, "SMALL", 10**5)
    bomb = gzip.compress(b"vehicle,time,x,y,length,width\n" + b"1,0,0,0,4,2\n" * 20_000)
    with pytest.raises(DataError, match="unpacks to more than 60 times its size"):
        parse_tracks(bomb, "bomb.gz")
    # In pieces, so that no more than the bound is ever unpacked.
    monkeypatch.setattr(opening_module, "SMALL", 1000)
    stream = unpacked(io.BytesIO(gzip.compress(bytes(10**6))), "bomb.gz")
    with pytest.raises(DataError, match=r"bomb\.gz unpacks"):
        stream.read()
    packed = gzip.compress(tables.text(tables.own(TRUE)).encode())
    assert tables.is_world(parse_tracks(packed, "log.csv.gz")[0], TRUE)


def test_archives_are_refused_by_what_they_announce():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", bytes(2**20))
    check_archive(buffer, 2**20, "log.npz")
    assert buffer.tell() == 0
    with pytest.raises(DataError, match="would unpack to 1 MB"):
        check_archive(buffer, 2**20 - 1, "log.npz")


def test_a_line_without_end_is_refused():
    with pytest.raises(DataError, match="a line of more than 100,000 characters"):
        parse_tracks(b"x," * 100_000, "line.csv")
    with pytest.raises(DataError, match="16 MB without an XML element"):
        parse_tracks(b"<fcd-export>" + b" " * 2**24 + b"      " * 2**16 + b"</fcd-export>", "spaces.xml")


def test_one_frame_of_a_table_far_away_is_refused():
    columns = tables.own(TRUE)
    columns["frame"] = TRUE["frame"].astype(object)
    columns["frame"][7] = 9 * 10**15
    del columns["time"]
    with pytest.raises(DataError, match="frames but no times"):
        parse_tracks(tables.text(columns).encode(), "log.csv")
    columns = {**tables.ngsim(TRUE), "Global_Time": 0 * TRUE["frame"]}
    columns["Frame_ID"] = columns["Frame_ID"].astype(object)
    columns["Frame_ID"][7] = 9 * 10**15
    with pytest.raises(DataError, match=r"spans 9e\+15 frames of 0\.1 s, up to vehicle 1: no recording is so long"):
        parse_tracks(tables.text(columns).encode(), "log.csv")


def bend(radius, lanes=2, speed=15.0, frames=60, kink=0.0):
    """CommonRoad on a left bend of that radius, of its middle; cars in the middles of lanes, at even speed."""
    half = lanes * 3.6 / 2
    angles = np.linspace(0, min(300 / radius, 1.5), 31)
    rng = np.random.default_rng(0)

    def bound(offset):
        jolt = kink * rng.uniform(-1, 1, len(angles))
        points = np.stack(
            [(radius - offset + jolt) * np.sin(angles), radius - (radius - offset + jolt) * np.cos(angles)]
        )
        return "".join(f"<point><x>{x:.4f}</x><y>{y:.4f}</y></point>" for x, y in points.T)

    edges = [half - 3.6 * lane for lane in range(lanes + 1)]
    bounds = [bound(edge) for edge in edges]
    xml = ""
    for lane in range(lanes):
        beside = f'<adjacentLeft ref="{lane}" drivingDir="same"/>' if lane else ""
        beside += f'<adjacentRight ref="{lane + 2}" drivingDir="same"/>' if lane + 1 < lanes else ""
        left, right = f"<leftBound>{bounds[lane]}</leftBound>", f"<rightBound>{bounds[lane + 1]}</rightBound>"
        xml += f'<lanelet id="{lane + 1}">{left}{right}{beside}</lanelet>'
    cars = []
    for car in range(3 * lanes):
        offset = edges[car % lanes] - 1.8
        along = 20 + 40 * (car // lanes) + 0.1 * speed * np.arange(frames)
        turned = along / (radius - offset)
        place = np.stack([(radius - offset) * np.sin(turned), radius - (radius - offset) * np.cos(turned)], axis=1)
        cars.append(place)
        states = [
            f"<position><point><x>{x:.4f}</x><y>{y:.4f}</y></point></position><time><exact>{t}</exact></time>"
            for t, (x, y) in enumerate(place)
        ]
        path = "".join(f"<state>{each}</state>" for each in states[1:])
        xml += (
            f'<dynamicObstacle id="{car + 1}">{SHAPE}'
            f"<initialState>{states[0]}</initialState><trajectory>{path}</trajectory></dynamicObstacle>"
        )
    return f'<commonRoad timeStepSize="0.1" benchmarkID="bend">{xml}</commonRoad>'.encode(), cars


@pytest.mark.parametrize(("radius", "lanes"), [(3000, 6), (1500, 2), (800, 2), (400, 1)])
def test_steps_on_a_bend_are_as_long_as_in_the_file(radius, lanes):
    payload, cars = bend(radius, lanes, kink=0.02)
    log, faults = parse_tracks(payload, "bend.xml")
    assert [fault.kind for fault in faults] == (["one lane"] if lanes == 1 else [])
    assert len(log) == sum(map(len, cars))
    for (start, stop), place in zip(log.segments(), cars, strict=True):
        along = np.hypot(np.diff(log.x[start:stop]), np.diff(log.y[start:stop]))
        plane = np.hypot(*np.diff(place, axis=0).T)
        assert np.abs(along / plane - 1).max() < 0.01
    # The car of each lane at its distance from the leftmost bound: to a centimetre and the kinks of the drawing.
    for lane in range(lanes):
        start = log.segments()[lane, 0]
        assert log.y[start : start + 60] == pytest.approx(-3.6 * lane - 1.8, abs=0.03)


@pytest.mark.parametrize(("radius", "lanes"), [(300, 6), (150, 2), (25, 2)])
def test_a_bend_too_sharp_for_its_width_is_refused(radius, lanes):
    # The outermost lane's middle lies half a road less half a lane from the reference, and is that much longer.
    assert (lanes - 1) * 1.8 / radius > 0.01
    with pytest.raises(DataError, match=r"not a straight section: .* % longer or shorter than they are"):
        parse_tracks(bend(radius, lanes)[0], "bend.xml")


def test_a_car_that_turns_off_is_not_blamed_for_jumps():
    payload, _ = bend(2000)
    turn = "".join(
        f"<state><position><point><x>{60 + 20 * np.sin(a):.3f}</x><y>{-20 + 20 * np.cos(a):.3f}</y></point></position>"
        f"<time><exact>{k + 1}</exact></time></state>"
        for k, a in enumerate(np.linspace(0, 1.5, 50))
    )
    other = (
        f'<dynamicObstacle id="99">{SHAPE}'
        "<initialState><position><point><x>59</x><y>0</y></point></position><time><exact>0</exact></time></initialState>"
        f"<trajectory>{turn}</trajectory></dynamicObstacle></commonRoad>"
    )
    log, faults = parse_tracks(payload.replace(b"</commonRoad>", other.encode()), "crossing.xml")
    assert [fault.kind for fault in faults] == ["beside the road"]
    assert (log.vehicle == 99).sum() == 51


def test_one_point_far_away_is_refused():
    payload, _ = bend(2000)
    far = payload.replace(b"<point><x>0.0000</x>", b"<point><x>1e9</x>", 1)
    with pytest.raises(DataError, match=r"The bound of a lane is .e\+06 km long: one of its points must be wrong"):
        parse_tracks(far, "far.xml")


def test_vehicles_across_the_road_are_left_out_or_the_log_is_refused():
    rows = {
        "vehicle": np.repeat(np.arange(10), 30), "frame": np.tile(np.arange(30), 10), "x": np.tile(np.arange(30.0), 10),
        "y": np.repeat(np.arange(10) % 2 * 3.6, 30), "length": np.full(300, 4.5), "width": np.full(300, 1.8),
    }  # fmt: skip
    rows["x"] = rows["x"] + 40 * rows["vehicle"]
    one = {**rows, "y": rows["y"].copy(), "x": rows["x"].copy()}
    one["y"][:30], one["x"][:30] = np.arange(30.0), 5.0
    log, faults = clean(one)
    assert [(fault.kind, fault.count) for fault in faults][:1] == [("across the road", 1)]
    assert 0 not in log.vehicles
    with pytest.raises(DataError, match=r"100 % of its moving vehicles drive across the road.*x=NAME,y=NAME"):
        clean({**rows, "x": rows["y"] * 0, "y": np.tile(np.arange(30.0), 10)})


def test_memory_is_a_few_times_the_table(tmp_path):
    """Nine numbers of 8 bytes a row, six times at the most, and the rows that are read at once."""
    true = tables.world(frames=200, cars=150)
    path = tmp_path / "long.csv"
    path.write_text(tables.text(tables.own(true)))
    rows = len(true["x"])
    parse_tracks(tables.text(tables.own(TRUE)).encode(), "what is imported at the first use")
    tracemalloc.start()
    log, _ = read_tracks(path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(log) == rows
    assert most < 6 * 72 * rows + 2**23

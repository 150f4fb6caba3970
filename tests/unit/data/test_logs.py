"""Every format on a few vehicles in the real layout, and on damaged files: one sentence, never a traceback."""

from __future__ import annotations

import contextlib
import gzip
import io
import warnings
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lowland as ll
from lowland.data.cleaning import clean
from lowland.data.logs import parse_tracks, read_tracks, save_tracks, write_table
from lowland.data.logs.commonroad import Reference
from lowland.data.tracks import Road
from lowland.errors import DataError, LowlandError, OptionError

FRAMES, DT, SPEED = 30, 0.1, 10.0
CARS = {1: (5.0, 1.85), 2: (30.0, 1.85), 3: (18.0, 5.55)}
"""Where the centres are at first: two cars in the right lane, one in the left."""


def places():
    return [(car, frame, x + SPEED * DT * frame, y) for car, (x, y) in CARS.items() for frame in range(FRAMES)]


def ngsim(separator=" "):
    lines = []
    for car, frame, x, y in places():
        along, across = (x + 4.5 / 2) / 0.3048, (7.4 - y) / 0.3048
        values = [car, frame, FRAMES, 0, f"{across:.4f}", f"{along:.4f}", 0, 0, f"{4.5 / 0.3048:.4f}"]
        values += [f"{1.8 / 0.3048:.4f}", 2, 0, 0, 1 if y > 3.7 else 2, 0, 0, 0, 0]
        lines.append(separator.join(map(str, values)))
    return "\n".join(lines) + "\n"


HEADER = (
    "Vehicle_ID,Frame_ID,Total_Frames,Global_Time,Local_X,Local_Y,Global_X,Global_Y,v_length,v_Width,v_Class,v_Vel,v_Acc,"
    "Lane_ID,Preceding,Following,Space_Headway,Time_Headway\n"
)


def sumo():
    steps = []
    for frame in range(FRAMES):
        # Turned by 90°: SUMO's angle 0 is north, and the front bumper is the position.
        cars = "".join(
            f'<vehicle id="car{car}" x="{-y:.3f}" y="{x + 2.5:.3f}" angle="0.00" type="t" speed="10" pos="1" '
            f'lane="e0_{int(y > 3.7)}" slope="0"/>'
            for car, when, x, y in places()
            if when == frame
        )
        steps.append(f'<timestep time="{frame * DT:.2f}">{cars}</timestep>')
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<fcd-export>{"".join(steps)}</fcd-export>'


def bound(side, y):
    points = "".join(f"<point><x>{x}</x><y>{y}</y></point>" for x in (0, 50, 100))
    return f"<{side}Bound>{points}</{side}Bound>"


def state(tag, x, y, frame):
    position = f"<position><point><x>{x:.3f}</x><y>{y}</y></point></position>"
    return f"<{tag}>{position}<time><exact>{frame}</exact></time></{tag}>"


def commonroad(version="2020a", trajectory=True):
    lanelets = "".join(
        f'<lanelet id="{key}">{bound("left", y + 3.7)}{bound("right", y)}'
        f'<adjacent{side} ref="{3 - key}" drivingDir="same"/></lanelet>'
        for key, y, side in ((1, 0.0, "Left"), (2, 3.7, "Right"))
    )
    obstacles = ""
    for car, (x, y) in CARS.items():
        later = "".join(state("state", x + SPEED * DT * frame, y, frame) for frame in range(1, FRAMES))
        path = f"<trajectory>{later}</trajectory>" if trajectory else "<occupancySet/>"
        tag, role = ("obstacle", "<role>dynamic</role>") if version == "2018b" else ("dynamicObstacle", "")
        shape = "<shape><rectangle><length>4.5</length><width>1.8</width></rectangle></shape>"
        obstacles += f'<{tag} id="{car}">{role}<type>car</type>{shape}{state("initialState", x, y, 0)}{path}</{tag}>'
    return (
        f'<?xml version="1.0"?><commonRoad commonRoadVersion="{version}" timeStepSize="0.1" benchmarkID="tiny">'
        f"{lanelets}{obstacles}</commonRoad>"
    )


def table(separator=",", second=1.0):
    names = separator.join(["track_id", "time", "x", "y", "length", "width", "comment"])
    rows = [separator.join([f"car{car}", f"{frame * DT * second:.1f}", f"{x:.3f}", f"{y}", "4.5", "1.8", "-"])
            for car, frame, x, y in places()]  # fmt: skip
    return "\n".join([names, *rows]) + "\n"


def own():
    columns = [np.array(column) for column in zip(*places(), strict=True)]
    rows = dict(zip(("vehicle", "frame", "x", "y"), columns, strict=True))
    return clean({**rows, "length": np.full(90, 4.5), "width": np.full(90, 1.8)}, Road(0, 100, (0.0, 3.7, 7.4)))[0]


FILES = {
    "NGSIM text": ngsim().encode(),
    "NGSIM table": (HEADER + ngsim(",")).encode(),
    "CommonRoad 2018b": commonroad("2018b").encode(),
    "CommonRoad 2020a": commonroad().encode(),
    "SUMO": sumo().encode(),
    "SUMO, packed": gzip.compress(sumo().encode(), mtime=0),
    "table": table().encode(),
    "table of another locale": table(";").encode("utf-8-sig"),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    path = tmp_path_factory.mktemp("logs") / "own.npz"
    return {**FILES, "Lowland": save_tracks(own(), path).read_bytes()}


@pytest.mark.parametrize("kind", [*FILES, "Lowland"])
def test_every_format_gives_the_same_log(files, tmp_path, kind):
    path = tmp_path / "log"
    path.write_bytes(files[kind])
    log, _ = read_tracks(path)
    assert (len(log), len(log.vehicles), log.road.lanes) == (90, 3, 2)
    assert log.dt == pytest.approx(DT)
    # Files are written to the millimetre, NGSIM's to 10⁻⁴ feet.
    assert np.allclose(np.diff(log.x)[log.segments()[0, 0] : 29], SPEED * DT, atol=2e-3)
    first = {tuple(np.round([log.x[start] - log.x[0], log.y[start] - log.y[0]], 2)) for start, _ in log.segments()}
    assert first == {(0.0, 0.0), (25.0, 0.0), (13.0, 3.7)}
    assert sorted(log.lane[log.segments()[:, 0]]) == [0, 0, 1]


def test_positions_are_centres_in_the_frame_of_the_road(files):
    log = parse_tracks(files["NGSIM text"], "ngsim")[0]
    assert log.x[:2] == pytest.approx([5.0, 6.0], abs=1e-3)
    assert log.y[0] == pytest.approx(-(7.4 - 1.85), abs=1e-3)
    log = parse_tracks(files["CommonRoad 2020a"], "cr")[0]
    assert log.x[:2] == pytest.approx([5.0, 6.0], abs=2e-3)
    # The reference is the left bound of the leftmost lanes.
    assert log.y[0] == pytest.approx(1.85 - 7.4, abs=1e-6)
    assert log.road.edges == pytest.approx((-7.4, -3.7, 0.0), abs=1e-6)
    log, faults = parse_tracks(files["SUMO"], "sumo")
    assert log.x[0] == pytest.approx(5.0, abs=2e-3)
    assert [fault.kind for fault in faults] == ["no sizes"]


def test_own_files_and_tables_come_back(tmp_path):
    log = own()
    for again, _ in (
        read_tracks(save_tracks(log, tmp_path / "a.npz")),
        read_tracks(write_table(log, tmp_path / "a.csv")),
    ):
        for name in ("vehicle", "frame", "lane"):
            assert getattr(again, name).tolist() == getattr(log, name).tolist()
        for name in ("x", "y", "length", "width"):
            assert np.abs(getattr(again, name) - getattr(log, name)).max() <= 5.001e-4
    assert again.dt == log.dt
    other = read_tracks(tmp_path / "a.npz", Road(0.0, 50.0, (3.7, 7.4)))[0]
    assert sorted(set(other.lane.tolist())) == [-1, 0]
    for write in (save_tracks, write_table):
        with pytest.raises(DataError, match="could not be written"):
            write(log, tmp_path / "a.csv" / "folder.npz")


def test_a_bend_is_straightened():
    angle = np.linspace(0, 1, 200)
    radius = 300.0
    line = Reference(radius * np.stack([np.sin(angle), 1 - np.cos(angle)], axis=1))
    assert line.length == pytest.approx(300.0, abs=0.01)
    inside = np.linspace(0.2, 0.8, 50)
    for offset in (10.0, -10.0):
        place = np.stack([np.sin(inside), -np.cos(inside)], axis=1) * (radius - offset) + [0, radius]
        x, y = line.project(place)
        # Averaging over 22 m moves a bend of 300 m inward by 22² / (24 · 300) = 0.07 m at most.
        assert np.abs(y - offset).max() < 0.1
        assert np.abs(np.diff(x) - np.diff(inside)[0] * radius).max() < 0.02


BAD = {
    "nothing": (b"", "is empty"),
    "a picture": (b"\x89PNG\r\n\x1a\n\x00\x00\xff", "neither text nor XML"),
    "other XML": (b"<osm></osm>", "begins with <osm>"),
    "half of XML": (commonroad().encode()[:2000], "not whole XML"),
    "half of gzip": (FILES["SUMO, packed"][:-20], "gzip file that is damaged"),
    "an entity of XML": (b'<!DOCTYPE x [<!ENTITY a "b">]><osm>&a;</osm>', "begins with <osm>"),
    "set-based": (commonroad(trajectory=False).encode(), "set-based"),
    "no lanelets": (commonroad().replace("lanelet", "lane").encode(), "no lanelets"),
    "nobody": (b'<commonRoad timeStepSize="0.1"/>', "no moving vehicle"),
    "a broken number": (commonroad().replace("<x>5.000</x>", "<x>five</x>").encode(), "is missing or not a number"),
    "an empty log of SUMO": (b"<fcd-export/>", "without a vehicle"),
    "a crossing": (sumo().replace('angle="0.00"', 'angle="90.00"', 40).encode(), "not a straight section"),
    "no number in SUMO": (sumo().replace('x="-1.850"', 'x=""').encode(), "not a complete floating-car output"),
    "a row cut short": (ngsim()[:-30].encode(), "Each row of NGSIM has 18 numbers"),
    "no header": (b"hello\nworld\n", "it has no column vehicle"),
    "no times": (table().replace("time", "when").encode(), "neither|no column frame nor time"),
    "a word": (table().replace("0.0,5.000", "0.0,five").encode(), "not a number: 'five'"),
    "a short row": (table().encode()[:-14], "fewer cells"),
    "no rows": (table().split("\n")[0].encode(), "no rows"),
    "milliseconds": (table(second=1000.0).encode(), "not in seconds"),
    "feet": (table().replace("4.5,1.8", "14.8,5.9").encode(), "in feet"),
    "no column of NGSIM": ((HEADER.replace("Lane_ID", "L") + ngsim(",")).encode(), "no column lane_id"),
    "another archive": (b"PK\x03\x04nothing", "not a whole file of Lowland's tracks"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_files_are_one_sentence(case):
    payload, words = BAD[case]
    with pytest.raises(LowlandError, match=words) as caught:
        parse_tracks(payload, "bad.file")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match=r"There is no readable log at .*: No such file"):
        read_tracks(tmp_path / "none.csv")


def test_an_archive_of_another_format_is_named(tmp_path):
    path = save_tracks(own(), tmp_path / "log.npz")
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content.replace(b"lowland tracks 1", b"lowland tracks 9"))
    with pytest.raises(DataError, match="format 'lowland tracks 9'"):
        parse_tracks(buffer.getvalue(), "log.npz")


@pytest.mark.parametrize("kind", [*FILES, "Lowland"])
@settings(max_examples=40, deadline=None, derandomize=True)
@given(data=st.data())
def test_damaged_files_never_end_in_a_traceback(files, kind, data):
    payload = bytearray(files[kind])
    if data.draw(st.booleans(), label="truncate"):
        del payload[data.draw(st.integers(0, len(payload)), label="length") :]
    else:
        for _ in range(data.draw(st.integers(1, 8), label="flips")):
            payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # What cannot be used may only end in one of Lowland's own errors.
        with contextlib.suppress(LowlandError):
            assert len(parse_tracks(bytes(payload), "damaged")[0])


def test_the_log_of_a_user_is_told_what_was_left_out():
    text = table().replace("car2,0.5,35.000", "car2,0.5,350.00")
    log, faults = parse_tracks(text.encode(), "mine.csv")
    assert [fault.kind for fault in faults] == ["teleports", "gaps", "no lanes"]
    assert len(log) == 90


def scenario(name):
    return commonroad().replace('benchmarkID="tiny"', f'benchmarkID="{name}"').encode()


def test_us101_from_a_folder(tmp_path):
    for _, names in ll.data.us101.SCENARIOS:
        for name in names:
            (tmp_path / f"USA_US101-{name}_T-1.xml").write_bytes(scenario(name))
    logs = ll.data.us101.us101(tmp_path)
    assert [log.name for log in logs] == ["1_1", "5_1", "6_1", "8_1", "11_4", "15_1", "17_1", "24_2", "3_1", "3_3"]
    assert ll.data.check("us101", tmp_path) == "us101: 10 logs of traffic with 30 vehicles and 900 rows"
    with pytest.raises(OptionError, match="holds traffic logs, but images are needed"):
        ll.data.load("us101", tmp_path)
    (tmp_path / "USA_US101-3_1_T-1.xml").write_bytes(scenario("3_1")[:-100])
    with pytest.raises(DataError, match=r"USA_US101-3_1_T-1\.xml is damaged or truncated"):
        ll.data.us101.us101(tmp_path)

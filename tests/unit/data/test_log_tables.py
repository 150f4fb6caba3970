"""Tables of every kind are read as what was written, or refused with the way out; never as another world."""

from __future__ import annotations

import datetime

import numpy as np
import pytest

from lowland.data.logs import parse_tracks, read_tracks
from lowland.data.logs.clock import SPAN, clocked
from lowland.data.logs.header import Reading, understand
from lowland.errors import DataError, LowlandError, OptionError

from . import tables  # noqa: TID252  folders of tests are on no path
from .tables import FOOT, is_world, text  # noqa: TID252

TRUE, FAST = tables.world(), tables.world(dt=0.04, frames=200)
FORMS = {
    "NGSIM, text": (TRUE, text(tables.ngsim(TRUE, 18), " ", header=False)),
    "NGSIM, 18 columns": (TRUE, text(tables.ngsim(TRUE, 18))),
    "NGSIM, 25 columns": (TRUE, text(tables.ngsim(TRUE, 25))),
    "NGSIM, quoted": (TRUE, text(tables.ngsim(TRUE), quote=True, thousands=("Global_Time", "Frame_ID"))),
    "NGSIM by semicolons": (TRUE, text(tables.ngsim(TRUE), ";")),
    "highD": (FAST, text(tables.highd(FAST))),
    "inD": (FAST, text(tables.ind(FAST))),
    "INTERACTION": (TRUE, text(tables.interaction(TRUE))),
    "own": (TRUE, text(tables.own(TRUE))),
    "own by semicolons": (TRUE, text(tables.own(TRUE), ";")),
    "own by tabulators": (TRUE, text(tables.own(TRUE), "\t")),
    "own with decimal commas": (TRUE, text(tables.own(TRUE), ";", decimal=",")),
}


@pytest.mark.parametrize("form", FORMS)
def test_public_data_sets_and_ones_own_are_read_right(form):
    true, written = FORMS[form]
    log, faults = parse_tracks(written.encode(), "log.csv")
    assert is_world(log, true)
    assert log.dt == pytest.approx(true["t"][1])
    assert log.road.lanes == 3
    assert [fault.kind for fault in faults] == (["no lanes"] if form in ("inD", "INTERACTION") else [])
    assert "Read as a table" in log.reading
    assert "One clock of" in log.reading


def own(**changes):
    return {**tables.own(TRUE), **changes}


def refused(columns, words, /, **options):
    with pytest.raises(LowlandError, match=words) as caught:
        parse_tracks(text(columns, **options).encode(), "log.csv")
    assert "\n" not in str(caught.value)


def read(tmp_path, columns, /, **options):
    path = tmp_path / "log.csv"
    path.write_text(text(columns))
    return read_tracks(path, **options)[0]


def test_times_are_the_clock_and_frames_keep_step_with_it():
    every_third = own(frame=3 * TRUE["frame"])
    assert is_world(parse_tracks(text(every_third).encode(), "a")[0], TRUE)
    # Frames that go on at another pace than the times.
    slips = np.where(TRUE["frame"] > 40, 2, 1) * TRUE["frame"]
    refused(own(frame=slips), "contradict each other.*--columns frame= or --columns time=")
    late = np.round(TRUE["t"] + 0.2 * TRUE["vehicle"], 3)
    refused(own(frame=TRUE["frame"], time=late), "contradict each other: the same frame is at times up to 3.4 s apart")


def test_a_user_can_say_which_clock_counts(tmp_path):
    late = np.round(TRUE["t"] + 0.2 * TRUE["vehicle"], 3)
    shifted = {**TRUE, "t": late}
    assert is_world(read(tmp_path, own(frame=TRUE["frame"], time=late), columns="frame="), shifted)
    log = read(tmp_path, own(frame=TRUE["frame"], time=late), columns="time=", fps=10)
    assert is_world(log, TRUE)


def test_jitter_of_two_milliseconds_is_none():
    jitter = np.random.default_rng(0).uniform(-0.002, 0.002, len(TRUE["t"]))
    log, faults = parse_tracks(text(own(time=np.round(TRUE["t"] + jitter, 4))).encode(), "log.csv")
    assert (len(log), faults) == (len(TRUE["t"]), [])
    assert log.dt == 0.1
    assert is_world(log, TRUE)
    assert "which they meet to 2" in log.reading
    apart = np.round(TRUE["t"] + 0.1 * ((0.37 * TRUE["vehicle"]) % 1), 4)
    refused(own(time=apart), "no clock in common.*Interpolate them to common times")


def test_a_table_without_times_asks_for_its_frames_a_second(tmp_path):
    columns = own(frame=2 * TRUE["frame"])
    del columns["time"]
    refused(columns, "frames but no times.*--fps N")
    log = read(tmp_path, columns, fps=20)
    assert is_world(log, TRUE)
    assert "of which every 2th is there" in log.reading
    wholes = own(time=TRUE["frame"])
    refused(wholes, "frames 1 s apart in which hardly any vehicle drives faster than 2 m/s: are its times frames")


def test_vehicles_are_told_apart_by_place_and_time():
    two = tables.ngsim(TRUE)
    two["Location"] = np.where(TRUE["vehicle"] % 2, "us-101", "i-80")
    refused(two, "holds more than one place, us-101 and i-80, by its column location.*a file of its own")
    # The same numbers in two recordings that overlap in time.
    other = tables.world(seed=5)
    both = {key: np.concatenate([tables.own(TRUE)[key], tables.own(other)[key]]) for key in tables.own(TRUE)}
    refused(both, "has vehicle .* at places .* m apart in frame .* of several vehicles, recordings or places")
    # And one after the other: each number is another car's.
    later = {**other, "t": other["t"] + 20, "frame": other["frame"] + 200}
    both = {key: np.concatenate([TRUE[key], later[key]]) for key in TRUE}
    for columns in (tables.own(both), tables.ngsim(both)):
        log, faults = parse_tracks(text(columns).encode(), "log.csv")
        assert is_world(log, both)
        assert len(log.vehicles) == 2 * len(np.unique(TRUE["vehicle"]))
        assert [(fault.kind, fault.count) for fault in faults] == [("numbers used again", 18)]


def test_concatenated_slots_of_ngsim_whose_frames_begin_anew():
    other = tables.world(seed=5)
    first, second = tables.ngsim(TRUE), tables.ngsim(other)
    second["Global_Time"] = second["Global_Time"] + 900_000
    log, _ = parse_tracks(text({key: np.concatenate([first[key], second[key]]) for key in first}).encode(), "two.csv")
    both = {key: np.concatenate([TRUE[key], other[key] + (900 if key == "t" else 0)]) for key in TRUE}
    assert is_world(log, both)


def test_units_are_what_sizes_speeds_and_lanes_say(tmp_path):
    metres = tables.ngsim(TRUE, unit=1.0)
    refused(metres, "move 1 times as fast|not seem to be in metres|another unit")
    assert is_world(read(tmp_path, metres, units="m"), TRUE)
    feet = own(**{key: np.round(TRUE[key] / FOOT, 4) for key in ("x", "y", "length", "width")})
    refused(feet, "in feet.*--units ft")
    assert is_world(read(tmp_path, feet, units="ft"), TRUE)
    refused(own(y=TRUE["y"] / FOOT), "lanes 11.8 m wide")
    both = own(x=TRUE["x"] / FOOT, y=TRUE["y"] / FOOT)
    refused(both, "lanes 11.8 m wide, .* of other units than their sizes")
    log = read(tmp_path, both, columns={"x": "x:ft", "y": "y:ft"})
    assert is_world(log, TRUE)
    refused(own(length=TRUE["width"], width=TRUE["length"]), "length and width are exchanged")
    refused(own(speed=TRUE["vx"] * 3.6), "move 0.278 times as fast.*speed=NAME:km/h")
    assert is_world(read(tmp_path, own(speed=TRUE["vx"] * 3.6), columns="speed=speed:km/h"), TRUE)
    assert is_world(read(tmp_path, own(speed=TRUE["vx"] * 3.6), columns="speed="), TRUE)


def test_y_to_the_right_is_noticed_by_the_lanes(tmp_path):
    right = own(y=-TRUE["y"])
    refused(right, "lanes of the log log.csv are numbered against its y.*y=-NAME if to the right")
    assert is_world(read(tmp_path, right, columns="y=-y"), TRUE)
    # Lanes from the left, as in NGSIM: the same doubt, and the other answer.
    left = own(lane=3 - TRUE["lane"])
    refused(left, "numbered against its y")
    assert is_world(read(tmp_path, left, columns="y=y"), TRUE)
    mirrored = tables.ngsim(TRUE)
    mirrored["Local_X"] = -mirrored["Local_X"]
    refused(mirrored, "numbered against its y")
    mirrored = tables.ind(FAST)
    mirrored["yCenter"] = -mirrored["yCenter"]
    refused(mirrored, "away from where its columns of speeds say: an axis is turned or exchanged")
    refused(own(x=TRUE["y"], y=TRUE["x"]), "across the road.*x=NAME,y=NAME|lanes .* m wide|numbered against")


def test_a_crossing_is_no_section():
    crossing = tables.ind(FAST)
    some = FAST["vehicle"] % 3 == 0
    for first, second in (("xCenter", "yCenter"), ("xVelocity", "yVelocity")):
        a, b = crossing[first].copy(), crossing[second].copy()
        crossing[first], crossing[second] = np.where(some, -b, a), np.where(some, a, b)
    refused(crossing, "not a straight section: 33 %")


def test_both_directions_of_highd():
    """Cars of the other carriageway drive to lower x; the pictures' lanes are numbered downwards through both."""
    away = {key: values[FAST["vehicle"] <= 6] for key, values in FAST.items()}
    away = {**away, "vehicle": away["vehicle"] + 100, "x": 300 - away["x"], "vx": -away["vx"], "y": 25 - away["y"]}
    both = {key: np.concatenate([tables.highd(FAST)[key], tables.highd(away)[key]]) for key in tables.highd(FAST)}
    both["laneId"] = np.concatenate([8 - FAST["lane"], 2 + away["lane"]])
    log, faults = parse_tracks(text(both).encode(), "highd.csv")
    assert is_world(log, FAST)
    assert [(fault.kind, fault.count) for fault in faults] == [("against traffic", 6)]


def test_times_of_a_calendar(tmp_path):
    begin = datetime.datetime(2005, 6, 15, 23, 59, 57, tzinfo=datetime.timezone.utc)
    moments = [begin + datetime.timedelta(milliseconds=round(1000 * t)) for t in TRUE["t"]]
    for zone in ("Z", "+00:00", ""):
        stamps = np.array([f"{each:%Y-%m-%dT%H:%M:%S}.{each.microsecond // 100000}{zone}" for each in moments])
        assert is_world(parse_tracks(text(own(time=stamps)).encode(), "log.csv")[0], TRUE)
    stamps = stamps.astype(object)
    stamps[5] += "Z"
    refused(own(time=stamps), "not a number: '2005-06-15T23:59:57.5Z'. Times are seconds, or as")


def test_numbers_with_commas():
    far = {**TRUE, "x": TRUE["x"] + 12000}
    columns = {**tables.own(far), "time": np.round(TRUE["t"], 1)}
    assert is_world(parse_tracks(text(columns, quote=True, thousands=("x",)).encode(), "a")[0], far)
    assert is_world(parse_tracks(text(columns, ";", thousands=("x",)).encode(), "a")[0], far)
    doubtful = {key: np.round(values) if key == "x" else values for key, values in columns.items()}
    doubtful["x"] = doubtful["x"].astype(int)
    refused(doubtful, "nothing tells whether their comma is a decimal one", separator=";", thousands=("x",))


def test_a_wrong_guess_shows_the_header_and_a_suggestion(tmp_path):
    names = {"vehicle": "car_no", "x": "pos_x_ft", "y": "pos_y_ft", "length": "len_ft", "width": "wid_ft"}
    columns = {names.get(key, key): values for key, values in own().items()}
    for name in list(columns)[2:6]:
        columns[name] = np.round(columns[name] / FOOT, 4)
    option = "vehicle=car_no,x=pos_x_ft,y=pos_y_ft,length=len_ft,width=wid_ft"
    refused(columns, f"Its first line is: car_no, time, pos_x_ft.*--columns {option}")
    log = read(tmp_path, columns, columns=option)
    assert is_world(log, TRUE)
    assert "y from pos_y_ft" in log.reading
    with pytest.raises(OptionError, match=r"has no column 'pos_x' for x\. Did you mean 'pos_x_ft'"):
        read(tmp_path, columns, columns="x=pos_x")
    with pytest.raises(OptionError, match="'pos_x_ft' is in ft by its name, but units is m"):
        read(tmp_path, columns, columns=option, units="m")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"columns": "x"}, "KEY=NAME"),
        ({"columns": "z=up"}, "No column of a log is called 'z'"),
        ({"columns": "x=a:furlong"}, "cannot be in 'furlong'"),
        ({"units": "yd"}, "m or ft"),
        ({"fps": -1}, "fps is -1"),
        ({"fps": float("nan")}, "fps is nan"),
    ],
)
def test_options_that_cannot_be(options, words):
    with pytest.raises(OptionError, match=words):
        Reading(**options)
    with pytest.raises(DataError, match="2 columns called 'x'"):
        understand(["vehicle", "time", "x", "x", "y", "length", "width"], Reading(), "a")


def test_options_for_tables_only(tmp_path):
    path = tmp_path / "log.xml"
    path.write_text("<fcd-export/>")
    with pytest.raises(OptionError, match="is not a table"):
        read_tracks(path, units="ft")


@pytest.mark.parametrize("frame", [9e15, 1e300, 2.0**62, SPAN + 1.0])
def test_one_frame_far_away_is_a_sentence(frame):
    with pytest.raises(DataError, match=r"no recording is so long\. Correct that row"):
        clocked(np.array([1, 1, 2]), np.array([0.0, 1.0, frame]), None, "The log", fps=10)
    with pytest.raises(DataError, match=r"no recording is so long|not in seconds|no clock in common"):
        clocked(np.array([1, 1, 2, 2]), None, np.array([0.0, 0.1, frame, frame + 0.1]), "The log")


def kept(columns, rows):
    return {key: values[rows] for key, values in columns.items()}


def rename(columns, names):
    return {names.get(key, key): values for key, values in columns.items()}


def exchange(columns, first, second):
    return rename(columns, {first: second, second: first})


def scaled(columns, names, factor):
    return {key: np.round(values * factor, 6) if key in names else values for key, values in columns.items()}


ROLES = {
    "ngsim": {
        "vehicle": "Vehicle_ID", "x": "Local_Y", "y": "Local_X", "length": "v_length", "width": "v_Width",
        "frame": "Frame_ID", "time": "Global_Time", "speed": "v_Vel", "lane": "Lane_ID",
    },
    "highd": {
        "vehicle": "id", "x": "x", "y": "y", "length": "width", "width": "height", "frame": "frame", "lane": "laneId",
        "speed": "xVelocity",
    },
    "ind": {
        "vehicle": "trackId", "x": "xCenter", "y": "yCenter", "length": "length", "width": "width", "frame": "frame",
        "speed": "xVelocity",
    },
    "interaction": {
        "vehicle": "track_id", "x": "x", "y": "y", "length": "length", "width": "width", "frame": "frame_id",
        "time": "timestamp_ms", "speed": "vx",
    },
    "own": {
        "vehicle": "vehicle", "x": "x", "y": "y", "length": "length", "width": "width", "time": "time", "lane": "lane",
    },
}  # fmt: skip
FACTORS = (FOOT, 1 / FOOT, 100.0, 1000.0, 0.01)


def mutate(columns, role, rng):
    """One thing that happens to logs, and its name; the truth of what it tells stays the same."""
    count = len(columns[role["x"]])
    has = lambda *keys: all(key in role for key in keys)  # noqa: E731
    kinds = ["shuffle", "gaps", "again", "both units", "positions", "sizes", "one axis", "numbers", "extra", "merge"]
    kinds += ["exchange xy", "exchange size", "stray", "empty"]
    kinds += ["mirror"] if has("lane") or "Center" in role["y"] else []
    kinds += ["time", "jitter"] if has("time") else ["thin"]
    kinds += ["speed"] if has("speed") else []
    kinds += ["frame", "who"] if has("frame") else []
    kind = str(rng.choice(kinds))
    factor = float(rng.choice(FACTORS))
    where = [role["x"], role["y"]]
    if kind == "shuffle":
        columns = kept(columns, rng.permutation(count))
    elif kind == "gaps":
        columns = kept(columns, np.sort(rng.permutation(count)[: round(0.98 * count)]))
    elif kind == "again":
        columns = kept(columns, np.concatenate([np.arange(count), rng.integers(0, count, 9)]))
    elif kind == "both units":
        columns = scaled(columns, [*where, role["length"], role["width"], role.get("speed", "")], factor)
    elif kind == "positions":
        columns = scaled(columns, where, factor)
    elif kind == "sizes":
        columns = scaled(columns, [role["length"], role["width"]], factor)
    elif kind == "one axis":
        columns = scaled(columns, [role["y"]], float(rng.choice([1 / FOOT, 100.0, 1000.0])))
    elif kind == "numbers":
        columns = {**columns, role["vehicle"]: columns[role["vehicle"]] * 7 + 1000}
    elif kind == "extra":
        columns = {"note": np.full(count, "-"), **columns, "more": rng.normal(size=count)}
    elif kind == "merge":
        columns = {**columns, role["vehicle"]: columns[role["vehicle"]] // 2}
    elif kind == "exchange xy":
        columns = exchange(columns, *where)
    elif kind == "exchange size":
        columns = exchange(columns, role["length"], role["width"])
    elif kind == "stray":
        x = columns[role["x"]].astype(float)
        x[rng.integers(0, count, 2)] += 5e3
        columns = {**columns, role["x"]: np.round(x, 4)}
    elif kind == "empty":
        x = columns[role["x"]].astype(float)
        x[rng.integers(0, count, 5)] = np.nan
        columns = {**columns, role["x"]: x}
    elif kind == "mirror":
        columns = scaled(columns, [role["y"]], -1.0)
    elif kind == "time":
        columns = scaled(columns, [role["time"]], float(rng.choice([1000.0, 0.001, 10.0, 0.1, 60.0, 25.0])))
    elif kind == "jitter":
        unit = 1000 if "ms" in role["time"] or "Global" in role["time"] else 1
        size = float(rng.choice([0.001, 0.002, 0.05, 0.2]))
        columns = {**columns, role["time"]: np.round(columns[role["time"]] + unit * rng.uniform(-size, size, count), 5)}
    elif kind == "thin":
        columns = scaled(columns, [role["frame"]], float(rng.choice([2, 3, 5])))
    elif kind == "speed":
        columns = scaled(columns, [role["speed"]], float(rng.choice([3.6, FOOT, 1 / FOOT, 2.237])))
    elif kind == "frame":
        frames = columns[role["frame"]]
        columns = {**columns, role["frame"]: np.where(frames > np.median(frames), 2 * frames, frames)}
    elif kind == "who":
        columns = exchange(columns, role["vehicle"], role["frame"])
    return kind, columns


FLAT = {"ngsim": TRUE, "highd": FAST, "ind": FAST, "interaction": TRUE, "own": TRUE}


def test_no_mutated_log_is_read_into_another_world():
    """200 logs: each is read as what was written, or refused in one sentence."""
    rng = np.random.default_rng(16)
    right, refusals, wrong = 0, [], []
    small = {name: kept(true, true["frame"] < 50) for name, true in FLAT.items()}
    for number in range(200):
        name = list(ROLES)[number % len(ROLES)]
        true = small[name]
        kinds, columns = [], getattr(tables, name)(true)
        for _ in range(1 + number // 100):
            kind, columns = mutate(columns, ROLES[name], rng)
            kinds.append(kind)
        written = text(columns, separator=str(rng.choice([",", ";", "\t"])), quote=bool(rng.integers(2)))
        if rng.integers(10) == 0:
            written = written[: int(rng.integers(len(written)))]
            kinds.append("cut")
        try:
            log, _ = parse_tracks(written.encode(), "log.csv")
        except LowlandError as error:
            refusals.append(str(error))
            continue
        right += 1
        if not is_world(log, true, 0.0 if "cut" in kinds else 0.9):
            wrong.append((number, name, kinds))
    assert not wrong
    # Neither is everything refused, nor is nothing.
    assert right > 40
    assert len(refusals) > 40
    assert not [sentence for sentence in refusals if "\n" in sentence]

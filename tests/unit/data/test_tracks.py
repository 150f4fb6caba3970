from __future__ import annotations

import numpy as np
import pytest
import torch

from lowland.data.cleaning import clean
from lowland.data.tracks import Road, Tracks
from lowland.errors import DataError, DomainError, OptionError, ShapeError

ROAD = Road(0.0, 300.0, (0.0, 3.7, 7.4))


def raw(vehicles=6, frames=60, speed=10.0, dt=0.1):
    """Cars in two lanes, one behind the other at even speed."""
    vehicle, frame = (axis.ravel() for axis in np.meshgrid(np.arange(vehicles), np.arange(frames), indexing="ij"))
    return {
        "vehicle": vehicle,
        "frame": frame,
        "x": 20.0 * (vehicle // 2) + speed * dt * frame,
        "y": np.where(vehicle % 2, 5.55, 1.85),
        "length": np.full(len(vehicle), 4.5),
        "width": np.full(len(vehicle), 1.8),
        "lane": vehicle % 2,
    }


def drop(rows, gone):
    return {key: np.delete(values, gone) for key, values in rows.items()}


def kinds(faults):
    return [fault.kind for fault in faults]


def test_a_clean_log_has_no_faults():
    log, faults = clean(raw(), dt=0.1, name="even")
    assert not faults
    assert (len(log), len(log.vehicles), log.road.lanes) == (360, 6, 2)
    assert np.allclose(log.road.edges, (0, 3.7, 7.4))
    assert log.lane.tolist() == raw()["lane"].tolist()
    assert np.allclose(log.velocities()[0], 10)
    assert np.allclose(log.velocities()[1], 0)


def test_rows_may_come_in_any_order():
    rows = raw()
    order = np.random.default_rng(0).permutation(len(rows["x"]))
    shuffled, faults = clean({key: values[order] for key, values in rows.items()})
    assert not faults
    assert np.array_equal(shuffled.x, clean(rows)[0].x)


def test_short_gaps_are_bridged_and_long_ones_stay():
    rows = raw(vehicles=2)
    whole = clean(rows)[0]
    log, faults = clean(drop(rows, [10, 11, 12]))
    assert kinds(faults) == ["gaps"]
    assert "1 gap of up to 0.5 s bridged" in faults[0].sentence
    assert np.allclose(log.x, whole.x)
    log, faults = clean(drop(rows, np.arange(10, 30)))
    assert kinds(faults) == ["gaps"]
    assert log.segments().tolist() == [[0, 10], [10, 40], [40, 100]]


def test_frames_that_come_twice_count_once():
    rows = {key: np.concatenate([values, values[5:8]]) for key, values in raw().items()}
    log, faults = clean(rows)
    assert [(fault.kind, fault.count) for fault in faults] == [("duplicate frames", 3)]
    assert len(log) == 360


def test_a_stray_row_is_left_out_and_its_place_bridged():
    rows = raw()
    rows["x"] = rows["x"].copy()
    rows["x"][20] += 80
    log, faults = clean(rows)
    assert kinds(faults) == ["teleports", "gaps"]
    assert np.allclose(log.x, clean(raw())[0].x)


def test_of_a_vehicle_that_jumps_the_longest_part_is_kept():
    rows = raw()
    rows["x"] = rows["x"] + np.where((rows["vehicle"] == 3) & (rows["frame"] >= 40), 100.0, 0.0)
    log, faults = clean(rows)
    assert [(fault.kind, fault.count) for fault in faults] == [("teleports", 20)]
    assert log.frame[log.vehicle == 3].max() == 39


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_vehicles_without_a_size(value):
    rows = raw()
    rows["length"] = np.where(rows["vehicle"] == 2, value, rows["length"])
    log, faults = clean(rows)
    assert [(fault.kind, fault.count) for fault in faults] == [("no size", 1)]
    assert 2 not in log.vehicles
    # One row without a size takes the size of the others.
    rows = raw()
    rows["width"][7] = value
    log, faults = clean(rows)
    assert not faults
    assert (log.width == 1.8).all()


@pytest.mark.parametrize(
    ("scale", "dt", "words"),
    [(3.281, 0.1, "in feet"), (100, 0.1, "another unit"), (0.001, 0.1, "another"), (1, 0.01, "")],
)
def test_other_units_are_refused(scale, dt, words):
    rows = raw()
    rows = {key: values * scale if key in ("x", "y", "length", "width") else values for key, values in rows.items()}
    with pytest.raises(DataError, match=rf"does not seem to be in metres and seconds.*{words}"):
        clean(rows, dt=dt, name="mine")


def test_lorries_are_no_cars_in_feet():
    log, faults = clean({**raw(), "length": np.full(len(raw()["x"]), 12.0), "width": np.full(len(raw()["x"]), 2.5)})
    assert (log.length == 12).all()
    assert not faults


@pytest.mark.parametrize("dt", [0.0, -0.1, float("nan"), 100.0])
def test_frames_need_a_time_between_them(dt):
    with pytest.raises(DataError, match="not in seconds"):
        clean(raw(), dt=dt)


def test_numbers_that_are_none():
    rows = raw()
    rows["x"][3] = np.nan
    rows["y"][9] = np.inf
    rows["x"][15] = 1e300
    log, faults = clean(rows)
    assert kinds(faults) == ["no numbers", "gaps"]
    assert len(log) == 360
    for key in ("vehicle", "frame"):
        rows = {name: values.astype(float) for name, values in raw().items()}
        rows[key][3] = np.nan
        with pytest.raises(DataError, match=f"a {key} that is not a whole number"):
            clean(rows)
    rows["x"] = np.full(360, np.nan)
    rows["frame"] = raw()["frame"]
    with pytest.raises(DataError, match="no rows that can be used"):
        clean(rows)


def test_one_lane_and_no_lanes_are_said():
    rows = raw()
    rows["y"], rows["lane"] = np.full(360, 1.0), np.zeros(360)
    # One lane, so that cars of what were two lanes stand in each other: that is not this function's business.
    assert kinds(clean(rows)[1]) == ["one lane"]
    rows = raw()
    del rows["lane"]
    log, faults = clean(rows)
    assert kinds(faults) == ["no lanes"]
    assert log.road.lanes == 2
    assert log.lane.tolist() == raw()["lane"].tolist()


def test_a_log_that_runs_backwards_is_turned_and_oncoming_cars_are_left_out():
    rows = raw()
    rows["x"], rows["y"] = -rows["x"], -rows["y"]
    log, faults = clean(rows)
    assert not faults
    assert np.allclose(log.x, raw()["x"])
    rows = raw()
    rows["x"] = np.where(rows["vehicle"] == 5, 100 - rows["x"], rows["x"])
    log, faults = clean(rows)
    assert [(fault.kind, fault.count) for fault in faults] == [("against traffic", 1)]


def test_cars_beside_the_road_keep_their_rows():
    log, faults = clean(raw(), road=Road(0.0, 100.0, (0.0, 3.7)))
    assert kinds(faults) == ["beside the road", "one lane"]
    assert (log.lane == -1).sum() == 180


def test_columns_that_lack_or_differ():
    rows = raw()
    with pytest.raises(DataError, match="differ in length"):
        clean({**rows, "x": rows["x"][:-1]})
    with pytest.raises(DataError, match="does not hold numbers"):
        clean({**rows, "x": ["a"] * 360})
    with pytest.raises(DataError, match="no rows"):
        clean({key: values[:0] for key, values in rows.items()})
    del rows["width"]
    with pytest.raises(DataError, match="no column width"):
        clean(rows)


def test_tracks_refuse_what_is_not_clean():
    log = clean(raw())[0]
    columns = {name: getattr(log, name) for name in ("vehicle", "frame", "x", "y", "length", "width", "lane", "road")}
    with pytest.raises(ShapeError, match="as long as each other"):
        Tracks(**{**columns, "x": log.x[1:]})
    for key, values in (
        ("x", log.x * np.nan),
        ("length", 0 * log.x),
        ("frame", log.frame[::-1]),
        ("frame", 0 * log.frame),
    ):
        with pytest.raises(DomainError, match="Clean it first"):
            Tracks(**{**columns, key: values})
    for edges in ((0.0,), (3.0, 0.0), (0.0, float("nan"))):
        with pytest.raises(DomainError, match="increase from right to left"):
            Road(0.0, 1.0, edges)


def test_smoothing_keeps_even_motion_and_is_the_mean_inside():
    log = clean(raw(vehicles=2))[0]
    assert np.allclose(log.smooth().x, log.x)
    rough = Tracks(**{**vars(log), "y": log.y + np.random.default_rng(0).normal(0, 0.1, len(log))})
    smooth = rough.smooth(15)
    assert smooth.y[30] == pytest.approx(rough.y[23:38].mean())
    assert smooth.y[1] == pytest.approx(rough.y[:3].mean())
    assert smooth.y[[0, 59]].tolist() == pytest.approx(rough.y[[0, 59]].tolist())
    with pytest.raises(OptionError, match="odd"):
        log.smooth(4)


def test_a_split_is_by_vehicle_and_repeats():
    log = clean(raw(vehicles=20))[0]
    parts = log.split((0.8, 0.1, 0.1), torch.Generator().manual_seed(0))
    assert [len(part) for part in parts] == [16, 2, 2]
    assert sorted(np.concatenate(parts)) == list(range(20))
    again = log.split((0.8, 0.1, 0.1), torch.Generator().manual_seed(0))
    assert all(map(np.array_equal, parts, again))
    assert log.of(parts[1]).vehicles.tolist() == parts[1].tolist()
    for shares in ((0.9, 0.2), (0.0, 1.0), ()):
        with pytest.raises(OptionError, match="shares"):
            log.split(shares, torch.Generator())


def test_windows_lie_within_stretches():
    log = clean(drop(raw(vehicles=2), np.arange(10, 30)))[0]
    starts = log.windows(25, stride=5)
    assert starts.tolist() == [10, 15, 40, 45, 50, 55, 60, 65, 70, 75]
    with pytest.raises(DataError, match="no vehicle with 61 frames in a row; the longest stretch has 60"):
        log.windows(61)
    with pytest.raises(OptionError, match="at least one frame"):
        log.windows(0)


def test_even_motion_stays_even_at_another_rate_and_gaps_stay():
    frames = np.r_[0:26, 40:66]
    count, seconds = len(frames), 0.04 * frames
    log = Tracks(
        np.ones(count), frames, 3 + 10 * seconds, 1 + 0.1 * seconds, np.full(count, 4.5), np.full(count, 1.8),
        np.zeros(count), ROAD, dt=0.04,
    )  # fmt: skip
    slow = log.resample(0.1)
    assert slow.dt == 0.1
    np.testing.assert_array_equal(slow.frame, np.r_[0:11, 16:27])
    np.testing.assert_allclose(slow.x, 3 + 10 * 0.1 * slow.frame, rtol=1e-12)
    np.testing.assert_allclose(slow.y, 1 + 0.1 * 0.1 * slow.frame, rtol=1e-12)
    np.testing.assert_allclose(slow.resample(0.04).x, 3 + 10 * 0.04 * slow.resample(0.04).frame, rtol=1e-12)
    with pytest.raises(DataError, match="no stretch"):
        log.select(np.arange(1, 3)).resample(1.0)

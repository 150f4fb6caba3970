from __future__ import annotations

import numpy as np
import pytest

from lowland.cli import main
from lowland.data.cleaning import clean
from lowland.data.logs import write_table
from lowland.errors import DataError, OptionError
from lowland.evaluation.traffic_log import summarise
from lowland.plots.traffic_log import histograms, space_time
from lowland.recipes.base import execute, load, start


def cars(frames=150, lanes=2, dt=0.1):
    """Four cars in each lane, 20 m apart, at 10 m/s."""
    vehicle, frame = (axis.ravel() for axis in np.meshgrid(np.arange(4 * lanes), np.arange(frames), indexing="ij"))
    return {
        "vehicle": vehicle,
        "frame": frame,
        "x": 20.0 * (vehicle % 4) + 10 * dt * frame,
        "y": 1.85 + 3.7 * (vehicle // 4),
        "length": np.full(len(vehicle), 4.5),
        "width": np.full(len(vehicle), 1.8),
        "lane": vehicle // 4,
    }


def test_a_summary_counts_what_was_put_in():
    rows = cars()
    rows["y"] = np.where((rows["vehicle"] == 7) & (rows["frame"] >= 100), 1.85, rows["y"])
    found = summarise(clean(rows)[0])
    assert found.lane_changes == 1
    assert found.kilometres == pytest.approx(8 * 149 / 1000)
    # Cars 7 and 3 both stood at the head of their lanes; at its end the changer is beside car 3, as if inside it.
    assert np.median(found.gap) == pytest.approx(15.5)
    assert np.median(found.headway) == pytest.approx(1.55)
    assert np.abs(found.acceleration).max() < 1e-9
    assert found.flow == pytest.approx(found.density * 36)


def test_the_human_of_the_log_arrives(smoke):
    run = smoke("log")
    assert run.measured.mean("human", "success") == 100
    assert run.measured.methods() == ["human", "no action", "constant speed", "IDM"]
    assert "None were found" in (run.folder / "report.html").read_text()


def test_a_log_of_the_users_with_faults(tmp_path):
    log = clean(cars())[0]
    path = write_table(log, tmp_path / "mine.csv")
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:500] + lines[501:] + lines[-1:]) + "\n")
    config = load("log")(tracks=str(path), episodes=5)
    page = (execute(config, start(config, tmp_path / "runs")).folder / "report.html").read_text()
    assert "duplicate frames" in page
    assert "vehicles drive at 10.0 m/s on average. A car that follows the log succeeds in 100 % of the episodes" in page
    assert "1 gap of up to 0.5 s bridged" in page


def test_columns_and_units_of_the_command_line(tmp_path, capsys):
    rows = cars(frames=60)
    lines = ["id;stamp;along;offset_ft;l;w"]
    for car, frame, x, y in zip(*(rows[key] for key in ("vehicle", "frame", "x", "y")), strict=True):
        lines.append(f"{car};{100 * frame};{x / 0.3048:.4f};{-y / 0.3048:.4f};{4.5 / 0.3048:.4f};{1.8 / 0.3048:.4f}")
    (tmp_path / "own.csv").write_text("\n".join(lines))
    words = ["run", "log", "--tracks", str(tmp_path / "own.csv"), "--runs", str(tmp_path / "runs"), "--preset", "smoke"]
    assert main([*words, "--columns", "vehicle=id,x=along"]) == 1
    error = capsys.readouterr().err
    assert "Its first line is: id, stamp, along, offset_ft, l, w. Say which column is which" in error
    columns = "vehicle=id,time=stamp:ms,x=along,y=-offset_ft,length=l,width=w"
    assert main([*words, "--columns", columns, "--units", "ft"]) == 0
    page = next((tmp_path / "runs" / "log" / "latest").glob("report.html")).read_text()
    assert "y from −offset_ft (ft)" in page
    assert "10.00 ± 0.00 m/s" in page
    with pytest.raises(OptionError, match="for a log of your own: name it with --tracks"):
        load("log")(units="ft")
    with pytest.raises(OptionError, match="name it with --data traffic --log"):
        load("world")(log="plant.npz", columns="x=y")


def test_a_log_too_short_to_drive_in_still_has_a_page(tmp_path):
    path = write_table(clean(cars(frames=12, lanes=1))[0], tmp_path / "short.csv")
    config = load("log")(tracks=str(path))
    run = execute(config, start(config, tmp_path / "runs"))
    page = (run.folder / "report.html").read_text()
    assert "Nobody can drive in this log" in page
    assert "the longest stretch has 12" in page
    assert "one lane" in page
    assert not run.results


def test_what_cannot_be_shown():
    with pytest.raises(OptionError, match="at least one array"):
        histograms({})
    assert histograms({"x": (np.zeros(2), (0.0, 1.0))}).axes[0].texts[0].get_text() == "too few"
    log = clean(cars())[0]
    with pytest.raises(OptionError, match="no vehicle in a lane"):
        space_time(log.select(log.lane < 0))
    assert [ax.get_title(loc="left") for ax in space_time(log).axes[:2]] == [
        "Lane 1, the leftmost",
        "Lane 0, the rightmost",
    ]


def test_a_missing_log_is_one_sentence(tmp_path):
    config = load("log")(tracks=str(tmp_path / "none.csv"))
    with pytest.raises(DataError, match="There is no readable log"):
        execute(config, start(config, tmp_path))

"""One small world of traffic, written as each kind of table that people have; and whether a log is that world.

The truth is made here, in metres and seconds, so that what a reader says can be compared with what was written.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import KDTree

FOOT = 0.3048
DT, FRAMES = 0.1, 80
LANE = 3.6


def world(dt=DT, frames=FRAMES, cars=18, seed=1):
    """Cars in three lanes that keep their distance, with different speeds, and one that changes its lane."""
    rng = np.random.default_rng(seed)
    vehicle, frame = (axis.ravel() for axis in np.meshgrid(np.arange(cars) + 1, np.arange(frames), indexing="ij"))
    lane = (vehicle - 1) % 3
    start = np.repeat(25.0 * np.arange(cars // 3 + 1), 3)[:cars] + rng.uniform(0, 4, cars)
    speed = np.array([9.0, 12.0, 15.0])[lane] + 0.02 * vehicle
    t = frame * dt
    wave = 1.5 * np.sin(0.5 * t + lane)
    change = np.where(vehicle == cars, np.clip((t - 2) / 3, 0, 1), 0)
    y = (lane - change + 0.5) * LANE + 0.15 * np.sin(0.3 * t + vehicle)
    length, width = rng.uniform(4, 5.5, cars)[vehicle - 1], rng.uniform(1.7, 2.0, cars)[vehicle - 1]
    x = start[vehicle - 1] + speed * t + wave
    x, y, length, width = (np.round(each, 3) for each in (x, y, length, width))
    vx = speed + 0.75 * np.cos(0.5 * t + lane)
    vy = -np.where((vehicle == cars) & (t > 2) & (t < 5), LANE / 3, 0) + 0.045 * np.cos(0.3 * t + vehicle)
    lane = np.floor(np.clip(y / LANE, 0, 2.999)).astype(int)
    return {
        "vehicle": vehicle, "frame": frame, "t": t, "x": x, "y": y, "length": length, "width": width, "lane": lane,
        "vx": vx, "vy": vy,
    }  # fmt: skip


def ngsim(true, columns=25, unit=FOOT):
    """By the Department of Transportation: 18 columns as text, or 25 in the portal, feet, to the front bumper."""
    n = len(true["x"])
    zero = np.zeros(n, int)
    found = {
        "Vehicle_ID": true["vehicle"], "Frame_ID": true["frame"] + 100, "Total_Frames": zero + FRAMES,
        "Global_Time": 1118846980200 + np.round(1000 * true["t"]).astype(int),
        "Local_X": np.round((3 * LANE - true["y"]) / unit, 3),
        "Local_Y": np.round((true["x"] + true["length"] / 2) / unit, 3),
        "Global_X": zero + 6451137.641, "Global_Y": zero + 1873344.962, "v_length": np.round(true["length"] / unit, 3),
        "v_Width": np.round(true["width"] / unit, 3), "v_Class": zero + 2,
        "v_Vel": np.round(np.hypot(true["vx"], true["vy"]) / unit, 2), "v_Acc": zero, "Lane_ID": 3 - true["lane"],
    }  # fmt: skip
    if columns > 18:
        found |= dict.fromkeys(("O_Zone", "D_Zone", "Int_ID", "Section_ID", "Direction", "Movement"), zero)
    found |= dict.fromkeys(("Preceding", "Following", "Space_Headway", "Time_Headway"), zero)
    return found | ({"Location": np.full(n, "us-101")} if columns > 18 else {})


def highd(true):
    """Upper left corners in a picture from above, y down; 25 frames per second."""
    return {
        "frame": true["frame"] + 1, "id": true["vehicle"], "x": np.round(true["x"] - true["length"] / 2, 3),
        "y": np.round(30 - true["y"] - true["width"] / 2, 3), "width": true["length"], "height": true["width"],
        "xVelocity": np.round(true["vx"], 2), "yVelocity": np.round(-true["vy"], 2), "xAcceleration": 0 * true["x"],
        "laneId": 4 - true["lane"],
    }  # fmt: skip


def ind(true, angle=0.6):
    """Centres in the plane, the road in any direction; 25 frames per second."""
    cos, sin = np.cos(angle), np.sin(angle)
    return {
        "recordingId": 0 * true["frame"], "trackId": true["vehicle"], "frame": true["frame"],
        "xCenter": np.round(100 + cos * true["x"] - sin * true["y"], 4),
        "yCenter": np.round(-50 + sin * true["x"] + cos * true["y"], 4), "heading": np.full(len(true["x"]), 34.4),
        "width": true["width"], "length": true["length"],
        "xVelocity": np.round(cos * true["vx"] - sin * true["vy"], 3),
        "yVelocity": np.round(sin * true["vx"] + cos * true["vy"], 3),
    }  # fmt: skip


def interaction(true, angle=-0.4):
    found = ind(true, angle)
    return {
        "track_id": true["vehicle"], "frame_id": true["frame"] + 1,
        "timestamp_ms": np.round(1000 * true["t"]).astype(int) + 100, "agent_type": np.full(len(true["x"]), "car"),
        "x": found["xCenter"], "y": found["yCenter"], "vx": found["xVelocity"], "vy": found["yVelocity"],
        "psi_rad": np.full(len(true["x"]), angle), "length": true["length"], "width": true["width"],
    }  # fmt: skip


def own(true):
    """The names of the documentation."""
    return {
        "vehicle": true["vehicle"], "time": np.round(true["t"], 3), "x": true["x"], "y": true["y"],
        "length": true["length"], "width": true["width"], "lane": true["lane"],
    }  # fmt: skip


def text(columns, separator=",", header=True, quote=False, thousands=(), decimal="."):
    """The table as it would be written."""
    cells = []
    for name, values in columns.items():
        words = [f"{value:,}" if name in thousands else str(value) for value in values.tolist()]
        words = ["" if word == "nan" else word for word in words]
        cells.append([word.replace(".", decimal) for word in words])
    lines = [list(columns)] if header else []
    lines += [list(row) for row in zip(*cells, strict=True)]
    mark = '"' if quote else ""
    return "\n".join(separator.join(f"{mark}{cell}{mark}" for cell in line) for line in lines) + "\n"


def is_world(log, true, share=0.97):
    """Whether a log has these vehicles: places to 1 cm in a frame moved as a whole, speeds to 1 % (or 5 cm/s), times.

    Numbers of vehicles may differ, and so may the plane by up to 0.01 radians, where the direction of the road is told
    by the vehicles alone. Almost all rows of the truth must be there, and none that is not.
    """
    rows = np.stack([log.frame * log.dt, log.x, log.y], axis=1)
    truth = np.stack([true["t"], true["x"], true["y"]], axis=1)
    # Moved as a whole, so that some row at the beginning lies on the log's first: neither sorting nor numbers matter.
    first = rows[np.lexsort((rows[:, 1], rows[:, 0].round(3)))[0]]
    begin = truth[np.lexsort((truth[:, 1], truth[:, 0].round(3)))[:25]]
    rows, tree = rows - first, KDTree(truth)
    start = min(begin, key=lambda place: np.median(tree.query(rows[::29] + place)[0]))
    truth, tree = truth - start, KDTree(truth - start)
    distance, found = tree.query(rows)
    if 0.015 < distance.max() < 3:
        here, there = rows[:, 1] + 1j * rows[:, 2], truth[found] @ [0, 1, 1j]
        angle = np.angle(np.vdot(here - here.mean(), there - there.mean()))
        moved = (here - here.mean()) * np.exp(1j * angle) + there.mean() if abs(angle) < 0.01 else here
        distance, found = tree.query(np.stack([rows[:, 0], moved.real, moved.imag], axis=1))
    # A straight line over a short gap, of which the log tells, is some centimetres off where a car brakes.
    bridged = distance > 0.015
    if bridged.mean() > 0.003 or distance.max() > 0.1 or len(np.unique(found)) != len(rows):
        return False
    if len(rows) < share * len(truth):
        return False
    speed = np.hypot(*log.velocities())
    said = np.hypot(true["vx"], true["vy"])[found]
    inside = np.ones(len(log), dtype=bool)
    # At the ends of a stretch the speed is one-sided.
    inside[log.segments()[:, 0]] = inside[log.segments()[:, 1] - 1] = False
    sizes = np.abs(log.length - true["length"][found]) + np.abs(log.width - true["width"][found])
    return bool((np.abs(speed - said)[inside] <= 0.01 * said[inside] + 0.05).mean() > 0.99 and sizes.max() < 0.01)

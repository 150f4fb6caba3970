"""A common clock for a log: frame numbers and the time between frames, from the steps of each vehicle.

Shape letters: N rows, S steps from one row of a vehicle to its next.
"""

from __future__ import annotations

import numpy as np

from lowland.data.sense import inner
from lowland.data.tracks import Floats, Integers
from lowland.errors import DataError

JITTER = 0.25
"""Largest deviation of a time from its frame, as a fraction of the time between frames."""
STRAY = 0.01
"""Fraction of all rows that may deviate more."""
SHORTEST, LONGEST = 0.005, 10.0
"""Seconds between frames, minimum and maximum for a traffic log."""
SPAN = 5_000_000
"""Maximum number of frames: nearly six days at ten per second."""


def clocked(
    vehicle: Integers,
    frame: Floats | None,
    time: Floats | None,
    label: str,
    fps: float = 0.0,
    usual: float = 0.0,
    absolute: bool = False,
) -> tuple[Integers, float, str]:
    """Frames (N,) from 0, the seconds between them, and a sentence on how they were found.

    Times take precedence if present, and frames must then be consistent with them. If only every third frame exists, it
    counts as one frame.

    Args:
        vehicle: (N,).
        frame: (N,), or none.
        time: (N,) in seconds, or none.
        label: the log's name, for errors.
        fps: frames per second as given by the user.
        usual: usual frames per second of such logs, if there are no times.
        absolute: whether times decide where frame numbers restart.

    Raises:
        DataError: if there is no such clock, or frames and times contradict each other.

    >>> frames, dt, _ = clocked(np.ones(3), np.array([0, 3, 6.0]), np.array([0, 0.1, 0.2]), "The log")
    >>> frames.tolist(), dt
    ([0, 1, 2], 0.1)
    """
    for name, values in (("frame", frame), ("time", time)):
        if values is not None and not np.isfinite(values).all():
            raise DataError(f"{label} has a {name} that is not a number.")
    if frame is not None and (frame != np.round(frame)).any():
        raise DataError(f"{label} has a frame that is not a whole number: name it as the time, --columns time=….")
    if time is not None and absolute and frame is not None and np.ptp(time) == 0 and np.ptp(frame) > 0:
        time = None
    if time is None:
        if frame is None:
            raise DataError(f"{label} has neither frames nor times.")
        found = _by_frames(vehicle, frame, fps or usual, label)
    else:
        found = _by_times(vehicle, time, fps, label)
        if frame is not None:
            _in_step(vehicle, frame, time, found[1], label, absolute)
    frames, dt, sentence = found
    frames = frames - frames.min()
    if (most := float(frames.max())) >= SPAN:
        raise DataError(
            f"{label} spans {most:.3g} frames of {dt:g} s, up to vehicle {vehicle[frames.argmax()]}: no recording is "
            "so long. Correct that row, or leave it out."
        )
    return frames.astype(np.int64), dt, sentence


def _steps(vehicle: Integers, values: Floats) -> tuple[Integers, Floats]:
    """Consecutive rows of the same vehicle, (S, 2), and the differences of their values, all positive."""
    order = np.lexsort((values, vehicle))
    later = np.flatnonzero((np.diff(vehicle[order]) == 0) & (np.diff(values[order]) > 0)) + 1
    pairs = np.stack([order[later - 1], order[later]], axis=1)
    return pairs, values[pairs[:, 1]] - values[pairs[:, 0]]


def _by_times(vehicle: Integers, time: Floats, fps: float, label: str) -> tuple[Floats, float, str]:
    time = time - time.min()
    _, step = _steps(vehicle, time)
    if not len(step):
        raise DataError(f"{label} has no vehicle with two different times, so the time between frames is unknown.")
    least = float(np.median(step))
    dt = 1 / fps if fps else least
    for part in () if fps else (1, 2, 3):
        # If most rows are two frames apart and some three, the clock is twice as fast.
        dt = least / part
        for _ in range(3):
            count = np.round(step / dt)
            if not count.any():
                break
            dt = float(step[count > 0].sum() / count[count > 0].sum())
        if (np.abs(step / dt - np.round(step / dt)) > JITTER).mean() <= STRAY:
            break
    dt = _plain(dt, float(np.ptp(time)))
    if not SHORTEST <= dt < LONGEST:
        raise DataError(
            f"{label} has frames {dt:g} s apart: its times are not in seconds. Name their unit, such as --columns "
            "time=NAME:ms."
        )
    phase = time / dt
    # A circular mean, so that jitter about a whole number does not count as half a frame.
    phase = phase - np.angle(np.exp(2j * np.pi * phase).mean()) / (2 * np.pi)
    frames = np.round(phase)
    away = np.abs(phase - frames)
    if (away > JITTER).mean() > STRAY:
        low, high = np.quantile(step, [0.05, 0.95])
        raise DataError(
            f"The vehicles of {inner(label)} have no clock in common: their times are {low:.4g} to {high:.4g} s "
            f"apart, and {100 * (away > JITTER).mean():.0f} % lie between frames of {dt:.4g} s. Interpolate them to "
            "common times, or say how many frames per second there are, --fps N."
        )
    most = float(away.max()) * dt
    jitter = f", which they meet to {1000 * most:.2g} ms" if most > 1e-5 else ""
    return frames, dt, f"One clock of {dt:g} s by the times{jitter}."


def _by_frames(vehicle: Integers, frame: Floats, fps: float, label: str) -> tuple[Floats, float, str]:
    if not fps:
        raise DataError(
            f"{label} has frames but no times: say how many frames there are in a second, --fps N (fps=N in Python)."
        )
    _, step = _steps(vehicle, frame)
    stride = max(float(np.median(step)), 1.0) if len(step) else 1.0
    shift = (frame - frame.min()) / stride
    if (shift != np.round(shift)).any():
        stride, shift = 1.0, frame - frame.min()
    every = f", of which every {stride:g}th is there" if stride > 1 else ""
    return shift, round(stride / fps, 9), f"One clock of {stride / fps:g} s by {fps:g} frames per second{every}."


def _in_step(vehicle: Integers, frame: Floats, time: Floats, dt: float, label: str, absolute: bool) -> None:
    """Raise if frames and times imply different clocks."""
    pairs, _ = _steps(vehicle, time if absolute else frame)
    passed, step = (values[pairs[:, 1]] - values[pairs[:, 0]] for values in (time, frame))
    # Where frame numbers restart, a step is negative.
    told = step > 0
    if not len(step):
        return
    each = float(np.median(passed[told] / step[told])) if told.any() else 0.0
    wrong = np.abs(passed - each * step)[told] > JITTER * dt * np.maximum(1, step[told] * each / dt * 0.01)
    way = "Say which counts, by leaving the other out: --columns frame= or --columns time=."
    if each <= 0 or wrong.mean() > STRAY:
        raise DataError(
            f"{label} has frames and times that contradict each other: in "
            f"{100 * (wrong.mean() if each > 0 else 1):.0f} % of its steps they do not advance together. {way}"
        )
    start = time - each * frame
    apart = np.abs(start - np.median(start)) > JITTER * dt + 0.001 * np.abs(frame - np.median(frame)) * each
    if not absolute and apart.mean() > STRAY:
        raise DataError(
            f"{label} has frames and times that contradict each other: the same frame is at times up to "
            f"{np.ptp(start):.3g} s apart. {way}"
        )


def _plain(dt: float, span: float) -> float:
    """Round to whole frames per second or milliseconds, if this stays within a tenth of a frame over the whole log."""
    for plain in (1 / max(round(1 / dt), 1) if dt > 0 else 0, round(dt, 3)):
        if plain > 0 and span / plain * abs(plain - dt) / plain < 0.1:
            return round(plain, 9)
    return dt

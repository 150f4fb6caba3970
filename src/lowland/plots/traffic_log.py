"""Plots of a traffic log: the space-time diagram and histograms."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from matplotlib.collections import LineCollection
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from lowland.data.tracks import Tracks
from lowland.errors import OptionError
from lowland.evaluation.traffic_log import LogSummary
from lowland.plots.style import BLUE, FAINT, INK, MUTED, ORANGE, figure, ruled

SPEEDS = LinearSegmentedColormap.from_list("speeds", ["#8f2f06", "#f26b1d", "#f6b26b", "#6fb1cf", "#1f6fb2", "#0c2f5e"])
"""From standing (dark orange) to fast (dark blue)."""
_FEWEST = 8


def space_time(tracks: Tracks, lanes: int = 3, seconds: float = 240.0) -> Figure:
    """Position x over time for the busiest lanes, one line per vehicle, coloured by speed; jams move backwards.

    Args:
        tracks: the log.
        lanes: number of lanes to draw, the leftmost on top.
        seconds: duration to draw, from the beginning of the log.

    Raises:
        OptionError: if no row lies in a lane.
    """
    count = np.bincount(tracks.lane[tracks.lane >= 0], minlength=tracks.road.lanes)
    chosen = sorted(np.argsort(-count, kind="stable")[:lanes].tolist(), reverse=True)
    chosen = [lane for lane in chosen if count[lane]]
    if not chosen:
        raise OptionError(f"{tracks.label} has no vehicle in a lane to be drawn.")
    speed = tracks.velocities()[0]
    time = (tracks.frame - tracks.frame.min()) * tracks.dt
    shown = min(seconds, tracks.seconds)
    joined = np.flatnonzero((np.diff(tracks.vehicle) == 0) & (np.diff(tracks.frame) == 1) & (time[1:] <= shown))
    # Every frame would be finer than the plot resolves, so long logs are drawn with every fifth frame.
    step = max(round(0.5 / tracks.dt), 1) if shown > 60 else 1
    joined = joined[tracks.frame[joined] % step == 0]
    later = np.minimum(joined + step, len(tracks) - 1)
    whole = tracks.vehicle[later] == tracks.vehicle[joined]
    joined, later = joined[whole], later[whole]
    drawn = figure(8.6, 1.0 + 1.75 * len(chosen))
    axes = np.atleast_1d(drawn.subplots(len(chosen), 1, sharex=True))
    top, lines = max(float(np.quantile(speed, 0.99)), 1.0), None
    for ax, lane in zip(axes, chosen, strict=True):
        here = tracks.lane[joined] == lane
        ends = [np.stack([time[rows[here]], tracks.x[rows[here]]], axis=1) for rows in (joined, later)]
        lines = LineCollection(list(np.stack(ends, axis=1)), array=speed[joined[here]], cmap=SPEEDS, linewidths=0.9)
        lines.set_clim(0, top)
        ax.add_collection(lines)
        ruled(ax, ylabel="x in m")
        ax.set(xlim=(0, shown), ylim=(tracks.road.length_from, tracks.road.length_to))
        place = {0: ", the rightmost", tracks.road.lanes - 1: ", the leftmost"}.get(lane, "")
        ax.set_title(f"Lane {lane}{place}", fontsize=9, color=INK, loc="left", pad=4)
    axes[-1].set_xlabel("time in s", fontsize=9, color=MUTED)
    if lines is not None:
        bar = drawn.colorbar(lines, ax=list(axes), pad=0.015, aspect=40)
        bar.set_label("speed in m/s", fontsize=9, color=MUTED)
        bar.ax.tick_params(labelsize=8, colors=MUTED, length=0)
        bar.outline.set_edgecolor(FAINT)
    return drawn


def histograms(values: Mapping[str, tuple[npt.NDArray[np.float64], tuple[float, float]]]) -> Figure:
    """Histograms side by side, each with its median.

    Args:
        values: by axis label, the numbers and the ends of the axis; numbers beyond them count at the ends.

    Raises:
        OptionError: without values.
    """
    if not values:
        raise OptionError("Histograms need at least one array of values.")
    drawn = figure(8.6, 2.6)
    for ax, (name, (numbers, (low, high))) in zip(
        np.atleast_1d(drawn.subplots(1, len(values))), values.items(), strict=True
    ):
        ruled(ax, xlabel=name)
        ax.set(yticks=[], xlim=(low, high))
        if len(numbers) < _FEWEST:
            ax.text(0.5, 0.5, "too few", transform=ax.transAxes, ha="center", color=MUTED, fontsize=9)
            continue
        ax.hist(np.clip(numbers, low, high), bins=40, range=(low, high), color=BLUE, alpha=0.85)
        median = float(np.median(numbers))
        ax.axvline(median, color=ORANGE, linewidth=1.6)
        ax.set_title(f"median {median:.3g}", fontsize=9, color=ORANGE, loc="left", pad=4)
    return drawn


def log_histograms(found: LogSummary) -> Figure:
    """Histograms of speeds, gaps, headways and accelerations of a log."""
    return histograms(
        {
            "speed in m/s": (found.speed, (0.0, max(float(np.quantile(found.speed, 0.999)), 1.0))),
            "gap to the car ahead in m": (found.gap, (0.0, 60.0)),
            "time headway in s": (found.headway, (0.0, 6.0)),
            "acceleration in m/s²": (found.acceleration, (-5.0, 5.0)),
        }
    )

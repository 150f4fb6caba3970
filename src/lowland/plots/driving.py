"""Pictures of driven episodes: how they end, the last moment of one, and a film of several drivers in one scene."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from lowland.envs.replay import Policy, Replay
from lowland.envs.trajectory import record
from lowland.evaluation.driving import ENDS, Rows
from lowland.plots.bars import stacked_shares
from lowland.plots.video import drive_video

_COLOURS = {"arrives": "#009e73", "runs out of time": "#e6c04a", "leaves the road": "#7a5cc4", "collides": "#d55e00"}


def episode_ends(outcomes: Mapping[str, Rows]) -> Figure:
    """A bar for each driver, cut into the shares of its episodes by how they end.

    >>> drawn = episode_ends({"ours": [{"reason": "reached"}, {"reason": "collision"}]})
    >>> [float(bar.get_width()) for bar in drawn.axes[0].patches]
    [50.0, 0.0, 0.0, 50.0]
    """
    counts = {
        name: {words: sum(row["reason"] == reason for row in rows) for reason, words in ENDS.items()}
        for name, rows in outcomes.items()
    }
    return stacked_shares(counts, xlabel="share of episodes, %", colours=_COLOURS)


def last_moment(replay: Replay, driver: Policy, episode: int, name: str = "") -> bytes:
    """A PNG of the end of an episode, driven again.

    Args:
        replay, driver, episode, name: see `lowland.envs.trajectory.record`.
    """
    trajectory, file = record(replay, driver, episode, name), io.BytesIO()
    Image.fromarray(trajectory.picture(trajectory.seconds, (720, 224), 70.0)).save(file, "PNG")
    return file.getvalue()


def film_drivers(path: Path, replay: Replay, drivers: Mapping[str, Policy], episode: int, longest: float) -> Path:
    """Film one episode as each driver drives it, one below the other, and return the path.

    Args:
        path: ends in .mp4.
        replay: of the recording.
        drivers: by the name that is written into their pictures.
        episode: its number in the replay.
        longest: seconds after which the film ends.
    """
    return drive_video(
        path, [record(replay, driver, episode, name) for name, driver in drivers.items()], longest=longest
    )

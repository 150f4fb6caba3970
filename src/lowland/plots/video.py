"""Films as H.264 in mp4, small enough for a page, and films of several drivers' trajectories in the same scene.

Shape letters: H rows and W columns of a picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lowland.errors import OptionError, ShapeError
from lowland.files import replacing

if TYPE_CHECKING:
    from lowland.envs.trajectory import Trajectory

Picture = npt.NDArray[np.uint8]


def write_video(path: Path, pictures: Iterable[Picture], rate: int = 20, quality: int = 26) -> Path:
    """Write pictures as an mp4 that every browser plays (H.264, yuv420p), through PyAV.

    The file appears under its name only when complete. An odd row or column is cut off, as the format needs even sizes.

    Args:
        path: ends in .mp4.
        pictures: (H, W, 3) uint8 each, all of one size.
        rate: pictures per second.
        quality: constant rate factor of x264, from 0 (lossless) to 51; 26 gives small files without visible blocks in
            drawings.

    Raises:
        OptionError: if the path does not end in .mp4, or the rate or quality is out of range.
        ShapeError: if there are no pictures, or their sizes or types differ.
        CheckpointError: if the disk is full, or the folder cannot be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = write_video(Path(folder) / "film.mp4", (np.full((32, 48, 3), k, np.uint8) for k in range(5)))
    ...     file.stat().st_size > 500
    True
    """
    import av

    if path.suffix != ".mp4" or not 1 <= rate <= 240 or not 0 <= quality <= 51:
        raise OptionError(
            "A film needs a name that ends in .mp4, a rate of 1 to 240 and a quality of 0 to 51, not "
            f"{path.name!r}, {rate} and {quality}."
        )
    size = None
    with (
        replacing(path) as whole,
        # Passed by name, since PyAV opens the file a second time to move the index to its front.
        av.open(whole.name, "w", format="mp4", options={"movflags": "faststart"}) as file,
    ):
        stream = file.add_stream("libx264", rate=rate, options={"crf": str(quality), "preset": "veryfast"})
        stream.pix_fmt, stream.thread_count = "yuv420p", 1
        for picture in pictures:
            if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8 or min(picture.shape[:2]) < 2:
                raise ShapeError(f"A picture must be (H, W, 3) of uint8, not {picture.shape} of {picture.dtype}.")
            even = np.ascontiguousarray(picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2])
            if size is None:
                size = even.shape
                stream.height, stream.width = size[:2]
            if even.shape != size:
                raise ShapeError(f"All pictures of a film must have one size, but {size} is followed by {even.shape}.")
            for packet in stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")):
                file.mux(packet)
        if size is None:
            raise ShapeError("A film needs at least one picture.")
        for packet in stream.encode():
            file.mux(packet)
    return path


def drive_video(
    path: Path,
    trajectories: Sequence[Trajectory],
    rate: int = 20,
    size: tuple[int, int] = (1280, 272),
    metres: float = 130.0,
    pause: float = 1.5,
    longest: float = 60.0,
) -> Path:
    """Film trajectories in real time, one below the other, each with its driver's name and its outcome.

    Args:
        path: ends in .mp4.
        trajectories: see `lowland.envs.trajectory.record`; of the same episode to compare drivers.
        rate: pictures per second.
        size: width and height per trajectory in pixels.
        metres: length of road shown over the width.
        pause: seconds for which the last picture stays.
        longest: maximum length of the film in seconds; longer trajectories are cut.

    Raises:
        OptionError: if there are no trajectories.
    """
    if not trajectories:
        raise OptionError("A film needs at least one trajectory.")
    seconds = min(longest, max(trajectory.seconds for trajectory in trajectories) + pause)

    def pictures() -> Iterable[Picture]:
        kept: dict[int, Picture] = {}
        for number in range(math.ceil(seconds * rate)):
            now = number / rate
            for row, trajectory in enumerate(trajectories):
                if now <= trajectory.seconds + 1 / rate or row not in kept:
                    kept[row] = trajectory.picture(now, size, metres)
            yield np.concatenate([kept[row] for row in range(len(trajectories))])

    return write_video(path, pictures(), rate)

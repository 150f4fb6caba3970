"""Clips of a log of images, for training: cut when a batch needs them, so that each frame is kept once.

Shape letters: B samples, T steps, A size of an action, H × W × C an image.
"""

from __future__ import annotations

import torch

from lowland.data.frame import as_image
from lowland.data.gym_log import GymLog
from lowland.errors import DataError
from lowland.shaping.base import Batch
from lowland.training.samples import Lazy


def clips(log: GymLog, steps: int) -> Lazy:
    """Every T successive steps of a log of images, as `LatentTraining` takes them.

    A batch has x = {"state": {"image": (B, C, H, W)}, "actions": (B, T, A)} and y = {"image": (B, T, C, H, W)}, from 0
    to 1.

    Args:
        log: whose observations are images.
        steps: T.

    Raises:
        DataError: for observations that are not images, or episodes that are all shorter.

    >>> from lowland.envs.two_rooms import fixed_rooms, record_rooms
    >>> data = clips(record_rooms(fixed_rooms, episodes=2, steps=5, size=8), steps=3)
    >>> data.count, data.draw(torch.tensor([0, 4])).y["image"].shape
    (6, torch.Size([2, 3, 2, 8, 8]))
    """
    if len(log.shape) != 3:
        raise DataError(
            f"{log.name} has observations of shape {log.shape}, but images (H, W, C) are needed here: `lowland run "
            "world --log` learns from vectors."
        )
    images = torch.cat([path["observation"] for path in log.paths])
    lengths = torch.tensor([len(path["actions"]) for path in log.paths])
    if int(lengths.max()) < steps:
        raise DataError(f"{log.name} has episodes of at most {int(lengths.max())} steps, but clips have {steps}.")
    # Actions get one row more for each episode, so that they are counted as the images are.
    actions = torch.cat([torch.cat([path["actions"], path["actions"][-1:]]) for path in log.paths])
    ends = (lengths + 1).cumsum(0)
    first = torch.cat([torch.arange(int(end - n - 1), int(end - steps)) for n, end in zip(lengths, ends, strict=True)])

    def draw(rows: torch.Tensor) -> Batch:
        index = first[rows][:, None] + torch.arange(steps + 1)
        seen = as_image(images[index])
        x = {"state": {"image": seen[:, 0]}, "actions": actions[index[:, :-1]]}
        return Batch({"image": seen[:, 1:]}, x)

    return Lazy(len(first), draw, at_once=64)

"""Clips of a log of images: every run of steps, none across the end of an episode."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lowland.data.gym_log import GymLog
from lowland.errors import DataError
from lowland.training.clips import clips


def numbered(*lengths: int) -> GymLog:
    """Episodes of that many steps, whose pixels and actions count the frames of the whole log."""
    paths, count = [], 0
    for length in lengths:
        frames = torch.arange(count, count + length + 1, dtype=torch.uint8)
        image = frames[:, None, None, None].expand(-1, 2, 3, 1).contiguous()
        paths.append({"observation": image, "actions": frames[:-1, None].float()})
        count += length + 1
    return GymLog(tuple(paths), np.array([-1.0]), np.array([1.0]), "numbered")


def test_no_clip_crosses_the_end_of_an_episode() -> None:
    """Episodes of 4, 1 and 2 steps: frames 0–4, 5–6 and 7–9. Clips of two steps begin at 0, 1, 2 and 7."""
    data = clips(numbered(4, 1, 2), steps=2)
    batch = data.draw(torch.arange(data.count))
    first = (255 * batch.x["state"]["image"][:, 0, 0, 0]).round().long()
    later = (255 * batch.y["image"][:, :, 0, 0, 0]).round().long()
    assert first.tolist() == [0, 1, 2, 7]
    assert later.tolist() == [[1, 2], [2, 3], [3, 4], [8, 9]]
    assert batch.x["actions"][:, :, 0].long().tolist() == [[0, 1], [1, 2], [2, 3], [7, 8]]
    assert batch.x["state"]["image"].shape == (4, 1, 2, 3)


def test_logs_without_images_or_with_short_episodes() -> None:
    with pytest.raises(DataError, match="at most 2 steps, but clips have 3"):
        clips(numbered(2, 1), steps=3)
    vectors = GymLog(({"observation": torch.zeros(3, 2), "actions": torch.zeros(2, 1)},), None, None, "vectors")
    with pytest.raises(DataError, match=r"images .* are needed here"):
        clips(vectors, steps=1)

"""Segments of logs as films; images are drawn on demand, since all of them would not fit into memory.

Shape letters: B segments, T steps, P frames of context, C channels, H and W rows and columns.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lowland.envs.picture import Camera
from lowland.envs.scene import Scene


class Films:
    """Segments of T steps from several logs, as training data for a forward model of images.

    A state has `image` (P, C, H, W) in [0, 1] with the newest frame last, and for the own car `own` (5,), `path` (P, 5)
    with its states at the images, `size` (2,) and `road` (4,). One core draws about 240,000 images of 64 × 16 per
    second, much faster than a network consumes them.

    Args:
        starts: for each log its scene, on the CPU, and the rows where segments begin: `Scene.starts(steps, before)`
            with `before` at least (P − 1) · `every`.
        camera: draws the images.
        frames: P.
        steps: T.
        device: device of the states.

    >>> from lowland.data.traffic import traffic
    >>> scene = Scene(traffic("validation")[0])
    >>> films = Films([(scene, scene.starts(5, before=6)[:100])], Camera(64, 16), frames=4, steps=5)
    >>> state = films.states(torch.tensor([0, 7]), steps=5)
    >>> len(films), state["image"].shape, films.actions.shape
    (100, torch.Size([2, 6, 4, 3, 64, 16]), torch.Size([100, 5, 2]))
    """

    def __init__(
        self,
        starts: Sequence[tuple[Scene, Tensor]],
        camera: Camera,
        frames: int,
        steps: int,
        device: torch.device | str = "cpu",
    ) -> None:
        self.scenes = [scene for scene, _ in starts]
        self.camera, self.frames, self.steps, self.device = camera, frames, steps, device
        self.scene = torch.cat([torch.full_like(rows, number) for number, (_, rows) in enumerate(starts)])
        self.row = torch.cat([rows for _, rows in starts])
        known = [
            torch.stack([scene.action[rows + t * scene.every] for t in range(steps)], dim=1) for scene, rows in starts
        ]
        self.actions = torch.cat(known).clamp(-1, 1)

    def __len__(self) -> int:
        return len(self.row)

    def states(self, segments: Tensor, first: Tensor | int = 0, steps: int = 0) -> dict[str, Tensor]:
        """States s[first], …, s[first + steps] of some segments, each tensor (B, steps + 1, …).

        The images of a segment are views of one film.

        Args:
            segments: (B,), their indices.
            first: first step of each, (B,), or the same for all.
            steps: number of following steps.
        """
        where, begin = self.scene[segments], self.row[segments]
        first = torch.as_tensor(first).expand(len(segments))
        order, parts = [], []
        for number, scene in enumerate(self.scenes):
            (mine,) = (where == number).nonzero(as_tuple=True)
            if len(mine):
                times = first[mine, None] + torch.arange(1 - self.frames, steps + 1)
                rows = begin[mine, None] + times * scene.every
                shown = rows[:, self.frames - 1 :]
                road = scene.road.expand(*shown.shape, 4)
                parts.append((self.camera.logged(scene, rows), scene.own[rows], scene.size[shown], road))
                order.append(mine)
        back = torch.cat(order).argsort()
        film, way, size, road = (torch.cat(part)[back].to(self.device) for part in zip(*parts, strict=True))
        images, path = (leaf.unfold(1, self.frames, 1).movedim(-1, 2) for leaf in (film.to(way.dtype) / 255, way))
        return {"image": images, "own": path[:, :, -1], "path": path, "size": size, "road": road}

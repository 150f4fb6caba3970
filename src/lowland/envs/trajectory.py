"""The trajectory of the own car in one episode, and pictures of it.

Shape letters: T steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from lowland.envs.drawing import Own, Picture, draw
from lowland.envs.replay import REASONS, Policy, Replay
from lowland.envs.scene import Scene


@dataclass(frozen=True)
class Trajectory:
    """The path of the own car through one episode.

    Args:
        scene: the log.
        poses: (T + 1, 5), states of the own car, one per step.
        size: its length and width in metres.
        vehicle: its number in the scene.
        frame: frame of the first pose, counted from the first of the log.
        reason: how the episode ended.
        name: the driver's name.
    """

    scene: Scene
    poses: npt.NDArray[np.float64]
    size: tuple[float, float]
    vehicle: int
    frame: int
    reason: str
    name: str = ""

    @property
    def seconds(self) -> float:
        """Time from the first pose to the last."""
        return (len(self.poses) - 1) * self.scene.step_seconds

    def picture(self, seconds: float, size: tuple[int, int] = (1280, 272), metres: float = 130.0) -> Picture:
        """A picture (height, width, 3) uint8, some seconds after the first pose; poses are interpolated.

        After the end the picture stays the same, with the reason written above.

        Args:
            seconds: from the first pose.
            size, metres: see `lowland.envs.drawing.draw`.
        """
        last = len(self.poses) - 1
        step, ended = max(seconds, 0.0) / self.scene.step_seconds, seconds >= self.seconds - 1e-6
        step = float(last) if ended else min(step, float(last))
        first = min(int(step), last)
        after = self.poses[min(first + 1, last)]
        pose = self.poses[first] + (step - first) * (after - self.poses[first])
        own = Own(
            pose, self.size, self.vehicle, self.poses[: first + 1, :2], self.name,
            self.reason if ended else "",
        )  # fmt: skip
        return draw(self.scene, self.frame + step * self.scene.every, own, size, metres)


def record(replay: Replay, policy: Policy, episode: int, name: str = "") -> Trajectory:
    """Drive one episode and record its trajectory; afterwards the replay is at the end of the episode.

    Args:
        replay: the episodes.
        policy: see `lowland.envs.replay.Policy`.
        episode: its index.
        name: the driver's name, written into pictures.
    """
    state = replay.reset(torch.tensor([episode]))
    if hasattr(policy, "reset"):
        policy.reset(1)  # pyright: ignore[reportFunctionMemberAccess]
    frame, poses = int(replay.frame[0]), [replay.own[0].double().cpu().numpy()]
    while not int(replay.reason[0]):
        with torch.no_grad():
            action = policy(state)
        state, _ = replay.step(action)
        poses.append(replay.own[0].double().cpu().numpy())
    length, width = replay.size[0].tolist()
    reason = REASONS[int(replay.reason[0])]
    return Trajectory(replay.scene, np.stack(poses), (length, width), int(replay.vehicle[0]), frame, reason, name)

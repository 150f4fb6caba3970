"""Traffic replayed from a log, with one car in each scene driven by a policy.

Shape letters: B episodes at once, K nearest cars, N vehicles in one frame.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lowland.data.tracks import Tracks
from lowland.envs.boxes import overlap
from lowland.envs.picture import Camera
from lowland.envs.scene import Scene
from lowland.errors import DataError, OptionError
from lowland.worlds.base import Cost
from lowland.worlds.driving_costs import PixelDrivingCost
from lowland.worlds.kinematics import advance, check_action

Policy: TypeAlias = Callable[[dict[str, Tensor]], "Tensor | None"]
"""State → action (B, 2) in fractions of its bounds, or None to follow the log. A policy with memory also has methods
`reset(batch)`, called at the start, and `select(rows)`, called when only some episodes continue."""

_WITHIN_REACH = 24
"""Nearest cars checked for a collision: more than can touch a car at once."""
REASONS = ("", "reached", "collision", "off road", "time")


class Replay:
    """Episodes from a log of traffic: the other cars follow it and do not react, as in Henaff et al. (2019), section 5.

    Many episodes run at once, independently of each other. The own car follows the log for `context` frames, then the
    policy. An episode ends by

    - *collision*: the rectangles of the own car and of another one overlap;
    - *off road*: its centre crosses an edge of the road;
    - success: it comes within `margin` of the section's end ("section"), or its recording ends ("recording");
    - *time*: the log or `limit` ends first.

    Args:
        tracks: a clean log; all its vehicles are traffic.
        vehicles: vehicles to control, one episode each; all by default.
        until: "section" takes vehicles that were logged from within `entry` metres of the section's beginning to
            within `margin` of its end; "recording", for short recordings, all stretches of at least `frames` frames.
        cars: K, number of nearest other cars in the state; for "nearest" a metre across the road counts as three along
            it.
        every: frames of the log for one action.
        context: frames before the own car is controlled.
        frames: minimum length of a stretch in frames; context + 20 by default.
        margin, entry: in metres.
        limit: in seconds of control.
        image: a `Camera`, or its height and width; adds `image` (B, 3, H, W) to states.
        history: P, number of images of the last steps: `image` is then (B, P, 3, H, W) with the newest last, and `path`
            (B, P, 5) has the own car's states at them.
        collision: "box", or "pixels" as in the paper: proximity in the image above 0.99.
        device: device of all tensors.

    Raises:
        DataError: if no stretch is long enough.
        OptionError: for options that do not go together.

    >>> from lowland.data.tracks import Road
    >>> one, frame, road = np.ones(200), np.arange(200), Road(0.0, 200.0, (0.0, 3.7, 7.4))
    >>> log = Tracks(one, frame, frame, 1.8 * one, 4.5 * one, 1.8 * one, 0 * one, road)
    >>> replay = Replay(log)
    >>> replay.run(lambda state: torch.zeros(len(state["own"]), 2))
    [{'episode': 0, 'vehicle': 1, 'success': True, 'distance': 176.0, 'reason': 'reached', 'seconds': 17.6}]
    """

    episodes: Tensor
    rows: Tensor
    own: Tensor
    size: Tensor
    vehicle: Tensor
    frame: Tensor
    steps: Tensor
    reason: Tensor
    images: Tensor
    path: Tensor

    def __init__(
        self,
        tracks: Tracks,
        vehicles: npt.ArrayLike | None = None,
        *,
        until: Literal["section", "recording"] = "section",
        cars: int = 10,
        every: int = 2,
        context: int = 20,
        frames: int | None = None,
        margin: float = 5.0,
        entry: float = 30.0,
        limit: float = 120.0,
        image: Camera | tuple[int, int] | None = None,
        history: int | None = None,
        collision: Literal["box", "pixels"] = "box",
        device: torch.device | str = "cpu",
    ) -> None:
        if until not in ("section", "recording"):
            raise OptionError(f"An episode runs until 'section' or 'recording', not {until!r}.")
        if cars < 1 or context < 1:
            raise OptionError(f"A replay needs at least 1 car and 1 frame of context, not {cars} and {context}.")
        self.camera = Camera(*image) if isinstance(image, tuple) else image
        if self.camera is None and (history is not None or collision == "pixels"):
            raise OptionError("A history of images and collisions in pixels need an image: give its height and width.")
        if history is not None and not 1 <= 1 + (history - 1) * every <= context:
            raise OptionError(
                f"{history} images, {every} frames apart, do not fit into a context of {context} frames. Give a "
                f"context of {1 + (history - 1) * every}, or fewer images."
            )
        self.scene = Scene(tracks, every, device)
        self.cars, self.until, self.limit, self.history, self.collision = cars, until, limit, history, collision
        if self.camera is not None:
            self.price = PixelDrivingCost(crop=self.camera.crop)
        self.goal = tracks.road.length_to - margin
        least = max(context + 20 if frames is None else frames, context + 2 * every)
        whole = entry if until == "section" else None
        first = _stretches(tracks, vehicles, least, context, whole, self.goal)
        self.starts = torch.from_numpy(first + context - 1).to(self.scene.device)
        self.reset(torch.arange(0))

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def step_seconds(self) -> float:
        """Seconds from one action to the next."""
        return self.scene.step_seconds

    def reset(self, episodes: Tensor | None = None) -> dict[str, Tensor]:
        """Begin the given episodes, all by default, at the end of their context; returns the state."""
        chosen = torch.arange(len(self)) if episodes is None else torch.as_tensor(episodes)
        beginning = self._beginning(chosen.to(self.scene.device))
        self._kept = tuple(beginning)
        for name, leaf in beginning.items():
            setattr(self, name, leaf)
        self._look()
        return self.state()

    def restart(self, rows: Tensor, episodes: Tensor) -> dict[str, Tensor]:
        """Begin other episodes in some rows of the batch; returns the state of all."""
        fresh = self._beginning(episodes.to(self.scene.device))
        for name, leaf in fresh.items():
            setattr(self, name, getattr(self, name).index_copy(0, rows.to(self.scene.device), leaf))
        self._look()
        return self.state()

    def _beginning(self, episodes: Tensor) -> dict[str, Tensor]:
        """Attributes of the episodes at their start, by name."""
        scene, rows = self.scene, self.starts[episodes]
        none = torch.zeros_like(rows)
        kept = {"episodes": episodes, "rows": rows, "own": scene.own[rows], "size": scene.size[rows]}
        kept |= {"vehicle": scene.vehicle[rows], "frame": scene.frame[rows], "steps": none, "reason": none}
        if self.camera is not None:
            back = torch.arange(1 - (self.history or 1), 1, device=scene.device) * scene.every
            kept["images"] = self.camera.logged(scene, rows[:, None] + back)
            kept["path"] = scene.own[rows[:, None] + back]
        return kept

    def state(self) -> dict[str, Tensor]:
        """The current observation for a policy."""
        place, there = self.near
        state = self.scene.state(self.own, self.size, place[:, : self.cars], there[:, : self.cars])
        if self.camera is not None:
            state["image"] = self.images if self.history else self.images[:, -1]
        if self.history:
            state["path"] = self.path
        return state

    def step(self, action: Tensor | None) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """One action in each episode that is not done; None follows the log.

        Returns:
            The state, and (B,) tensors `done`, `crashed`, `off_road`, `succeeded` and `distance`, in metres along the
            road since the policy took over. Finished episodes do not change.

        Raises:
            ShapeError, DomainError: for an action of another shape or outside [−1, 1].
        """
        scene, running = self.scene, self.reason == 0
        later = torch.where(running, self.frame + scene.every, self.frame)
        logged = (self.rows + (self.steps + 1) * scene.every).clamp_max(scene.stop[self.rows] - 1)
        ended = self.rows + (self.steps + 2) * scene.every >= scene.stop[self.rows]
        if action is None:
            moved = scene.own[logged]
        else:
            check_action(action, len(self.own))
            moved = advance(self.own, action.detach().to(self.own), self.size[:, 0], scene.step_seconds)
        self.own = torch.where(running[:, None], moved, self.own)
        self.frame = later.clamp_max(scene.frames - 1)
        self.steps = self.steps + running.long()
        self._look()
        if self.camera is not None:
            image = self.camera.draw(scene, self.own, self.size, self.frame, self.vehicle)
            self.images = torch.cat([self.images[:, 1:], image[:, None]], dim=1)
            self.path = torch.cat([self.path[:, 1:], self.own[:, None]], dim=1)

        crashed = self._crashed()
        y, road = self.own[:, 1], scene.road
        off_road = (y < road[0]) | (y > road[1])
        succeeded = ended if self.until == "recording" else self.own[:, 0] >= self.goal
        late = (later >= scene.frames - 1) | (self.steps * scene.step_seconds >= self.limit)
        found = late.long() * 4
        for code, when in ((1, succeeded), (3, off_road), (2, crashed)):
            found = torch.where(when, code, found)
        self.reason = torch.where(running, found, self.reason)
        return self.state(), self.info()

    def info(self) -> dict[str, Tensor]:
        """The status of the episodes, as `step` returns it."""
        return {
            "done": self.reason > 0,
            "crashed": self.reason == 2,
            "off_road": self.reason == 3,
            "succeeded": self.reason == 1,
            "distance": self.own[:, 0] - self.scene.own[self.rows, 0],
        }

    def _look(self) -> None:
        self.near = self.scene.nearest(self.own, self.frame, self.vehicle, max(self.cars, _WITHIN_REACH))

    def _crashed(self) -> Tensor:
        if self.collision == "pixels":
            seen = {"image": self.images[:, -1], "own": self.own, "size": self.size}
            return self.price.near(seen) > 0.99
        place, there = self.near
        cars = self.scene.table[place]
        hit = overlap(self.own[:, None, :4], self.size[:, None], cars[..., [0, 1, 4, 5]], cars[..., 6:])
        return (hit & there).any(dim=1)

    def select(self, rows: Tensor) -> None:
        """Continue with only some of the episodes."""
        for name in self._kept:
            setattr(self, name, getattr(self, name)[rows])
        self.near = self.near[0][rows], self.near[1][rows]

    def run(
        self, policy: Policy, episodes: Tensor | None = None, batch: int = 256, cost: Cost | None = None
    ) -> list[dict[str, Any]]:
        """Drive episodes to their end: one row each, with success, distance (m), reason and seconds.

        Args:
            policy: see `Policy`.
            episodes: their indices; all by default.
            batch: episodes per batch.
            cost: if given, rows have its mean over the steps as `cost`.
        """
        chosen = torch.arange(len(self)) if episodes is None else torch.as_tensor(episodes)
        rows: list[dict[str, Any]] = []
        for chunk in chosen.split(batch):
            state, spent = self.reset(chunk), self.own.new_zeros(len(chunk))
            if hasattr(policy, "reset"):
                policy.reset(len(chunk))  # pyright: ignore[reportFunctionMemberAccess]
            while len(self.episodes):
                running = self.reason == 0
                with torch.no_grad():
                    action = policy(state)
                    state, info = self.step(action)
                    if cost is not None:
                        given = torch.zeros_like(self.own[:, :2]) if action is None else action
                        spent = spent + torch.where(running, cost(state, given), 0.0)
                done = info["done"]
                if int(done.sum()) * 4 >= len(done):
                    found = self._outcomes(done)
                    if cost is not None:
                        mean = (spent / self.steps)[done].tolist()
                        found = [row | {"cost": value} for row, value in zip(found, mean, strict=True)]
                    rows += found
                    left = (~done).nonzero()[:, 0]
                    self.select(left)
                    state, spent = {name: leaf[left] for name, leaf in state.items()}, spent[left]
                    if hasattr(policy, "select"):
                        policy.select(left)  # pyright: ignore[reportFunctionMemberAccess]
        return sorted(rows, key=lambda row: row["episode"])

    def _outcomes(self, which: Tensor) -> list[dict[str, Any]]:
        info, dt = self.info(), self.scene.step_seconds
        return [
            {
                "episode": int(self.episodes[i]),
                "vehicle": int(self.scene.vehicles[int(self.vehicle[i])]),
                "success": bool(info["succeeded"][i]),
                "distance": round(float(info["distance"][i]), 3),
                "reason": REASONS[int(self.reason[i])],
                "seconds": round(int(self.steps[i]) * dt, 6),
            }
            for i in which.nonzero()[:, 0].tolist()
        ]


def _stretches(
    tracks: Tracks, vehicles: npt.ArrayLike | None, least: int, context: int, entry: float | None, goal: float
) -> npt.NDArray[np.int64]:
    """First rows of the stretches to use as episodes; with `entry` only of cars that drove the whole section."""
    segments = tracks.segments()
    long = segments[:, 1] - segments[:, 0] >= least
    if not long.any():
        raise DataError(
            f"{tracks.label} has no vehicle with {least} frames in a row ({context} frames of context and what is "
            f"left to drive); the longest stretch has {int(np.diff(segments).max())}."
        )
    if vehicles is not None:
        long &= np.isin(tracks.vehicle[segments[:, 0]], vehicles)
        if not long.any():
            raise DataError(f"None of the vehicles to control has {least} frames in a row in the log {tracks.name}.")
    if entry is not None:
        long &= tracks.x[segments[:, 0]] <= tracks.road.length_from + entry
        long &= tracks.x[segments[:, 1] - 1] >= goal
    if not long.any():
        raise DataError(
            f"{tracks.label} has no vehicle to control that was logged from the beginning to the end of the section. "
            "For short recordings use until='recording'."
        )
    return segments[long, 0]

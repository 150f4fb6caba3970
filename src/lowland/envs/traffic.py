"""Replayed traffic as Gymnasium environments: one car, or a batch of cars.

Shape letters: B environments, K nearest cars, P images of a history, C channels of H × W pixels.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import gymnasium
import numpy as np
import numpy.typing as npt
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from torch import Tensor

from lowland.data.logs import Reading
from lowland.data.tracks import Tracks
from lowland.data.traffic import traffic
from lowland.envs.bounds import observations
from lowland.envs.drawing import Own, Picture, draw
from lowland.envs.own_log import own_log
from lowland.envs.picture import Camera
from lowland.envs.replay import REASONS, Replay
from lowland.errors import DomainError, OptionError, ShapeError, nearest
from lowland.worlds.base import Cost
from lowland.worlds.driving_costs import DrivingCost
from lowland.worlds.kinematics import check_action

Observation = dict[str, Any]
_MASK = "reset_mask"
"""Gymnasium's option for vector environments: which environments to reset."""


class TrafficReplay(gymnasium.Env[Observation, npt.NDArray[Any]]):
    """One car among replayed traffic; `gymnasium.make("lowland/TrafficReplay-v0")` after `import lowland`.

    The observation is the traffic state of `lowland.envs.Replay`, without its batch axis: float32 within bounds that
    follow from the log (`lowland.envs.bounds`), images uint8. The action is acceleration and turn as fractions of their
    bounds. The reward is −C(s[t+1], a[t]). An episode terminates on a collision, off the road, or at its end
    (`succeeded`), and is truncated when time runs out. `info` has `episode_number`, `distance`, `succeeded` and
    `reason`; the key `episode` is reserved for Gymnasium's statistics.

    Args:
        tracks: the log, its path (read as by `lowland run drive --tracks`), or the name of a part of the traffic that
            ships with the package (its first recording is used).
        columns, units, fps: how to read a table whose header does not say; see `lowland.data.read_tracks`.
        image: height and width of an image to observe, or a `Camera`; none by default.
        history, until, cars, every: see `Replay`.
        cost: C; `DrivingCost()` by default.
        render_mode: "rgb_array" or none.

    `reset(options={"episode": 3})` begins the given episode; otherwise it is chosen at random.

    Raises:
        DataError: for a log that cannot be read, or without an episode.
        OptionError: for an unknown option, including those of `reset`, and for columns, units or fps without a file.

    >>> import lowland
    >>> env = gymnasium.make("lowland/TrafficReplay-v0", tracks="validation")
    >>> observation, info = env.reset(seed=0)
    >>> observation["cars"].shape
    (10, 4)
    """

    metadata: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 5}  # noqa: RUF012 (Gymnasium declares it)

    def __init__(
        self,
        tracks: Tracks | str | Path = "train",
        *,
        columns: str | Mapping[str, str] = "",
        units: str = "",
        fps: float = 0.0,
        image: Camera | tuple[int, int] | None = None,
        history: int | None = None,
        until: Literal["section", "recording"] = "section",
        cars: int = 10,
        every: int = 2,
        cost: Cost | None = None,
        render_mode: str | None = None,
    ) -> None:
        if render_mode not in (None, "rgb_array"):
            raise OptionError(f"Traffic is rendered as 'rgb_array', not {render_mode!r}.")
        log = _log(tracks, Reading(columns, units, fps))
        self.replay = Replay(log, until=until, cars=cars, every=every, image=image, history=history)
        self.cost, self.render_mode = cost or DrivingCost(), render_mode
        self.observation_space, self.action_space = observations(self.replay), _actions()
        self.path: list[npt.NDArray[np.float64]] = []

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        super().reset(seed=seed)
        chosen = _chosen(options, ("episode",), len(self.replay), 1)
        if chosen is None:
            chosen = torch.from_numpy(self.np_random.integers(len(self.replay), size=1))
        state = self.replay.reset(chosen)
        self.path = [self._pose()]
        return _first(_observed(state)), self._info(self.replay.info())

    def step(self, action: npt.ArrayLike) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        _check_begun(self.replay)
        given = torch.as_tensor(np.asarray(action, dtype=np.float32))[None]
        state, stand = self.replay.step(given)
        self.path.append(self._pose())
        reward, reason = float(_rewards(self.cost, state, given)[0]), int(self.replay.reason[0])
        return _first(_observed(state)), reward, reason in (1, 2, 3), reason == 4, self._info(stand)

    def render(self) -> Picture | None:
        """A picture (H, W, 3) of the road around the car; None without a render mode."""
        if self.render_mode is None or not self.path:
            return None
        length, width = self.replay.size[0].tolist()
        trail = np.stack(self.path)[:-1, :2]
        reason = REASONS[int(self.replay.reason[0])]
        own = Own(self.path[-1], (length, width), int(self.replay.vehicle[0]), trail, reason=reason)
        return draw(self.replay.scene, float(self.replay.frame[0]), own)

    def _info(self, stand: dict[str, Tensor]) -> dict[str, Any]:
        return {
            "episode_number": int(self.replay.episodes[0]),
            "distance": float(stand["distance"][0]),
            "succeeded": bool(stand["succeeded"][0]),
            "reason": REASONS[int(self.replay.reason[0])],
        }

    def _pose(self) -> npt.NDArray[np.float64]:
        return self.replay.own[0].double().numpy()


class TrafficReplayVector(VectorEnv[Observation, npt.NDArray[Any], npt.NDArray[Any]]):
    """A batch of cars, each in its own scene, stepped together; `gymnasium.make_vec` finds it under the same name.

    A finished environment begins another episode at its next step, ignoring that step's action, with reward 0
    (Gymnasium's `AutoresetMode.NEXT_STEP`). `info` is that of `TrafficReplay`, each entry an array with its mask.

    Args:
        num_envs: B.
        tracks, columns, units, fps, image, history, until, cars, every, cost: see `TrafficReplay`.

    `reset(options={"episode": [3, 0, 8]})` begins the given episodes, one per environment or the same for all, and
    `reset(options={"reset_mask": mask})` resets only the environments for which the mask is true.

    >>> env = TrafficReplayVector(num_envs=3, tracks="validation")
    >>> state, _ = env.reset(seed=0)
    >>> state["own"].shape
    (3, 5)
    """

    metadata: dict[str, Any] = {"autoreset_mode": AutoresetMode.NEXT_STEP, "render_modes": []}  # noqa: RUF012 (the same)

    def __init__(
        self,
        num_envs: int = 1,
        tracks: Tracks | str | Path = "train",
        *,
        columns: str | Mapping[str, str] = "",
        units: str = "",
        fps: float = 0.0,
        image: Camera | tuple[int, int] | None = None,
        history: int | None = None,
        until: Literal["section", "recording"] = "section",
        cars: int = 10,
        every: int = 2,
        cost: Cost | None = None,
    ) -> None:
        if num_envs < 1:
            raise OptionError(f"A batch needs at least 1 environment, but num_envs is {num_envs}.")
        self.num_envs = num_envs
        log = _log(tracks, Reading(columns, units, fps))
        self.replay = Replay(log, until=until, cars=cars, every=every, image=image, history=history)
        self.cost = cost or DrivingCost()
        self.single_observation_space, self.single_action_space = observations(self.replay), _actions()
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        if isinstance(seed, list):
            raise OptionError("The batch draws its episodes from one stream: give a single seed.")
        chosen = _chosen(options, ("episode", _MASK), len(self.replay), self.num_envs)
        mask = (options or {}).get(_MASK)
        if mask is not None and (np.shape(mask) != (self.num_envs,) or np.asarray(mask).dtype != np.bool_):
            raise OptionError(f"{_MASK} must be {self.num_envs} times true or false, but it is {mask!r}.")
        super().reset(seed=seed)
        if mask is None or not len(self.replay.episodes):
            state = self.replay.reset(self._drawn(self.num_envs) if chosen is None else chosen)
        else:
            rows = torch.from_numpy(np.flatnonzero(mask))
            state = self.replay.restart(rows, self._drawn(len(rows)) if chosen is None else chosen[rows])
        return _observed(state), self._info()

    def step(
        self, actions: npt.ArrayLike
    ) -> tuple[Observation, npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], dict[str, Any]]:
        _check_begun(self.replay)
        given = torch.as_tensor(np.asarray(actions, dtype=np.float32))
        check_action(given, self.num_envs)
        over = (self.replay.reason > 0).nonzero()[:, 0]
        state, _ = self.replay.step(given)
        reward = _rewards(self.cost, state, given)
        if len(over):
            state = self.replay.restart(over, self._drawn(len(over)))
            reward = reward.index_fill(0, over, 0.0)
        reason = self.replay.reason.numpy()
        return _observed(state), reward.numpy(), np.isin(reason, (1, 2, 3)), reason == 4, self._info()

    def _drawn(self, count: int) -> Tensor:
        return torch.from_numpy(self.np_random.integers(len(self.replay), size=count))

    def _info(self) -> dict[str, Any]:
        stand = self.replay.info()
        info = {
            "episode_number": self.replay.episodes.numpy().copy(),
            "distance": stand["distance"].numpy(),
            "succeeded": stand["succeeded"].numpy(),
            "reason": np.array([REASONS[code] for code in self.replay.reason.tolist()], dtype=object),
        }
        return info | {f"_{name}": np.ones(self.num_envs, dtype=bool) for name in info}


def _log(tracks: Tracks | str | Path, reading: Reading) -> Tracks:
    if reading.given and (isinstance(tracks, Tracks) or tracks in ("train", "validation", "test")):
        raise OptionError("columns, units and fps say how a file is read: give its path as tracks.")
    if isinstance(tracks, Tracks):
        return tracks
    if isinstance(tracks, str) and tracks in ("train", "validation", "test"):
        return traffic(tracks)[0]
    return own_log(tracks, reading)[0]


def _check_begun(replay: Replay) -> None:
    if not len(replay.episodes):
        raise OptionError("No episode has begun: call reset before the first step.")


def _chosen(options: Mapping[str, Any] | None, known: tuple[str, ...], episodes: int, count: int) -> Tensor | None:
    """The episodes (count,) in the options of `reset`; None if there are none.

    Raises:
        OptionError: for an unknown option, or a value that is not an episode.
        ShapeError: for the wrong number of episodes.
    """
    options = options or {}
    if unknown := [name for name in options if name not in known]:
        raise OptionError(f"reset has no option {unknown[0]!r}. {nearest(str(unknown[0]), known)}")
    if options.get("episode") is None:
        return None
    asked = np.asarray(options["episode"], dtype=object)
    if asked.shape not in ((), (count,)):
        raise ShapeError(
            f"episode must be one number, or one for each of {count} environments, but its shape is {asked.shape}."
        )
    for one in asked.reshape(-1):
        try:
            good = not isinstance(one, bool | np.bool_) and 0 <= operator.index(one) < episodes
        except TypeError:
            good = False
        if not good:
            raise OptionError(f"Episodes go from 0 to {episodes - 1}, but {one!r} was asked for.")
    return torch.from_numpy(np.broadcast_to(asked, (count,)).astype(np.int64))


def _actions() -> spaces.Space[npt.NDArray[Any]]:
    return spaces.Box(-1.0, 1.0, (2,), np.float32)


def _observed(state: dict[str, Tensor]) -> Observation:
    """Copies, so that later steps do not change them."""
    return {name: np.array(leaf.numpy()) for name, leaf in state.items()}


def _first(observation: Observation) -> Observation:
    return {name: leaf[0] for name, leaf in observation.items()}


def _rewards(cost: Cost, state: dict[str, Tensor], action: Tensor) -> Tensor:
    with torch.no_grad():
        value = cost(state, action)
    if not bool(torch.isfinite(value).all()):
        raise DomainError(
            f"The cost is not a finite number in {int((~torch.isfinite(value)).sum())} of {len(value)} environments: "
            "look for a division by zero or the square root of a negative number in it."
        )
    return -value

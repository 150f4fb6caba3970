"""Records what happens in an environment of Gymnasium, whoever acts in it, as a log that Lowland learns from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete

from lowland.errors import DataError, DomainError, OptionError
from lowland.files import replacing

_SLACK = 1e-3


class RecordLog(gymnasium.Wrapper[Any, Any, Any, Any]):
    """An environment that writes each step into an .npz file: `read_gym_log` and `lowland run plant --log` read it.

        with ll.envs.RecordLog(gymnasium.make("Pendulum-v1"), "mine.npz") as env:
            ...  # your policy, controller or training loop, unchanged

    The file is written by `close`, at the end of the `with` block, and by `save` at any time; a process that is killed
    loses what came after. Put it next to the plant, inside of wrappers that change actions: the log must have the
    actions that the plant received. An episode that is left by `reset` or `close` counts as cut, not as ended.

    Args:
        env: a single environment; observations are a box, actions a box or discrete.
        path: of the file, which must not exist yet.

    Raises:
        OptionError: for other spaces, or if the file exists or is not .npz.
        DomainError: at a step whose action is outside the box.

    >>> import tempfile
    >>> from lowland.data import read_gym_log
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with RecordLog(gymnasium.make("Pendulum-v1"), f"{folder}/mine.npz") as env:
    ...         _ = env.reset(seed=0)
    ...         for _ in range(5):
    ...             _ = env.step(env.action_space.sample())
    ...     read_gym_log(f"{folder}/mine.npz", outcomes=True).steps
    5
    """

    def __init__(self, env: gymnasium.Env[Any, Any], path: str | Path) -> None:
        if not isinstance(env, gymnasium.Env):
            raise OptionError(f"RecordLog wraps a single environment, but this is a {type(env).__name__}.")
        if not isinstance(env.observation_space, Box) or not isinstance(env.action_space, Box | Discrete):
            raise OptionError(
                f"This environment has the observations {env.observation_space} and the actions {env.action_space}, "
                "but a log needs a Box of observations, and a Box or numbers of actions: gymnasium.wrappers can change "
                "both."
            )
        super().__init__(env)
        self.path = Path(path)
        if self.path.suffix != ".npz":
            raise OptionError(f"A log is recorded as .npz, but the file is to be {self.path}.")
        if self.path.exists():
            raise OptionError(f"{self.path} exists, and what it holds would be lost: name another file.")
        self._steps: dict[str, list[Any]] = {name: [] for name in _NAMES}
        self._now: np.ndarray | None = None
        self._saved = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode; one that is not over counts as cut."""
        self._cut()
        observation, info = self.env.reset(seed=seed, options=options)
        self._now = np.array(observation)
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Take a step, and keep it."""
        if self._now is None:
            raise OptionError("No episode is running: call reset() first.")
        taken = self._checked(action)
        observation, reward, ended, cut, info = self.env.step(action)
        following = np.array(observation)
        for name, part in zip(_NAMES, (self._now, following, taken, float(reward), ended, cut), strict=True):
            self._steps[name].append(part)
        self._now = None if ended or cut else following
        return observation, reward, ended, cut, info

    def save(self) -> None:
        """Write all steps so far; the file is replaced as a whole.

        Raises:
            DataError: if it cannot be written.
        """
        if (count := len(self._steps["rewards"])) == self._saved:
            return
        arrays = {name: np.stack(parts) for name, parts in self._steps.items()}
        arrays["truncations"][-1] |= not arrays["terminations"][-1]
        space = self.env.action_space
        if isinstance(space, Box) and np.isfinite([space.low, space.high]).all():
            arrays |= {"action_low": space.low.ravel(), "action_high": space.high.ravel()}
        with replacing(self.path, DataError) as file:
            np.savez_compressed(file, **arrays)  # pyright: ignore[reportArgumentType]
        self._saved = count

    def close(self) -> None:
        """Write the file and close the environment."""
        self._cut()
        self.save()
        super().close()

    def _cut(self) -> None:
        if self._now is not None and self._steps["rewards"]:
            self._steps["truncations"][-1] = not self._steps["terminations"][-1]
        self._now = None

    def _checked(self, action: Any) -> np.ndarray:
        space = self.env.action_space
        if isinstance(space, Discrete):
            return np.asarray(int(action) - int(space.start))
        assert isinstance(space, Box)
        taken = np.array(action, dtype=np.float32)
        slack = _SLACK * np.where(np.isfinite(space.high - space.low), space.high - space.low, 0)
        if taken.shape != space.shape or not ((taken >= space.low - slack) & (taken <= space.high + slack)).all():
            raise DomainError(
                f"The action {np.array2string(taken, threshold=8)} is not in {space}, so the log would not say what "
                "the plant received: put gymnasium.wrappers.ClipAction around RecordLog."
            )
        return taken


_NAMES = ("observations", "next_observations", "actions", "rewards", "terminations", "truncations")

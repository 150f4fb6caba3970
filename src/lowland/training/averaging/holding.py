"""What a centre holds, and its snapshots: the numbers x̃, what its rule keeps, and clocks."""

from __future__ import annotations

import secrets
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lowland.errors import CheckpointError, OptionError
from lowland.training.averaging import checks, wire
from lowland.training.averaging.rules import Numbers, Rule
from lowland.training.averaging.wire import Header

if TYPE_CHECKING:
    from lowland.training.checkpoints import Checkpoints


class Holding:
    """The state of a centre. Whoever reads or changes more than one number of it holds `changed`.

    Args:
        rule: by which workers meet it.
        shard: (k, n).
        run: folder of the snapshots; None for none.

    Raises:
        OptionError: if the snapshot was written under another rule or shard.
        CheckpointError: if all snapshots are damaged.
    """

    def __init__(self, rule: Rule, shard: tuple[int, int], run: str | Path | None) -> None:
        self.rule, self.shard = rule, shard
        self.code = checks.rule_code(rule)
        self.changed = threading.Condition()
        self.x: Tensor | None = None
        self.state: Numbers = {}
        self.size = self.dtype = self.run = self.clock = self.steps = 0
        name = "centre" if shard[1] == 1 else f"centre-{shard[0]}-of-{shard[1]}"
        self._snapshots: Checkpoints | None = None
        self._writing = threading.Lock()
        self._saved = (-1, -1)
        if run is not None:
            # It brings Lightning, which takes twice as long to import as torch; workers do without.
            from lowland.training.checkpoints import Checkpoints

            self._snapshots = Checkpoints(Path(run) / name)
            if (found := self._snapshots.latest()) is not None:
                self._restore(*found)

    def seed(self, message: Tensor, said: Header) -> None:
        """The numbers of a worker become those of an empty centre."""
        with self.changed:
            self.x, self.size, self.dtype = message.clone(), said.numbers, said.dtype
            self.run = said.run or secrets.randbits(62) + 1
            self.steps = said.age

    def meet(self, message: Tensor, age: int, members: int) -> Tensor:
        """The answer of the rule to a worker's message, which must be finite; for one who holds `changed`."""
        answer = self.rule.meet(self.held, message, self.state, members)
        self.clock += 1
        self.steps = max(self.steps, age)
        return answer

    @property
    def held(self) -> Tensor:
        """x̃.

        Raises:
            OptionError: if the centre is empty.
        """
        if self.x is None:
            raise OptionError("The centre is empty: the first worker will give it numbers.")
        return self.x

    def save(self) -> None:
        """Write a snapshot, if something has changed since the last.

        Raises:
            CheckpointError: if it cannot be written.
        """
        with self._writing:
            with self.changed:
                now = (self.clock, self.steps)
                if self._snapshots is None or self.x is None or self._saved == now:
                    return
                tree = {
                    "numbers": self.x.clone(), "state": {name: part.clone() for name, part in self.state.items()},
                    "clock": self.clock, "steps": self.steps, "size": self.size, "run": self.run,
                    "rule": f"{self.rule}", "code": self.code, "shard": list(self.shard),
                }  # fmt: skip
            from lowland.training.checkpoints import write_checkpoint

            write_checkpoint(tree, self._snapshots.path(now[0]))
            self._snapshots.tidy()
            self._saved = now

    def _restore(self, path: Path, tree: dict) -> None:
        try:
            other = (tree["code"], tree["shard"]) != (self.code, list(self.shard))
            x, self.state = tree["numbers"], dict(tree["state"])
            self.clock, self.steps, self.size, self.run = (
                int(tree[name]) for name in ("clock", "steps", "size", "run")
            )
            self.dtype = wire.DTYPES.index(x.dtype)
            whole = checks.span(self.size, *self.shard)
            if any(part.shape != (whole.stop - whole.start,) for part in (x, *self.state.values())) and not other:
                raise ValueError
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{path} is no snapshot of a centre: choose another run.") from error
        if other:
            raise OptionError(
                f"{path} was written by shard {tree['shard']} of a centre with {tree['rule']}, but this is shard "
                f"{list(self.shard)} with {self.rule}: start it with the same, or choose another run."
            )
        self.x, self._saved = x, (self.clock, self.steps)


def finite(numbers: Tensor) -> bool:
    """Whether all numbers are finite, and so far from the largest that a sum of some is finite as well.

    >>> finite(torch.ones(2)), finite(torch.tensor([1.0, torch.nan])), finite(torch.tensor([-torch.inf]))
    (True, False, False)
    """
    low, high = numbers.aminmax()
    most = torch.finfo(numbers.dtype).max ** 0.9
    return bool((low > -most) & (high < most))

"""`lowland centre --run DIR`."""

from __future__ import annotations

import dataclasses
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import arg

from lowland.cli.command import Command
from lowland.errors import OptionError
from lowland.terminal import say

if TYPE_CHECKING:
    from lowland.training.averaging.rules import Rule

_OPTIONS = ("period", "rate", "momentum", "lr")
_STATUS = 10.0


@dataclass(frozen=True)
class Centre(Command):
    """Hold the centre of elastic averaging, which workers link with, and which outlives each of them.

    Use it to train one model in several processes that may die, stop, or join late: each trains on its own and meets
    the centre every few steps. A worker is any training loop with `link = Link(model, Elastic(), "127.0.0.1:29600")`,
    and with `link.step()` between `loss.backward()` and `optimiser.step()`: see examples/averaging.py.

    The centre listens on loopback. Gloo, by which the numbers travel, knows neither authentication nor encryption:
    whoever reaches the port can change the model, or end the centre. For workers on other machines, give --host an
    address of a private network, such as a WireGuard tunnel. A tunnel for one port is not enough, since each link takes
    a port of its own.

    Ctrl-C and SIGTERM save the state and end. The same command goes on from there.
    """

    folder: Annotated[Path, arg(name="run", metavar="DIR")]
    """Folder for what the centre keeps; it goes on from what is there."""
    port: int = 29600
    """Port for workers; 0 for any free one, which is shown."""
    host: str = "127.0.0.1"
    """Address at which to listen."""
    rule: Literal["Elastic", "Downpour", "Outer"] = "Elastic"
    """Elastic averaging, DOWNPOUR, or the outer steps of DiLoCo. Workers must have the same, with equal options."""
    period: Annotated[int | None, arg(help_behavior_hint="(default: that of the rule)")] = None
    """Steps of a worker from one meeting to the next."""
    rate: Annotated[float | None, arg(help_behavior_hint="(Elastic; default: 0.9)")] = None
    """By how much the centre moves if all workers meet it once."""
    momentum: Annotated[float | None, arg(help_behavior_hint="(Downpour: 0; Outer: 0.9)")] = None
    """Momentum of the centre."""
    lr: Annotated[float | None, arg(help_behavior_hint="(Outer; default: 0.7)")] = None
    """Learning rate of the outer step."""
    shard: Annotated[tuple[int, int], arg(metavar="K N")] = (0, 1)
    """Hold only the K-th of N slices of the numbers, counted from 0. Workers then need the addresses of all."""

    def run(self) -> int:
        from lowland.training.averaging.centre import Centre as Holder

        rule = self.chosen()
        with _stopping() as stop, Holder(rule, self.port, self.folder, self.host, shard=self.shard) as centre:
            say(f"A centre with {rule} listens at {centre.address} and keeps its state in {self.folder}.")
            say("Ctrl-C saves and ends it." if centre.empty else f"It goes on after {centre.clock:,} meetings.")
            told = shown = None
            while not stop:
                now = f"{centre.members} workers, {centre.clock:,} meetings, {centre.steps:,} steps, {centre.lost} lost"
                if now != shown and (told is None or time.monotonic() - told > _STATUS):
                    say(now)
                    told, shown = time.monotonic(), now
                if sys.stdout is not None:
                    sys.stdout.flush()
                time.sleep(0.1)
        say(f"Saved after {centre.clock:,} meetings.")
        return 0

    def chosen(self) -> Rule:
        """The rule, with the options that were given.

        Raises:
            OptionError: for an option that the rule does not have.
        """
        from lowland.training.averaging import rules

        kind = getattr(rules, self.rule)
        takes = [field.name for field in dataclasses.fields(kind)]
        given = {name: value for name in _OPTIONS if (value := getattr(self, name)) is not None}
        for name in given:
            if name not in takes:
                raise OptionError(
                    f"{self.rule} has no --{name}: it takes {' and '.join(f'--{each}' for each in takes)}."
                )
        return kind(**given)


@contextmanager
def _stopping() -> Iterator[list[int]]:
    """A list that Ctrl-C and SIGTERM fill."""
    came: list[int] = []
    before = {one: signal.signal(one, lambda number, _: came.append(number)) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield came
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)

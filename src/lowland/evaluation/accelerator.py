"""A small machine for convolutions as a model of its data flow (system H2): tiles, clock, memory, bandwidth.

A tile multiplies and adds all numbers of a window of a filter in one clock. Filters that are smaller share a tile, as
many as fit. All filters that run at once sum into one output map, so that their inputs stream in together, one column
of each after the other, while the last rows wait on the chip.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from lowland.errors import OptionError
from lowland.evaluation.operation_counts import Counts, Window


@dataclass(frozen=True)
class Accelerator:
    """Parameters of the machine; the defaults are those that are told of neuFlow on a Virtex-6 (Farabet et al. 2011).

    Args:
        tiles: that compute windows.
        multipliers: multiply–adds of a tile in one clock: a filter of 10 × 10.
        clock: in Hz.
        bandwidth: of the memory outside, in bytes a second.
        memory: on the chip, in bytes, for the rows that wait.
        number_bytes: of one number; neuFlow computes in 16 bits.
        watts: while it computes.
        packed: whether several small filters share a tile.

    Raises:
        OptionError: for a parameter that is not above 0.
    """

    tiles: int = 4
    multipliers: int = 100
    clock: float = 200e6
    bandwidth: float = 6.4e9
    memory: int = 2**20
    number_bytes: int = 2
    watts: float = 10.0
    packed: bool = True

    def __post_init__(self) -> None:
        for name in ("tiles", "multipliers", "clock", "bandwidth", "memory", "number_bytes", "watts"):
            if not getattr(self, name) > 0:
                raise OptionError(f"{name} of an accelerator must be above 0, but it is {getattr(self, name)}.")

    @property
    def peak(self) -> float:
        """Operations a second if every multiplier always works, a multiply–add being two.

        >>> Accelerator().peak / 1e9
        160.0
        """
        return 2.0 * self.tiles * self.multipliers * self.clock


class Flow(NamedTuple):
    """One layer on an accelerator.

    Attributes:
        window: the layer.
        compute, transfer: seconds; the longer one counts, since both go on at once.
        used: share of the multipliers that work while it computes.
    """

    window: Window
    compute: float
    transfer: float
    used: float

    @property
    def seconds(self) -> float:
        """Of the layer."""
        return max(self.compute, self.transfer)


class Estimate(NamedTuple):
    """A network on an accelerator: its layers, seconds for one sample, operations a second, and joules."""

    flows: tuple[Flow, ...]
    seconds: float
    rate: float
    joules: float

    @property
    def frames(self) -> float:
        """Samples a second."""
        return 1 / self.seconds


def flow(machine: Accelerator, window: Window) -> Flow:
    """Time of one layer.

    A filter of more numbers than a tile has multipliers takes several clocks for each place. g filters run at once, for
    g inputs of one output map. Each pass over an output map writes it, and all passes but the first read it back. An
    image whose g (height − 1) waiting rows do not fit on the chip is cut into strips, which overlap by the filter.

    >>> found = flow(Accelerator(), Window(inputs=8, outputs=64, height=7, width=7, rows=120, columns=160))
    >>> round(found.used, 2), found.compute > found.transfer
    (0.98, True)
    """
    area = window.height * window.width
    share = machine.multipliers // area if machine.packed else min(1, machine.multipliers // area)
    clocks = 1 if share else math.ceil(area / machine.multipliers)
    together = machine.tiles * max(1, share)
    passes = math.ceil(window.inputs / together)
    places = window.rows * window.columns
    # What the last pass leaves free, other output maps cannot use, since it sums into one.
    compute = window.outputs * passes * places * clocks / machine.clock
    used = window.multiply_adds / (compute * machine.clock * machine.tiles * machine.multipliers)
    streams = min(together, window.inputs)
    waiting = streams * (window.height - 1) * machine.number_bytes
    strip = min(window.columns, machine.memory // waiting) if waiting else window.columns
    again = 1 + (window.width - 1) / strip if strip < window.columns else 1.0
    numbers = window.outputs * places * (window.inputs * again + 2 * passes - 1) + window.inputs * window.outputs * area
    return Flow(window, compute, numbers * machine.number_bytes / machine.bandwidth, used)


def estimate(machine: Accelerator, network: Counts | Iterable[Window]) -> Estimate:
    """A network on an accelerator, layer after layer; only convolutions and linear layers take time.

    Raises:
        OptionError: for a network without such layers.

    >>> found = estimate(Accelerator(), [Window(4, 10, 10, 10, 100, 100)])
    >>> round(found.rate / 1e9), round(found.frames)
    (160, 2000)
    """
    windows = [one.window for one in network.operations] if isinstance(network, Counts) else list(network)
    flows = tuple(flow(machine, window) for window in windows if window is not None)
    if not flows:
        raise OptionError("The network has neither a convolution nor a linear layer, so nothing runs on the tiles.")
    seconds = sum(one.seconds for one in flows)
    operations = 2 * sum(one.window.multiply_adds for one in flows)
    return Estimate(flows, seconds, operations / seconds, seconds * machine.watts)


def parsing_network(rows: int = 240, columns: int = 320, scales: int = 3) -> list[Window]:
    """Layers of the scene parser of Farabet, Couprie, Najman & LeCun (2013) for one picture, at all scales.

    Three stages of 7 × 7 filters; borders are padded, and each of the first two stages halves the sides. Ten maps see
    the brightness and six the two colours; each of 64 maps sees 8 of these, and each of 256 sees 32 of those.

    >>> round(2 * sum(window.multiply_adds for window in parsing_network()) / 1e9, 2)
    6.54
    """
    return [
        Window(inputs, outputs, 7, 7, rows // shrunk >> scale, columns // shrunk >> scale)
        for scale in range(scales)
        for inputs, outputs, shrunk in ((1, 10, 1), (2, 6, 1), (8, 64, 2), (32, 256, 4))
    ]


def limits(machine: Accelerator, network: Sequence[Window]) -> dict[str, Estimate]:
    """The network on the machine, and what it would be without one of its limits at a time.

    >>> list(limits(Accelerator(), parsing_network()))
    ['as it is', 'one filter for each tile', 'memory without limit']
    """
    parts = {name: getattr(machine, name) for name in machine.__dataclass_fields__}
    return {
        "as it is": estimate(machine, network),
        "one filter for each tile": estimate(Accelerator(**{**parts, "packed": False}), network),
        "memory without limit": estimate(Accelerator(**{**parts, "bandwidth": 1e18, "memory": 2**60}), network),
    }

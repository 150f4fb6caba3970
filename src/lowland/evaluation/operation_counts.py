"""What a network computes, operator by operator: multiply–adds, further operations, and bytes read and written.

Only tensors are counted that are read from or written to memory: views cost nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple


class Window(NamedTuple):
    """A convolution as a machine for convolutions sees it; a linear layer has a window of 1 × 1.

    Attributes:
        inputs: maps that each output map sees.
        outputs: maps.
        height, width: of the filters.
        rows, columns: of an output map, all samples below each other.
    """

    inputs: int
    outputs: int
    height: int
    width: int
    rows: int
    columns: int

    @property
    def multiply_adds(self) -> int:
        """Products of the whole layer."""
        return math.prod(self)


@dataclass(frozen=True)
class Operation:
    """One operator, as it was run on one batch.

    Attributes:
        name: of the operator, such as "conv2d".
        layer: where it stands in the network.
        products: multiply–adds.
        others: operations that are no products, one for each number of the larger of input and output.
        weights: names of the weights that it reads.
        weight_bytes, activation_bytes: that it reads, and reads or writes.
        dtype: of its numbers, such as "float32".
        known: whether its operations could be counted; its bytes are always.
        window: for convolutions and linear layers.
    """

    name: str
    layer: str
    products: int = 0
    others: int = 0
    weights: tuple[str, ...] = ()
    weight_bytes: int = 0
    activation_bytes: int = 0
    dtype: str = ""
    known: bool = True
    window: Window | None = None

    @property
    def arithmetic(self) -> int:
        """Operations in the usual sense, in which a multiply–add is two."""
        return 2 * self.products + self.others

    @property
    def bytes(self) -> int:
        """Moved in all."""
        return self.weight_bytes + self.activation_bytes

    @property
    def intensity(self) -> float:
        """Operations for each byte moved."""
        return self.arithmetic / self.bytes if self.bytes else 0.0


@dataclass(frozen=True)
class Counts:
    """All operators of a network for one batch.

    Attributes:
        operations: in the order in which they were run.
        parameters: trained numbers, each once; statistics of batch normalisation are none.
        stored_bytes: of all that is stored and read, these statistics and other constants included.

    >>> first = Operation("linear", "0", products=6, weights=("w",), weight_bytes=24, activation_bytes=20)
    >>> both = Counts((first, Operation("mystery", "1", activation_bytes=16, known=False)), 6, 24)
    >>> both.products, both.bytes, both.unknown
    (6, 60, ('mystery',))
    """

    operations: tuple[Operation, ...]
    parameters: int
    stored_bytes: int

    @cached_property
    def products(self) -> int:
        """Multiply–adds."""
        return sum(one.products for one in self.operations)

    @cached_property
    def others(self) -> int:
        """Operations that are no products."""
        return sum(one.others for one in self.operations)

    @cached_property
    def weight_bytes(self) -> int:
        """Bytes of weights read: more than are stored where a layer is used twice."""
        return sum(one.weight_bytes for one in self.operations)

    @cached_property
    def activation_bytes(self) -> int:
        """Bytes of activations read and written."""
        return sum(one.activation_bytes for one in self.operations)

    @property
    def arithmetic(self) -> int:
        """Operations, a multiply–add being two."""
        return 2 * self.products + self.others

    @property
    def bytes(self) -> int:
        """Moved in all."""
        return self.weight_bytes + self.activation_bytes

    @property
    def intensity(self) -> float:
        """Operations for each byte moved."""
        return self.arithmetic / self.bytes if self.bytes else 0.0

    @cached_property
    def unknown(self) -> tuple[str, ...]:
        """Names of the operators whose operations could not be counted, each once."""
        return tuple(dict.fromkeys(one.name for one in self.operations if not one.known))

    @cached_property
    def layers(self) -> tuple[Operation, ...]:
        """Operators put together by the layer that they stand in, in order; the name lists them."""
        found: dict[str, list[Operation]] = {}
        for one in self.operations:
            found.setdefault(one.layer, []).append(one)
        return tuple(_together(layer, each) for layer, each in found.items())


def _together(layer: str, each: Sequence[Operation]) -> Operation:
    return Operation(
        ", ".join(dict.fromkeys(one.name for one in each)), layer,
        sum(one.products for one in each), sum(one.others for one in each),
        tuple(dict.fromkeys(name for one in each for name in one.weights)),
        sum(one.weight_bytes for one in each), sum(one.activation_bytes for one in each),
        each[0].dtype, all(one.known for one in each), each[0].window if len(each) == 1 else None,
    )  # fmt: skip

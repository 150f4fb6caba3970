"""What operations and memory cost in energy, by a published table for a process of 45 nm.

Source: Horowitz, "Computing's energy problem (and what we can do about it)", ISSCC 2014, figure 1.1.9: rough energies
at 45 nm and 0.9 V. Newer processes need less for arithmetic, and hardly less for memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from lowland.evaluation.operation_counts import Counts

MULTIPLY: Mapping[str, float] = MappingProxyType({"float32": 3.7, "float16": 1.1, "int32": 3.1, "int8": 0.2})
"""Picojoules of a multiplication, by type."""
ADD: Mapping[str, float] = MappingProxyType({"float32": 0.9, "float16": 0.4, "int32": 0.1, "int8": 0.03})
"""Picojoules of an addition."""
ON_CHIP, OFF_CHIP = 100 / 8, 1300 / 8
"""Picojoules of a byte read or written: 100 for 64 bits in a cache of 1 MB; 1.3 to 2.6 nJ in DRAM, the less here."""
_AS = {"uint8": "int8", "bfloat16": "float16", "int64": "int32", "bool": "int8"}
"""Types that the table lacks, and the next one in it; float64 has none."""


class Joules(NamedTuple):
    """Estimated energy for one batch, in joules.

    Attributes:
        arithmetic: of all operations.
        on_chip: of all bytes moved, if everything lies in a memory of 1 MB on the chip.
        off_chip: of all bytes moved, if everything goes to DRAM and back.
        left_out: operators that are not in it, since they or their type are not in the tables.
    """

    arithmetic: float
    on_chip: float
    off_chip: float
    left_out: tuple[str, ...] = ()

    @property
    def least(self) -> float:
        """With all numbers on the chip."""
        return self.arithmetic + self.on_chip

    @property
    def most(self) -> float:
        """With all numbers in DRAM."""
        return self.arithmetic + self.off_chip


def estimated_energy(counts: Counts) -> Joules:
    """Energy of the arithmetic and of moving the bytes, without control, leakage and clock, which often cost more.

    A multiply–add is a multiplication and an addition; int8 products are added as int32. An operation of another kind
    is an addition.

    >>> from lowland.evaluation.operation_counts import Operation
    >>> one = Operation("linear", "0", products=1000, weight_bytes=4000, activation_bytes=80, dtype="float32")
    >>> found = estimated_energy(Counts((one,), 1000, 4000))
    >>> [round(1e9 * value, 2) for value in (found.arithmetic, found.on_chip, found.off_chip)]
    [4.6, 51.0, 663.0]
    """
    arithmetic, left = 0.0, []
    for one in counts.operations:
        kind = _AS.get(one.dtype, one.dtype)
        if not one.known or (kind not in MULTIPLY and one.arithmetic):
            left.append(one.name)
            continue
        if one.arithmetic:
            # Integer products of 8 bits are summed in 32, and their result has that type.
            factor = MULTIPLY["int8" if "Integer" in one.name or "QLinear" in one.name else kind]
            total = ADD["int32" if factor == MULTIPLY["int8"] else kind]
            arithmetic += one.products * (factor + total) + one.others * ADD[kind]
    moved = counts.bytes
    return Joules(1e-12 * arithmetic, 1e-12 * moved * ON_CHIP, 1e-12 * moved * OFF_CHIP, tuple(dict.fromkeys(left)))

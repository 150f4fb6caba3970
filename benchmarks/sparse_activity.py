"""Products that skip zeros of their input against dense ones, by the share of inputs that are not zero.

    python benchmarks/sparse_activity.py [--quick] [--json FILE]

A linear layer of 1,024 × 4,096 at batch 1 and 64, a sparse code z of 1,024 numbers times a dictionary of 256 rows, a
convolution of 128 to 128 maps of 28 × 28 of which some are 0 everywhere. The rival is torch's dense operation. The
time includes the search for the numbers that are not zero. Results are compared, and must agree to 1e-5 of their size.
One thread and processor time, alternately in one process. The last row of each case, in percent, is the break-even: the
share of inputs that are not zero where both take the same time, by interpolation; above it the dense one is faster.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import torch
from core import contest, device, race, row, table, versions
from report import write
from torch import Tensor, nn
from torch.nn import functional

from lowland.nn.sparse_activity import SparseConvolution, SparseLinear, sparse_product

DENSITIES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
Pair = tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]


def cases(quick: bool) -> dict[str, tuple[Pair, Callable[[float], Tensor], int]]:
    """By name: the sparse and the dense function, a draw of their input by density, and calls in a measurement."""
    draw = torch.Generator().manual_seed(0)
    layer, convolution = nn.Linear(4096, 1024), nn.Conv2d(128, 128, 3, padding=1)
    dictionary = torch.randn(256, 1024, generator=draw)
    across = dictionary.T.contiguous()
    calls = 5 if quick else 50

    def numbers(*shape: int) -> Callable[[float], Tensor]:
        return lambda density: _kept(torch.randn(shape, generator=draw), density, draw)

    def maps(density: float) -> Tensor:
        return torch.rand(1, 128, 28, 28, generator=draw) * _kept(torch.ones(1, 128), density, draw)[..., None, None]

    return {
        "linear layer 4096 to 1024, batch 1": ((SparseLinear(layer), layer), numbers(1, 4096), calls),
        "linear layer 4096 to 1024, batch 64": ((SparseLinear(layer), layer), numbers(64, 4096), max(1, calls // 10)),
        "dictionary 256 × 1024, batch 1": (
            (lambda z: sparse_product(z, across), lambda z: functional.linear(z, dictionary)),
            numbers(1, 1024), 4 * calls,
        ),
        "convolution 128 to 128, 28 × 28, batch 1": (
            (SparseConvolution(convolution), convolution), maps, max(1, calls // 10),
        ),
    }  # fmt: skip


def _kept(values: Tensor, density: float, draw: torch.Generator) -> Tensor:
    """Values (B, K) with exactly round(density · K) of each row left, at least one."""
    order = torch.rand(values.shape, generator=draw).argsort(dim=1)
    return values * (order < max(1, round(density * values.shape[1])))


def break_even(ratios: Sequence[float]) -> float | None:
    """The density where the ratio falls through 1, between two that were measured, by logarithms; None if nowhere.

    >>> round(break_even([8, 4, 2, 1, 0.5, 0.25, 0.1, 0.05]), 3)
    0.05
    """
    for number in range(len(ratios) - 1, 0, -1):
        before, after = ratios[number - 1], ratios[number]
        if before >= 1 > after:
            part = math.log(before) / (math.log(before) - math.log(after))
            return DENSITIES[number - 1] * (DENSITIES[number] / DENSITIES[number - 1]) ** part
    return None


def compare(name: str, pair: Pair, inputs: Callable[[float], Tensor], calls: int, rounds: int) -> list[dict[str, Any]]:
    """Rows of one case by density, and of its break-even."""
    sparse, dense = pair
    rows: list[dict[str, Any]] = []
    for density in DENSITIES:
        x = inputs(density)
        ours, theirs = sparse(x), dense(x)
        if not torch.allclose(ours, theirs, rtol=0, atol=1e-5 * float(theirs.abs().max().clamp(min=1))):
            raise SystemExit(f"{name}: the sparse product is not the dense one.")
        field = {
            "sparse": lambda x=x: [sparse(x) for _ in range(calls)],
            "dense": lambda x=x: [dense(x) for _ in range(calls)],
        }
        times = {key: [one / calls for one in seconds] for key, seconds in race(field, rounds, 1).items()}
        case = f"{name}, {100 * density:g} % not zero"
        rows.append(contest(case, times["sparse"], "torch, dense", times["dense"], 1))
    at = break_even([one["ratio"] for one in rows])
    word = "faster" if rows[0]["ratio"] >= 1 else "SLOWER"
    why = f"none: the sparse one is {word} throughout" if at is None else "below it the sparse one is faster"
    ending = row(f"{name}, break-even", "% not zero", 100 * (at or 0), "torch, dense", None, 1, why=why)
    return [*rows, ending if at is not None else {**ending, "ours": None}]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="seconds: three rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows to this file")
    options = parser.parse_args()
    rows = []
    with torch.no_grad():
        for name, (pair, inputs, calls) in cases(options.quick).items():
            rows += compare(name, pair, inputs, calls, 3 if options.quick else 15)
    print(f"{date.today()}, {device()}\n")
    print(table(rows, digits=7))
    if options.json:
        write(options.json, __doc__.splitlines()[0], device(), versions(), rows)


if __name__ == "__main__":
    main()

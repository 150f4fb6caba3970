"""Look-ups among a million keys: faiss compared with exact search, both by `KeySearch`, and how much they find.

    python benchmarks/memory.py [--quick] [--json FILE] [--keys N] [--probes P ...]

Keys are patches of 8 × 8 of photographs, mean removed, unit norm, float32; queries are patches of other parts of the
photographs. Where the photographs have fewer patches than keys are asked for, keys repeat with a little noise. The 32
keys of the largest product are found. Times are for all queries and without building, one thread, processor time,
alternating in one process; a ratio above 1 says how many times as fast faiss is. `error_ours` is 1 − recall@32 of
faiss. Another row compares the mass that 32 keys leave out at β = 30: as faiss estimates it, and exactly. faiss
(`faiss-cpu`) is optional; without it the only row says why.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import time
from datetime import date
from pathlib import Path
from typing import Any

import torch
from core import contest, device, race, row, table, versions
from report import write
from torch import Tensor
from torch.nn import functional

import lowland as ll
from lowland.nn.key_search import KeySearch

SIDE, READ, BETA, NOISE = 8, 32, 30.0, 0.02
PHOTOGRAPHED = 100_000
"""Patches that are drawn from the photographs; more keys are these with noise."""


def keys_and_queries(count: int, queries: int) -> tuple[Tensor, Tensor]:
    """Patches of the left five eighths of the photographs, and of their right quarter."""
    draw = torch.Generator().manual_seed(0)
    some = ll.data.patches(SIDE, min(count, PHOTOGRAPHED), draw, part="train")
    copies = [some] + [
        functional.normalize(some + NOISE * torch.randn(some.shape, generator=draw), dim=1)
        for _ in range(-(-count // len(some)) - 1)
    ]
    return torch.cat(copies)[:count], ll.data.patches(SIDE, queries, draw, part="test")


def compare(keys: Tensor, query: Tensor, probes: list[int], rounds: int) -> list[dict[str, Any]]:
    case, exact = f"{len(keys)} keys of {keys.shape[1]}, {len(query)} queries, {READ} nearest", KeySearch(keys, "exact")
    if not importlib.util.find_spec("faiss"):
        times = race({"exact": lambda: exact.nearest(query, READ)}, rounds, 1, warm=1)["exact"]
        return [row(case, "s", statistics.median(times), "faiss", None, 1, why="faiss-cpu is not installed")]
    import faiss

    faiss.omp_set_num_threads(1)
    began = time.process_time()
    search, rows = KeySearch(keys, "faiss"), []
    built = time.process_time() - began
    right = exact.nearest(query, READ)[1]
    left = exact.read(query, BETA, READ).left_out
    for many in probes:
        search._faiss.nprobe = many
        number = search.nearest(query, READ)[1]
        recall = float((number[:, :, None] == right[:, None]).any(dim=2).double().mean())
        times = race(
            {"faiss": lambda: search.nearest(query, READ), "exact": lambda: exact.nearest(query, READ)},
            rounds,
            1,
            warm=1,
        )
        name = f"{case}, {many} lists searched"
        rows.append(contest(name, times["faiss"], "exact", times["exact"], 1, error_ours=1 - recall, error_theirs=0.0))
    estimate = search.read(query, BETA, READ).left_out
    error = float((estimate - left).abs().mean())
    more = {"ratio": None, "error_ours": error, "error_theirs": 0.0}
    rows.append(
        row(f"mass left out at β = {BETA:g}", "share", float(estimate.mean()), "exact", float(left.mean()), 1, **more)
    )
    rows.append(row("building the lists", "s", built, "exact", None, 1, why="exact search builds nothing"))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="under a minute: 100,000 keys, one number of lists")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows to this file")
    parser.add_argument("--keys", type=int, default=1_000_000, metavar="N")
    parser.add_argument("--queries", type=int, default=100, metavar="Q")
    parser.add_argument("--probes", type=int, nargs="+", default=[8, 16, 32], metavar="P", help="lists searched")
    options = parser.parse_args()
    torch.set_num_threads(1)
    keys, query = keys_and_queries(100_000 if options.quick else options.keys, options.queries)
    rows = compare(keys, query, [16] if options.quick else options.probes, 3)
    print(f"{date.today()}, {device()}\n")
    print(table(rows, digits=4))
    if options.json:
        write(options.json, __doc__.splitlines()[0], device(), versions("faiss-cpu"), rows)


if __name__ == "__main__":
    main()

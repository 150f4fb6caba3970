"""Speed of sums over paths compared with torch's CTC and with pytorch-crf: value and gradient of the same likelihood.

    python benchmarks/lattice.py [--quick] [--json FILE] [--threads T ...]

Random scores in float32, lengths between two thirds and all of the frames, random answers, a batch that repeats (as it
does from the second epoch on: automata of answers are kept). CTC gets log probabilities, Lowland the same costs; a
chain has learned costs of pairs in both. The error is the largest difference of a value from float64, relative. All
run alternately in one process: processor time with one thread, wall time with two. pytorch-crf is not a dependency of
Lowland; if it is missing its row says why.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import torch
from core import contest, device, race, row, table, versions
from report import write
from torch import Tensor
from torch.nn import functional

from lowland.automata import chain, frames
from lowland.energies.lattice import Lattice

SHAPES = ((16, 60, 11, 12), (32, 100, 30, 20), (32, 200, 80, 40), (64, 50, 30, 10), (8, 400, 60, 80))
"""Samples, frames, letters, longest answer."""
CHAINS = ((32, 50, 10), (32, 50, 40))
"""Samples, cells, labels."""


class Costs(torch.nn.Module):
    """Costs that are given."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        return x


def ctc(batch: int, cells: int, letters: int, longest: int, threads: int, rounds: int) -> list[dict[str, Any]]:
    drawn = torch.Generator().manual_seed(0)
    scores = torch.randn(batch, cells, letters + 1, generator=drawn)
    used = torch.randint(2 * cells // 3, cells + 1, (batch,), generator=drawn)
    counts = torch.randint(longest // 2, longest + 1, (batch,), generator=drawn)
    answers = torch.randint(1, letters + 1, (batch, longest), generator=drawn)
    energy = Lattice(Costs(cells, letters + 1), frames(letters), cells, lengths=True)
    spelled = [(answer[:count] - 1).tolist() for answer, count in zip(answers, counts, strict=True)]
    y, x = energy.transcripts(spelled), {"input": scores, "cells": used.float()}

    def theirs(dtype: torch.dtype = torch.float32) -> Tensor:
        logits = scores.to(dtype).requires_grad_()
        chances = logits.log_softmax(2).transpose(0, 1)
        value = functional.ctc_loss(chances, answers, used, counts, reduction="none")
        value.sum().backward()
        return value.detach()

    def ours() -> Tensor:
        logits = scores.clone().requires_grad_()
        encoded = energy.encode({"input": -logits.log_softmax(2), "cells": x["cells"]})
        value = energy.marginal(encoded, y, 1.0)
        assert value is not None
        value.sum().backward()
        return value.detach()

    case = f"CTC, {batch} × {cells} frames, {letters} letters, answers to {longest}"
    return [compare(case, ours, "torch", theirs, theirs(torch.float64), threads, rounds)]


def crf(batch: int, cells: int, labels: int, threads: int, rounds: int) -> list[dict[str, Any]]:
    drawn = torch.Generator().manual_seed(0)
    scores = torch.randn(batch, cells, labels, generator=drawn)
    pairs = torch.randn(labels, labels, generator=drawn)
    used = torch.randint(2 * cells // 3, cells + 1, (batch,), generator=drawn)
    energy = Lattice(Costs(cells, labels), chain(labels), cells, lengths=True, learned=True)
    assert energy.weight is not None
    energy.weight.data[: labels**2] = -pairs.flatten()

    def ours() -> Tensor:
        given = scores.clone().requires_grad_()
        value = energy.log_partition(energy.encode({"input": -given, "cells": used.float()}))
        value.sum().backward()
        return value.detach()

    case = f"chain, {batch} × {cells} cells, {labels} labels: log Z"
    if not importlib.util.find_spec("torchcrf"):
        seconds = statistics.median(race({"ours": ours}, rounds, threads)["ours"])
        return [row(case, "s", seconds, "pytorch-crf", None, threads, why="pytorch-crf is not installed")]
    from torchcrf import CRF

    rival = CRF(labels, batch_first=True)
    rival.transitions.data = pairs
    rival.start_transitions.data.zero_()
    rival.end_transitions.data.zero_()
    mask = (torch.arange(cells) < used[:, None]).T

    def theirs(dtype: torch.dtype = torch.float32) -> Tensor:
        rival.to(dtype)
        given = scores.to(dtype).requires_grad_()
        value = rival._compute_normalizer(given.transpose(0, 1), mask)
        value.sum().backward()
        return value.detach()

    exact = theirs(torch.float64)
    rival.float()
    return [compare(case, ours, "pytorch-crf", theirs, exact, threads, rounds)]


def compare(
    case: str, ours: Callable[[], Tensor], rival: str, theirs: Callable[[], Tensor], exact: Tensor, threads: int,
    rounds: int,
) -> dict[str, Any]:  # fmt: skip
    """One row, with errors relative to what float64 says."""
    errors = [float(((run().double() - exact) / exact).abs().max()) for run in (ours, theirs)]
    times = race({"ours": ours, "theirs": theirs}, rounds, threads)
    return contest(case, times["ours"], rival, times["theirs"], threads, error_ours=errors[0], error_theirs=errors[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="under a minute: two shapes, one thread, three rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows to this file")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], metavar="T")
    options = parser.parse_args()
    rounds, rows = 3 if options.quick else 15, []
    for threads in [1] if options.quick else options.threads:
        torch.set_num_threads(threads)
        for shape in SHAPES[: 2 if options.quick else None]:
            rows += ctc(*shape, threads, rounds)
        for shape in CHAINS[: 1 if options.quick else None]:
            rows += crf(*shape, threads, rounds)
    print(f"{date.today()}, {device()}\n")
    print(table(rows, digits=3))
    if options.json:
        write(options.json, __doc__.splitlines()[0], device(), versions("numba", "pytorch-crf"), rows)


if __name__ == "__main__":
    main()

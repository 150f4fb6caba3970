"""Speed of online dictionary learning compared with SPAMS and scikit-learn: one epoch from the same start.

    python benchmarks/dictionary.py [--quick] [--json FILE] [--samples N] [--threads T ...]

Natural patches of 12 × 12, mean removed, unit norm; 256 atoms that start as the first 256 patches; λ = 0.1; batches of
512, each seen once. Lowland's time is that of a complete `DictionaryLearning(epochs=1).fit`. The error is the mean over
10,000 other patches of ½‖y − W z‖² + λ‖z‖₁ at the exact code (lower is better); that of the start is printed first. All
run alternately in one process: processor time with one thread, wall time with two. scikit-learn is slow and runs once.
SPAMS is `spams-bin` on PyPI and not a dependency of Lowland; if it is missing its rows say why.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import time
import warnings
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from core import device, row, speed, table, versions
from report import write

import lowland as ll

ATOMS, SIDE, SPARSITY, BATCH = 256, 12, 0.1, 512
RIVALS = ("SPAMS f64", "SPAMS f32", "scikit-learn cd")


def objective(atoms: np.ndarray, test: np.ndarray) -> float:
    """The mean of min_z ½‖y − W z‖² + λ‖z‖₁ for atoms (K, D), to a relative gap of 1e-8."""
    coder = ll.estimators.SparseCoder(sparsity=SPARSITY, dictionary=atoms)
    return -coder.fit(test[:1]).score(test)


def learners(y: np.ndarray, start: np.ndarray, threads: int) -> dict[str, Callable[[], np.ndarray]]:
    """Each learner by name: one epoch over y (N, D) from the atoms `start`, which returns atoms (K, D)."""

    def lowland() -> np.ndarray:
        options = {"dictionary": start, "epochs": 1, "batch_size": BATCH}
        return ll.estimators.DictionaryLearning(ATOMS, SPARSITY, **options).fit(y).components_

    def sklearn() -> np.ndarray:
        from sklearn.decomposition import MiniBatchDictionaryLearning

        model = MiniBatchDictionaryLearning(
            ATOMS, alpha=SPARSITY, max_iter=1, batch_size=BATCH, fit_algorithm="cd", dict_init=start,
            shuffle=False, tol=0.0, max_no_improvement=None, n_jobs=threads,
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its inner solver warns if it does not converge
            return model.fit(y.astype(np.float64)).components_

    found: dict[str, Callable[[], np.ndarray]] = {"Lowland": lowland, "scikit-learn cd": sklearn}
    if importlib.util.find_spec("spams"):
        import spams

        for name, dtype in (("SPAMS f64", np.float64), ("SPAMS f32", np.float32)):
            columns, first = (np.asfortranarray(array.T.astype(dtype)) for array in (y, start))
            options = {"lambda1": SPARSITY, "mode": 2, "batchsize": BATCH, "iter": len(y) // BATCH}
            options |= {"numThreads": threads, "verbose": False}
            found[name] = lambda x=columns, d=first, o=options: spams.trainDL(x, D=d, **o).T
    return found


def compare(
    y: np.ndarray, start: np.ndarray, test: np.ndarray, threads: int, options: argparse.Namespace
) -> list[dict[str, Any]]:
    """One row per competitor."""
    torch.set_num_threads(threads)
    clock = time.process_time if threads == 1 else time.perf_counter
    field = learners(y, start, threads)
    field["Lowland"]()  # compiles
    times: dict[str, list[float]] = {name: [] for name in field}
    errors: dict[str, float] = {}
    for turn in range(2 if options.quick else 3):
        for name, learn in list(field.items())[:: 1 if turn % 2 else -1]:
            if name == "scikit-learn cd" and turn:
                continue
            began = clock()
            atoms = learn()
            times[name].append(clock() - began)
            errors.setdefault(name, objective(np.ascontiguousarray(atoms), test))
    case, ours = f"one epoch, {len(y)} patches 144 → 256", times["Lowland"]
    rows = []
    for rival in RIVALS:
        if rival not in times:
            why = {"why": "spams is not installed", "error_ours": errors["Lowland"]}
            rows.append(row(case, "s", statistics.median(ours), rival, None, threads, **why))
            continue
        ratio = speed(ours[: len(times[rival])], times[rival])
        more = {"ratio": ratio, "error_ours": errors["Lowland"], "error_theirs": errors[rival]}
        rows.append(row(case, "s", statistics.median(ours), rival, statistics.median(times[rival]), threads, **more))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="under a minute: 10,240 patches, one thread, two rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows to this file")
    parser.add_argument("--samples", type=int, default=100_000, metavar="N", help="number of patches")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], metavar="T")
    options = parser.parse_args()
    torch.set_num_threads(1)
    count = 10_240 if options.quick else options.samples
    y = ll.data.patches(SIDE, count, torch.Generator().manual_seed(1)).numpy()
    test = ll.data.patches(SIDE, 1000 if options.quick else 10_000, torch.Generator().manual_seed(7)).numpy()
    start = y[:ATOMS].copy()
    print(f"{date.today()}, {device()}, objective of the start {objective(start, test):.5f}\n")
    rows = []
    for threads in [1] if options.quick else options.threads:
        rows += compare(y, start, test, threads, options)
    print(table(rows, digits=5))
    if options.json:
        write(options.json, __doc__.splitlines()[0], device(), versions("numba", "spams-bin", "scikit-learn"), rows)


if __name__ == "__main__":
    main()

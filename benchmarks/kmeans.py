"""Speed of K-means compared with scikit-learn and faiss: the same number of Lloyd iterations from the same start.

    python benchmarks/kmeans.py [--quick] [--json FILE] [--samples N] [--threads T ...]

Natural patches of 8 × 8, mean removed, unit norm, float32; 256 centres that start as patches; 20 iterations. Times
include pre- and post-processing. The error is the inertia Σ_n min_k ‖y_n − w_k‖², computed here in float64 from the
centres of each. All run alternately in one process: processor time with one thread, wall time with two. faiss
(`faiss-cpu`) is not a dependency of Lowland; if it is missing its row says why.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from core import contest, device, race, row, table, versions
from report import write
from threadpoolctl import threadpool_limits

import lowland as ll

CENTRES, SIDE, ITERATIONS = 256, 8, 20


def inertia(y: np.ndarray, centres: np.ndarray) -> float:
    y_, centres_ = torch.from_numpy(y).double(), torch.from_numpy(np.asarray(centres)).double()
    return sum(float(torch.cdist(part, centres_).amin(dim=1).square().sum()) for part in y_.split(5000))


def clusterers(y: np.ndarray, start: np.ndarray, threads: int) -> dict[str, Callable[[], np.ndarray]]:
    """By name, a function that runs 20 iterations on y (N, D) from the centres `start` and returns centres (K, D)."""
    from sklearn.cluster import KMeans

    def lowland() -> np.ndarray:
        model = ll.estimators.KMeans(CENTRES, init=start, max_iter=ITERATIONS, tol=0.0)
        return model.fit(y).cluster_centers_

    def sklearn() -> np.ndarray:
        model = KMeans(CENTRES, init=start, n_init=1, max_iter=ITERATIONS, tol=0.0, algorithm="lloyd")
        with threadpool_limits(threads):
            return model.fit(y).cluster_centers_

    found: dict[str, Callable[[], np.ndarray]] = {"Lowland": lowland, "scikit-learn": sklearn}
    if importlib.util.find_spec("faiss"):
        import faiss

        faiss.omp_set_num_threads(threads)

        def with_faiss() -> np.ndarray:
            model = faiss.Kmeans(y.shape[1], CENTRES, niter=ITERATIONS, max_points_per_centroid=len(y))
            model.train(y, init_centroids=start)
            model.index.search(y, 1)  # labels, which the others return too
            return model.centroids

        found["faiss"] = with_faiss
    return found


def compare(y: np.ndarray, threads: int, rounds: int) -> list[dict[str, Any]]:
    """One row per competitor."""
    torch.set_num_threads(threads)
    chosen = torch.randperm(len(y), generator=torch.Generator().manual_seed(0))[:CENTRES].numpy()
    field = clusterers(y, y[chosen].copy(), threads)
    times, errors = race(field, rounds, threads), {name: inertia(y, run()) for name, run in field.items()}
    case, rows = f"K-means, {len(y)} × {y.shape[1]}, K = {CENTRES}, {ITERATIONS} iterations", []
    for rival in ("scikit-learn", "faiss"):
        if rival in field:
            more = {"error_ours": errors["Lowland"], "error_theirs": errors[rival]}
            rows.append(contest(case, times["Lowland"], rival, times[rival], threads, **more))
        else:
            ours, why = statistics.median(times["Lowland"]), f"{rival} is not installed"
            rows.append(row(case, "s", ours, rival, None, threads, why=why, error_ours=errors["Lowland"]))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="under a minute: 20,000 patches, one thread, three rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows to this file")
    parser.add_argument("--samples", type=int, default=100_000, metavar="N", help="number of patches")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], metavar="T")
    options = parser.parse_args()
    torch.set_num_threads(1)
    count = 20_000 if options.quick else options.samples
    y = ll.data.patches(SIDE, count, torch.Generator().manual_seed(1)).numpy()
    rows = []
    for threads in [1] if options.quick else options.threads:
        rows += compare(y, threads, 3 if options.quick else 7)
    print(f"{date.today()}, {device()}\n")
    print(table(rows, digits=7))
    if options.json:
        write(options.json, __doc__.splitlines()[0], device(), versions("numba", "scikit-learn", "faiss-cpu"), rows)


if __name__ == "__main__":
    main()

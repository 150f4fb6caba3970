"""Speed of the exact coder compared with SPAMS, scikit-learn, FISTA in torch and sporco, with certificates.

    python benchmarks/sparse.py [--quick] [--json FILE] [--samples N] [--threads T ...]

E = ½‖y − W z‖² + λ‖z‖₁ on natural patches of 12 × 12, mean removed, unit norm, with 256 atoms learned once from other
patches. All code the same patches in the same process (slow ones only the first 1,000), with alternating runs:
processor time with one thread, wall time with two. Lowland's time is that of `lowland.infer`, including a certificate
per sample; the others do not certify. The gap is (primal − dual) / primal, computed here in float64 for all codes and
not timed. SPAMS (`spams-bin` on PyPI) and sporco are not dependencies of Lowland; if one is missing its row says why.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import importlib.util
import platform
import statistics
import time
from collections.abc import Callable
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from core import device
from report import write
from torch import Tensor

import lowland as ll

Code = Callable[[], Any]
ATOMS, SIDE, SPARSITIES, TOLERANCE = 256, 12, (0.3, 0.1, 0.02), 1e-4


def learned() -> Tensor:
    """The dictionary (144, 256), from 4,000 patches by online dictionary learning with the exact coder."""
    train = ll.data.patches(SIDE, 4000, torch.Generator().manual_seed(1))
    energy = ll.energies.SparseCoding(SIDE**2, ATOMS, 0.1)
    with torch.no_grad():
        energy.dictionary.copy_(train[:ATOMS].T)  # initialised as patches, all atoms are used
        for _ in range(10):
            statistics_ = {
                "codes": torch.zeros(ATOMS, ATOMS).double(),
                "products": torch.zeros(SIDE**2, ATOMS).double(),
            }
            for batch in train.split(1000):
                z = ll.infer(energy, y=batch, over="z", solver=ll.solvers.ActiveSet(TOLERANCE)).value
                for name, value in energy.statistics(None, batch, z).items():
                    statistics_[name] += value
            energy.refit(statistics_)
    return energy.dictionary.detach()


def gaps(y: Tensor, dictionary: Tensor, sparsity: float, codes: Any) -> tuple[float, float]:
    """Mean and worst (primal − dual) / primal of codes (B, K), in float64, at the true residual."""
    energy = ll.energies.SparseCoding(SIDE**2, ATOMS, sparsity).double()
    found = []
    with torch.no_grad():
        energy.dictionary.copy_(dictionary)
        for rows in torch.arange(len(y)).split(5000):
            signals, z = y[rows].double(), torch.from_numpy(np.asarray(codes[rows.numpy()], dtype=np.float64))
            found.append(energy.duality_gap(signals, z) / energy(y=signals, z=z))
    gap = torch.cat(found)
    return gap.mean().item(), gap.max().item()


def problem(dictionary: Tensor, sparsity: float) -> ll.energies.SparseCoding:
    energy = ll.energies.SparseCoding(SIDE**2, ATOMS, sparsity).requires_grad_(False)
    energy.dictionary.copy_(dictionary)
    return energy


def coders(y: Tensor, dictionary: Tensor, sparsity: float, threads: int) -> dict[str, tuple[Code, Any]]:
    """By solver name: the timed function, and one that turns its result into an array of codes (B, K)."""
    energy = problem(dictionary, sparsity)
    exact, array = ll.solvers.ActiveSet(TOLERANCE), lambda found: found.value.numpy()
    contestants: dict[str, tuple[Code, Any]] = {
        "Lowland": (lambda: ll.infer(energy, y=y, over="z", solver=exact), array)
    }
    if importlib.util.find_spec("spams"):
        import spams

        for name, dtype in (("f64", np.float64), ("f32", np.float32)):
            columns, atoms = (np.asfortranarray(t.numpy().astype(dtype)) for t in (y.T, dictionary))
            options = {"lambda1": float(sparsity), "mode": 2, "numThreads": threads}
            run = lambda x=columns, d=atoms, o=options: spams.lasso(x, D=d, **o)  # noqa: E731
            contestants[f"SPAMS LARS {name}"] = (run, lambda found: found.toarray().T)
    return contestants


def fista(y: Tensor, dictionary: Tensor, sparsity: float, steps: int) -> Tensor:
    """The tightest loop possible in torch: three operations per step, without a convergence check."""
    gram = dictionary.T @ dictionary
    bound, t = float(torch.linalg.eigvalsh(gram)[-1]), 1.0
    keep, drive = torch.eye(len(gram)) - gram / bound, y @ dictionary / bound
    z = ahead = torch.zeros_like(drive)
    for _ in range(steps):
        before, z = z, torch.nn.functional.softshrink(torch.addmm(drive, ahead, keep), sparsity / bound)
        later = (1 + (1 + 4 * t * t) ** 0.5) / 2
        ahead, t = torch.lerp(before, z, 1 + (t - 1) / later), later
    return z


def slow_coders(y: Tensor, dictionary: Tensor, sparsity: float) -> dict[str, tuple[Code, Any]]:
    """Solvers so slow that they code only some of the patches."""
    from sklearn.decomposition import sparse_encode

    energy = problem(dictionary, sparsity)
    found: dict[str, tuple[Code, Any]] = {}
    for steps in (100, 400):
        found[f"torch FISTA by hand, {steps} steps"] = (partial(fista, y, dictionary, sparsity, steps), Tensor.numpy)
    ours = ll.solvers.FISTA(max_steps=400, tol=None)
    run = lambda: ll.infer(energy, y=y, over="z", solver=ours)  # noqa: E731
    found["Lowland FISTA, 400 steps"] = (run, lambda result: result.value.numpy())
    if importlib.util.find_spec("sporco"):
        import sporco.admm.bpdn as bpdn

        limits = bpdn.BPDN.Options({"Verbose": False, "MaxMainIter": 100, "RelStopTol": 1e-9})
        atoms, columns = dictionary.double().numpy(), y.double().numpy().T.copy()
        run = lambda: bpdn.BPDN(atoms, columns, sparsity, limits).solve()  # noqa: E731
        found["sporco ADMM, 100 steps"] = (run, lambda codes: codes.T)
    signals, rows = y.double().numpy(), dictionary.T.double().numpy().copy()
    for name, algorithm in (("cd", "lasso_cd"), ("lars", "lasso_lars")):
        options = {"algorithm": algorithm, "alpha": sparsity, "max_iter": 10_000, "check_input": False}
        run = lambda o=options: sparse_encode(signals, rows, **o)  # noqa: E731
        found[f"scikit-learn {name} f64"] = (run, lambda codes: codes)
    return found


def compare(
    y: Tensor, dictionary: Tensor, sparsity: float, threads: int, options: Any, slow: bool
) -> list[dict[str, Any]]:
    """One row per competitor at one λ and number of threads, optionally with the slow ones."""
    torch.set_num_threads(threads)
    clock = time.process_time if threads == 1 else time.perf_counter
    few = y[: 200 if options.quick else 1000]
    field = [(name, y, pair) for name, pair in coders(y, dictionary, sparsity, threads).items()]
    field += [(name, few, pair) for name, pair in slow_coders(few, dictionary, sparsity).items()] if slow else []
    times: dict[str, list[float]] = {name: [] for name, _, _ in field}
    errors: dict[str, tuple[float, float]] = {}
    for name, signals, (run, convert) in field:
        # The first run compiles and fills caches.
        errors[name] = gaps(signals, dictionary, sparsity, convert(run()))
    for turn in range(2 if options.quick or not slow else 4):
        for name, signals, (run, _) in field[:: 1 if turn % 2 else -1]:
            began = clock()
            run()
            times[name].append((clock() - began) / len(signals) * 1e6)
    ours = times["Lowland"]
    shared = {"case": f"lasso 144 → 256, λ = {sparsity:g}, {len(y)} patches", "unit": "µs per sample"}
    shared |= {"ours": statistics.median(ours), "threads": threads, "device": device()}
    shared |= {"error_ours": errors["Lowland"][0], "worst_ours": errors["Lowland"][1]}
    rows = []
    for name in times:
        ratio = statistics.median(b / a for a, b in zip(ours, times[name], strict=True))
        rival = {"rival": name, "theirs": statistics.median(times[name]), "ratio": ratio}
        rows.append(shared | rival | {"error_theirs": errors[name][0], "worst_theirs": errors[name][1]})
    for name, package in (("SPAMS LARS f64", "spams"), ("SPAMS LARS f32", "spams"), ("sporco ADMM", "sporco")):
        if importlib.util.find_spec(package) is None:
            missing = {"theirs": None, "ratio": None, "error_theirs": None, "worst_theirs": None}
            rows.append(shared | missing | {"rival": name, "why": f"{package} is not installed"})
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """The rows in Markdown, grouped by case and number of threads."""
    lines = [
        "| case | threads | solver | µs per sample | Lowland is faster by | mean gap | worst gap |",
        "|" + "---|" * 7,
    ]
    for one in rows:
        cells = [one["case"], str(one["threads"]), one["rival"]]
        if one["theirs"] is None:
            cells += [one["why"], "", "", ""]
        else:
            cells += [f"{one['theirs']:.1f}", "" if one["rival"] == "Lowland" else f"{one['ratio']:.2f}"]
            cells += [f"{one['error_theirs']:.1e}", f"{one['worst_theirs']:.1e}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def versions() -> str:
    found = [f"Python {platform.python_version()}"]
    for package in ("lowland", "torch", "numba", "spams-bin", "scikit-learn", "sporco"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{package} {importlib.metadata.version(package)}")
    return ", ".join(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="under a minute: 1,000 patches, one thread, two rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows to this file")
    parser.add_argument("--samples", type=int, nargs="+", default=[10_000, 100_000], metavar="N", help="patches")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], metavar="T")
    options = parser.parse_args()
    torch.set_num_threads(1)
    dictionary = learned()
    sizes = [1000] if options.quick else sorted(options.samples)
    everything, rows = ll.data.patches(SIDE, sizes[-1], torch.Generator().manual_seed(2)), []
    for size in sizes:
        for threads in [1] if options.quick else options.threads:
            for sparsity in SPARSITIES:
                rows += compare(everything[:size], dictionary, sparsity, threads, options, slow=size == sizes[0])
    print(f"{date.today()}, {device()}, {versions()}\n")
    print(table(rows))
    if options.json:
        write(options.json, __doc__.splitlines()[0], device(), versions(), rows)


if __name__ == "__main__":
    main()

"""Convolutional sparse coding against sporco: one image of 256 × 256, 32 filters of 12 × 12, λ = 0.02.

    python benchmarks/convolutional.py [--quick] [--json FILE] [--threads N ...]

The image is the middle of scikit-learn's china.jpg, grey, in [0, 1], minus its low frequencies as in sporco's own
examples. The filters are random, or those of sporco's learned dictionary. Both solve the same circular problem in
float32. For each gap (E − E*) / E*, with E in float64 and E* the lowest value found in float64, the smallest sufficient
number of iterations is determined for each, and then both are timed with it, alternating: processor time with one
thread, wall time with two, medians over rounds. The competitor, `sporco`, is not a dependency of Lowland. It has its
best settings: automatic ρ, relaxation 1.8, float32, the solver variant with more memory, pyfftw with the same number of
threads.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from core import device, versions
from report import write
from torch import Tensor

import lowland as ll
from lowland.data.natural import photographs

SPARSITY, SIDE, SIZE, FILTERS = 0.02, 256, 12, 32
GAPS = (4e-3, 2e-5)


def high_pass(image: Tensor, weight: float = 5.0, margin: int = 16) -> Tensor:
    """The image minus argmin_l ‖l − image‖² + weight ‖∇l‖², with mirrored borders."""
    wide = torch.nn.functional.pad(image[None, None], (margin,) * 4, mode="reflect")[0, 0]
    height, width = wide.shape
    down = 2 - 2 * torch.cos(2 * torch.pi * torch.arange(height) / height)
    across = 2 - 2 * torch.cos(2 * torch.pi * torch.arange(width // 2 + 1) / width)
    low = torch.fft.irfft2(torch.fft.rfft2(wide) / (1 + weight * (down[:, None] + across)), s=wide.shape)
    return image - low[margin:-margin, margin:-margin]


def filters_of(kind: str) -> Tensor:
    """Filters (32, 12, 12) of unit norm."""
    if kind == "random filters":
        found = torch.randn(FILTERS, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    else:
        from sporco import util

        found = torch.as_tensor(util.convdicts()["G:12x12x36"]).permute(2, 0, 1)[:FILTERS].float()
    return found / found.flatten(1).norm(dim=1)[:, None, None]


class Setting:
    """One problem: its energy in float32 and float64, and its minimum."""

    def __init__(self, kind: str, side: int) -> None:
        self.kind = kind
        grey = photographs()["china.jpg"]
        self.image = high_pass(grey[85 : 85 + side, 192 : 192 + side])
        self.filters = filters_of(kind)
        self.energy = ll.energies.ConvolutionalSparseCoding((1, side, side), FILTERS, SIZE, SPARSITY)
        self.energy.load_state_dict({"filters": self.filters[:, None]})
        self.exact = ll.energies.ConvolutionalSparseCoding((1, side, side), FILTERS, SIZE, SPARSITY).double()
        self.exact.load_state_dict({"filters": self.filters[:, None].double()})
        self.least = float("inf")

    def value(self, z: Tensor) -> float:
        """E in float64 of a code (K, H, W)."""
        with torch.no_grad():
            return float(self.exact(y=self.image[None, None].double(), z=z[None].double()))

    def solve(self, solver: ll.solvers.Solver) -> Tensor:
        """A code by Lowland, by a complete call of `ll.infer`."""
        with torch.no_grad():
            return ll.infer(self.energy, y=self.image[None, None], over="z", solver=solver).value[0]

    def minimum(self, steps: int) -> None:
        """E*: the last value of a long run in float64."""
        with torch.no_grad():
            solver = ll.solvers.ADMM(rho=0.7, max_steps=steps, tol=None)
            found = ll.infer(self.exact, y=self.image[None, None].double(), over="z", solver=solver)
        self.least = float(found.energy)

    def gap(self, z: Tensor) -> float:
        return self.value(z) / self.least - 1


def by_sporco(setting: Setting, steps: int, threads: int, look: Callable[[Any], Any] | None = None) -> Tensor:
    import numpy as np
    import sporco.fft
    from sporco.admm import cbpdn

    sporco.fft.pyfftw_threads = threads
    options = {
        "Verbose": False, "MaxMainIter": steps, "RelStopTol": 1e-9, "RelaxParam": 1.8, "HighMemSolve": True,
        "AutoRho": {"Enabled": True}, "DataType": np.float32, "FastSolve": look is None, "Callback": look,
    }  # fmt: skip
    filters, image = setting.filters.permute(1, 2, 0).numpy(), setting.image.numpy()
    solver = cbpdn.ConvBPDN(filters, image, SPARSITY, cbpdn.ConvBPDN.Options(options), dimK=0)
    solver.solve()
    return code_of(solver)


def code_of(solver: Any) -> Tensor:
    return torch.from_numpy(solver.Y.squeeze().transpose(2, 0, 1).copy())


def path_of_ours(setting: Setting, most: int) -> dict[int, float]:
    """The gap after every fifth step."""
    solver, gaps = ll.solvers.ADMM(max_steps=most, tol=None), {}
    with torch.no_grad():
        problem = ll.solvers.bind(setting.energy, {"y": setting.image[None, None]}, "z")
        state = solver.init(problem, problem.domain.start(1, problem.dtype))
        for step in range(1, most + 1):
            state, _ = solver.step(problem, state, None)
            if step % 5 == 0:
                gaps[step] = setting.gap(problem.domain.unpack(state.u)[0])
    return gaps


def path_of_sporco(setting: Setting, most: int, threads: int) -> dict[int, float]:
    gaps = {}

    def look(solver: Any) -> None:
        if (solver.k + 1) % 5 == 0:
            gaps[solver.k + 1] = setting.gap(code_of(solver))

    by_sporco(setting, most, threads, look)
    return gaps


def fewest(path: dict[int, float], gap: float) -> int | None:
    return next((step for step, value in path.items() if value <= gap), None)


def seconds(contestants: dict[str, Callable[[], Any]], rounds: int, threads: int) -> dict[str, list[float]]:
    clock = time.process_time if threads == 1 else time.perf_counter
    found: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(rounds):
        for name, run in list(contestants.items())[:: 1 if turn % 2 else -1]:
            began = clock()
            run()
            found[name].append(clock() - began)
    return found


def rows_of(
    setting: Setting, threads: int, rounds: int, paths: dict[str, dict[int, float]], why: str, gap: float
) -> Any:
    """One row of the table: both run the number of steps that they need for the gap."""
    torch.set_num_threads(threads)
    steps = {name: fewest(path, gap) for name, path in paths.items()}
    case = f"{SIDE} × {SIDE}, 32 {setting.kind}, gap {gap:g}"
    row: dict[str, Any] = {"case": case, "unit": "s", "rival": "sporco ADMM", "threads": threads, "device": "cpu"}
    row |= {"ours": None, "theirs": None, "ratio": None, "error_ours": None, "error_theirs": None}
    if why or None in steps.values():
        row["why"] = why or f"not reached by {next(name for name, n in steps.items() if n is None)}"
    codes: dict[str, Tensor] = {}

    def ours(count: int) -> None:
        codes["ours"] = setting.solve(ll.solvers.ADMM(max_steps=count, tol=None))

    def theirs(count: int) -> None:
        codes["theirs"] = by_sporco(setting, count, threads)

    runs = {"ours": ours, "theirs": theirs}
    contestants = {name: (lambda run=runs[name], n=n: run(n)) for name, n in steps.items() if n is not None}
    times = seconds(contestants, rounds, threads)
    for name, taken in times.items():
        row |= {name: statistics.median(taken), f"error_{name}": setting.gap(codes[name]), f"steps_{name}": steps[name]}
    if len(times) == 2:
        row["ratio"] = statistics.median(b / a for a, b in zip(times["ours"], times["theirs"], strict=True))
    return row


def markdown(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| case | threads | ours, s (steps) | sporco, s (steps) | ratio | gap, ours | gap, sporco |",
        "|---" * 7 + "|",
    ]

    def shown(value: Any, form: str) -> str:
        return "–" if value is None else format(value, form)

    for row in rows:
        ours = f"{shown(row['ours'], '.2f')} ({row.get('steps_ours', '–')})"
        theirs = (
            f"{shown(row['theirs'], '.2f')} ({row.get('steps_theirs', '–')})" if row["theirs"] else row.get("why", "–")
        )
        cells = (ours, theirs, shown(row["ratio"], ".2f"), shown(row["error_ours"], ".1e"))
        lines.append(
            f"| {row['case']} | {row['threads']} | {' | '.join(cells)} | {shown(row['error_theirs'], '.1e')} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="under a minute: one set of filters, the looser gap")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    kinds, gaps, rounds, most = ("random filters", "learned filters"), GAPS, 3, 260
    if options.quick:
        kinds, gaps, rounds, most = kinds[:1], GAPS[:1], 1, 80
    rows = []
    for kind in kinds:
        try:
            setting = Setting(kind, SIDE)
        except ImportError:
            continue  # the learned filters are sporco's
        torch.set_num_threads(max(options.threads))
        setting.minimum(200 if options.quick else 500)
        paths, why = {"ours": path_of_ours(setting, most)}, ""
        try:
            paths["theirs"] = path_of_sporco(setting, most, max(options.threads))
        except ImportError as error:
            why = f"it cannot be imported: {error}"
        rows += [rows_of(setting, n, rounds, paths, why, gap) for n in options.threads for gap in gaps]
    print(markdown(rows))
    if options.json:
        write(options.json, __doc__.splitlines()[0], device(), versions("sporco", "pyfftw"), rows)


if __name__ == "__main__":
    main()

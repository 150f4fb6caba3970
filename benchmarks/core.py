"""Speed of the core compared with a hand-written loop, two sampling libraries, and itself without sample removal.

    python benchmarks/core.py [--quick] [--json FILE] [--threads N ...]

All contestants do the same work in the same process, with alternating runs (A B C C B A …): processor time with one
thread, wall time with two. Times are medians over rounds; a ratio is the median of the ratios within a round, and above
1 Lowland is better. The competitors are `ebmkit` and `torchebm` from PyPI; they are not dependencies of Lowland, and if
one is missing its row says why.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import os
import platform
import statistics
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import torch
from report import write
from torch import Tensor, nn

import lowland as ll

STEP, TOLERANCE, EVERY = 0.1, 1e-4, 10
MARGIN = "| case | unit | ours | rival | theirs | ratio | threads | error, ours | error, theirs |"


def race(
    contestants: dict[str, Callable[[], Any]],
    rounds: int,
    threads: int,
    clock: Callable[[], float] | None = None,
    warm: int = 2,
) -> dict[str, list[float]]:
    """Seconds of each contestant in each round: processor time with one thread, wall time with more."""
    torch.set_num_threads(threads)
    clock = clock or (time.process_time if threads == 1 else time.perf_counter)
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for run in contestants.values():
        for _ in range(warm):  # the first run compiles and fills caches
            run()
    for turn in range(rounds):
        # Forwards and backwards, so that no contestant always follows the same one.
        for name, run in list(contestants.items())[:: 1 if turn % 2 else -1]:
            began = clock()
            run()
            seconds[name].append(clock() - began)
    return seconds


def speed(ours: list[float], theirs: list[float]) -> float:
    """The speed-up: the median over rounds of the ratio within a round, which is robust to other load."""
    return statistics.median(b / a for a, b in zip(ours, theirs, strict=True))


def row(
    case: str, unit: str, ours: float, rival: str, theirs: float | None, threads: int, **more: Any
) -> dict[str, Any]:
    """One row of the table; `more` has the ratio, the errors, and why a rival did not run."""
    errors = {"ratio": None, "error_ours": None, "error_theirs": None}
    numbers = {"case": case, "unit": unit, "ours": ours, "rival": rival, "theirs": theirs}
    return numbers | {"threads": threads, "device": device()} | errors | more


def contest(case: str, ours: list[float], rival: str, theirs: list[float], threads: int, **more: Any) -> dict[str, Any]:
    """A row in seconds."""
    ratio, seconds = speed(ours, theirs), [statistics.median(times) for times in (ours, theirs)]
    return row(case, "s", seconds[0], rival, seconds[1], threads, ratio=ratio, **more)


def device() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return f"{model}, {os.cpu_count()} cores"


# Gradient descent against a loop by hand


def descend_by_hand(energy: Callable[[Tensor], Tensor], start: Tensor, max_steps: int) -> tuple[Tensor, Tensor, Tensor]:
    """What a careful user would write: rows stop separately, are checked for NaN and infinity, and leave when done.

    Returns the points (B, D), and for each whether it is finite and the number of steps.
    """
    found, finite = start.clone(), torch.ones(len(start), dtype=torch.bool)
    steps = torch.full((len(start),), max_steps)
    rows, u = torch.arange(len(start)), start
    for taken in range(1, max_steps + 1):
        u = u.detach().requires_grad_()
        value = energy(u)
        (gradient,) = torch.autograd.grad(value.sum(), u)
        with torch.no_grad():
            u = u - STEP * gradient
            if taken % EVERY and taken < max_steps:
                continue
            sound = torch.isfinite(value) & torch.isfinite(u).all(dim=1)
            ended = ~sound | (gradient.abs().amax(dim=1) <= TOLERANCE)
            if taken == max_steps:
                ended = torch.ones_like(ended)
            if ended.any():
                found[rows[ended]], finite[rows[ended]], steps[rows[ended]] = u[ended], sound[ended], taken
                rows, u = rows[~ended], u[~ended]
                if not len(rows):
                    break
    return found, finite, steps


def gradient_descent(batch: int, rounds: int, threads: int) -> list[dict[str, Any]]:
    """The energy is a 2-256-256-1 network in a quadratic bowl, so that it has minima to stop at."""
    energy = ll.energies.NetworkEnergy(2, hidden=(256, 256), confinement=1.0).requires_grad_(False)
    start = 3 * torch.randn(batch, 2, generator=torch.Generator().manual_seed(0))
    solver = ll.solvers.GradientDescent(STEP, max_steps=500, tol=TOLERANCE, check_every=EVERY)

    def ours() -> ll.Solution:
        return ll.infer(energy, over="y", init=start, solver=solver)

    def by_hand() -> tuple[Tensor, Tensor, Tensor]:
        return descend_by_hand(lambda y: energy.energy(None, y, None), start, solver.max_steps)

    solution, (found, _, steps) = ours(), by_hand()
    assert torch.equal(solution.steps, steps), "both loops should take the same steps"
    times = race({"ours": ours, "theirs": by_hand}, rounds, threads)
    case = f"gradient descent to slope {TOLERANCE:g}, network 2-256-256-1, batch {batch}"
    errors = {"error_ours": slope(energy, solution.value), "error_theirs": slope(energy, found)}
    return [contest(case, times["ours"], "torch by hand", times["theirs"], threads, **errors)]


def slope(energy: ll.energies.Energy, y: Tensor) -> float:
    """The largest entry of ∂E/∂y over the batch."""
    y = y.detach().requires_grad_()
    return torch.autograd.grad(energy(y=y).sum(), y)[0].abs().max().item()


# Langevin sampling against other libraries

Chain = Callable[[Tensor, int], Any]


class OfY(nn.Module):
    """An energy as a function of y, as both competitors need it, with weights that require no gradients."""

    def __init__(self, energy: ll.energies.Energy) -> None:
        super().__init__()
        self.inner = energy.requires_grad_(False)

    def forward(self, y: Tensor) -> Tensor:
        return self.inner.energy(None, y, None)


def lowland_chain(energy: ll.energies.Energy, step_size: float, compiled: bool) -> Chain:
    def run(start: Tensor, steps: int) -> Tensor:
        solver = ll.solvers.Langevin(step_size, max_steps=steps)
        return ll.infer(energy, over="y", init=start, solver=solver, compiled=compiled).value

    return run


def ebmkit_chain(energy: ll.energies.Energy, step_size: float) -> Chain:
    import ebm

    sampler, target = ebm.LangevinDynamics(step_size=step_size), OfY(energy)
    return lambda start, steps: sampler.sample(target, start, steps=steps)


def torchebm_chain(energy: ll.energies.Energy, step_size: float) -> Chain:
    from torchebm.core import BaseModel
    from torchebm.samplers import LangevinDynamics

    class Target(BaseModel):
        def __init__(self) -> None:
            super().__init__()
            self.inner = OfY(energy)

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x)

    sampler = LangevinDynamics(Target(), step_size=step_size)
    return lambda start, steps: sampler.sample(x=start, n_steps=steps)


SAMPLERS: dict[str, Callable[[ll.energies.Energy, float], Chain]] = {
    "Lowland": lambda energy, step_size: lowland_chain(energy, step_size, compiled=False),
    "Lowland compiled": lambda energy, step_size: lowland_chain(energy, step_size, compiled=True),
    "ebmkit": ebmkit_chain,
    "torchebm": torchebm_chain,
}


def covariance_errors(chains: int) -> dict[str, float]:
    """Relative error of the covariance after 200 steps on E = ½ yᵀ P y, where theory gives (P (I − η P / 2))⁻¹."""
    precision, step_size = torch.tensor([[2.0, 0.8], [0.8, 1.0]]), 0.1
    theory = torch.linalg.inv(precision @ (torch.eye(2) - 0.5 * step_size * precision))
    errors = {}
    for name, maker in SAMPLERS.items():
        torch.manual_seed(0)  # the competitors use the global generator
        with contextlib.suppress(ImportError):
            chain = maker(ll.energies.Gaussian(2, precision=precision), step_size)
            found = chain(torch.zeros(chains, 2), 200).T.cov()
            errors[name] = (torch.linalg.norm(found - theory) / torch.linalg.norm(theory)).item()
    return errors


def langevin(batch: int, steps: int, rounds: int, threads: int, errors: dict[str, float]) -> list[dict[str, Any]]:
    """Unadjusted Langevin steps per second on a 2-256-256-1 network, for Lowland with and without `compiled=True`."""
    energy, step_size = ll.energies.NetworkEnergy(2, hidden=(256, 256)), 0.01
    start = torch.randn(batch, 2, generator=torch.Generator().manual_seed(0))
    contestants, missing = {}, {}
    for name, maker in SAMPLERS.items():
        try:
            chain = maker(energy, step_size)
        except ImportError as error:
            missing[name] = f"it cannot be imported: {error}"
        else:
            contestants[name] = lambda chain=chain: chain(start, steps)
    times = race(contestants, rounds, threads)
    rows = []
    for name in ("Lowland", "Lowland compiled"):
        case = f"Langevin, network 2-256-256-1, batch {batch}, {steps} steps" + ", compiled" * name.endswith("compiled")
        for rival in ("ebmkit", "torchebm"):
            ours = steps / statistics.median(times[name])
            if rival in missing:
                rows.append(row(case, "steps/s", ours, rival, None, threads, why=missing[rival]))
                continue
            theirs, ratio = steps / statistics.median(times[rival]), speed(times[name], times[rival])
            accuracy = {"error_ours": errors[name], "error_theirs": errors[rival]}
            rows.append(row(case, "steps/s", ours, rival, theirs, threads, ratio=ratio, **accuracy))
    return rows


# Samples that stop separately


def stopping(batch: int, rounds: int, threads: int) -> list[dict[str, Any]]:
    """Lassos of mixed difficulty: signals whose size varies by a factor of 30, at one sparsity.

    The competitor is the same solver without removal of rows. It is given the number of steps of the hardest sample in
    advance, so it neither checks residuals nor takes unnecessary steps.
    """
    generator = torch.Generator().manual_seed(0)
    energy = ll.energies.SparseCoding(n_features=128, n_atoms=256, sparsity=0.2, generator=generator)
    size = 10 ** (1.5 * torch.rand(batch, 1, generator=generator) - 1)
    y = size * nn.functional.normalize(torch.randn(batch, 128, generator=generator), dim=1)
    solver = ll.solvers.FISTA(max_steps=5000, tol=TOLERANCE, check_every=EVERY)
    reference = ll.infer(energy, y=y, over="z", solver=solver, raise_on_failure=True)
    together = ll.solvers.FISTA(max_steps=int(reference.steps.max()), tol=None, check_every=EVERY)

    def solve(solver: ll.solvers.Solver) -> ll.Solution:
        with torch.no_grad():
            return ll.infer(energy, y=y, over="z", solver=solver)

    times = race({"ours": lambda: solve(solver), "theirs": lambda: solve(together)}, rounds, threads)
    gaps = [energy.duality_gap(y, solve(each).value).max().item() for each in (solver, together)]
    case, errors = f"lasso 128 → 256, FISTA, batch {batch}", {"error_ours": gaps[0], "error_theirs": gaps[1]}
    rival, kept, used = "without removal of rows", float(batch * together.max_steps), float(reference.steps.sum())
    return [
        row(case, "rows of gradient", used, rival, kept, threads, ratio=kept / used, **errors),
        contest(case, times["ours"], rival, times["theirs"], threads, **errors),
    ]


def table(rows: list[dict[str, Any]], digits: int = 2) -> str:
    """The rows in Markdown, with `digits` digits of the errors."""
    lines = [MARGIN, "|" + "---|" * 9]
    for one in rows:
        numbers = {key: "" if one[key] is None else f"{one[key]:.4g}" for key in ("ours", "theirs", "ratio")}
        theirs = numbers["theirs"] or one["why"]
        errors = ["" if one[key] is None else f"{one[key]:.{digits}g}" for key in ("error_ours", "error_theirs")]
        cells = [one["case"], one["unit"], numbers["ours"], one["rival"], theirs, numbers["ratio"], str(one["threads"])]
        lines.append("| " + " | ".join([*cells, *errors]) + " |")
    return "\n".join(lines)


def versions(*packages: str) -> str:
    found = [f"Python {platform.python_version()}"]
    for package in ("lowland", "torch", *packages):
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{package} not installed")
    return ", ".join(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="under a minute: one thread, small batches, three rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows to this file")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="numbers of threads, by default 1 2")
    options = parser.parse_args()
    rounds, chains = (3, 1024) if options.quick else (11, 16384)
    torch.set_num_threads(1)
    errors, rows = covariance_errors(chains), []
    for threads in [1] if options.quick else options.threads:
        for batch in (1, 64) if options.quick else (1, 1024):
            rows += gradient_descent(batch, rounds, threads)
        for batch, steps in ((64, 100),) if options.quick else ((1, 1000), (64, 500), (1024, 200)):
            rows += langevin(batch, steps, rounds, threads, errors)
        rows += stopping(128 if options.quick else 1024, rounds, threads)
    print(f"{date.today()}, {device()}, {versions('ebmkit', 'torchebm')}\n")
    print(table(rows))
    if options.json:
        write(options.json, __doc__.splitlines()[0], device(), versions("ebmkit", "torchebm"), rows)


if __name__ == "__main__":
    main()

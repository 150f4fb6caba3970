"""The amortisation gap: how far encoders are from exact inference, in codes, in energy, and in iterations of a solver.

Shape letters: B samples, D coordinates of the code.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from lowland.energies.base import Energy, squared_distance
from lowland.errors import DomainError, OptionError, ShapeError
from lowland.inference import infer
from lowland.solvers.base import Solver

EXACT = "exact"
Encoder = Callable[[Tensor], Tensor]
T = TypeVar("T")
_ROUNDS = 3
_COLUMNS = ("encoder", "code error", "gap", "worst gap", "reconstruction", "non-zeros", "µs per sample")
_HEAD = "{:24}{:>12}{:>12}{:>12}{:>16}{:>11}{:>15}"


class GapRow(NamedTuple):
    """One encoder.

    Attributes:
        name: of the encoder; "exact" is exact inference.
        code_error: Σ‖ẑ − z*‖² / Σ‖z*‖² over all samples.
        gap: mean over samples of (E(y, ẑ) − E(y, z*)) / E(y, z*).
        worst: the largest of these.
        reconstruction: Σ‖y − ŷ‖² / Σ‖y‖² with ŷ decoded from ẑ; None if the energy does not reconstruct.
        nonzeros: mean number of coordinates of ẑ that are not 0.
        microseconds: per sample; on a CPU it is processor time, summed over threads.
    """

    name: str
    code_error: float
    gap: float
    worst: float
    reconstruction: float | None
    nonzeros: float
    microseconds: float


class GapReport(dict[str, GapRow]):
    """Rows by name, "exact" first; `str` makes a table of them."""

    def rows(self) -> dict[str, dict[str, float | None]]:
        """The numbers alone, {encoder: {measure: number}}, as a run's results store them."""
        return {
            name: {key: value for key, value in row._asdict().items() if key != "name"} for name, row in self.items()
        }

    def __str__(self) -> str:
        lines = [_HEAD.format(*_COLUMNS)]
        for row in self.values():
            decoded = "–" if row.reconstruction is None else f"{row.reconstruction:.4f}"
            numbers = (f"{row.code_error:.4f}", f"{row.gap:.2e}", f"{row.worst:.2e}", decoded)
            lines.append(_HEAD.format(row.name, *numbers, f"{row.nonzeros:.1f}", f"{row.microseconds:.1f}"))
        return "\n".join(lines)


def amortisation_gap(
    energy: Energy,
    y: Tensor,
    encoders: Mapping[str, Encoder],
    solver: Solver | None = None,
    batch_size: int = 512,
) -> GapReport:
    """Compare encoders y → ẑ with exact inference z* = argmin_z E(y, z) on held-out samples.

    Energies are computed in float64. Each encoder is timed three times, in batches, after a warm-up batch; the shortest
    time counts.

    Args:
        energy: with a latent z in the reals, such as `SparseCoding`.
        y: (B, ...).
        encoders: by name, functions (B, ...) → (B, D), such as `ll.nn.LISTA`.
        solver: for z*; None takes the most exact solver for the energy.
        batch_size: samples coded at a time.

    Raises:
        OptionError: if an encoder is called "exact", or batch_size is below 1.
        ShapeError: if codes do not have the shape of z.
        DomainError: if codes are not finite.

    >>> import lowland as ll
    >>> energy = ll.energies.SparseCoding.reference_case().energy
    >>> y = torch.tensor([[2.0, 0.3, -1.0], [0.1, -0.5, 3.0]])
    >>> report = amortisation_gap(energy, y, {"linear": lambda y: y, "LISTA": ll.nn.LISTA(energy.dictionary, 0.5)})
    >>> {row.name: (round(row.gap, 3), row.nonzeros) for row in report.values()}
    {'exact': (0.0, 1.5), 'linear': (0.235, 3.0), 'LISTA': (0.0, 1.5)}
    """
    if EXACT in encoders:
        raise OptionError(f'No encoder may be called "{EXACT}", which is the row of exact inference: rename it.')
    if batch_size < 1:
        raise OptionError(f"batch_size must be at least 1, but it is {batch_size}.")
    batches, domain = y.split(batch_size), energy.domain("z")

    def exact(part: Tensor) -> Tensor:
        return infer(energy, y=part, over="z", solver=solver).value

    report, wide = GapReport(), copy.deepcopy(energy).double()
    with torch.no_grad():
        best = lowest = None
        for name, encoder in {EXACT: exact, **encoders}.items():
            codes, seconds = _timed(encoder, batches)
            if codes.shape != (len(y), *domain.shape):
                raise ShapeError(
                    f"The encoder {name!r} must return codes of shape {(len(y), *domain.shape)}, not {codes.shape}."
                )
            if not bool(torch.isfinite(codes).all()):
                raise DomainError(f"The encoder {name!r} returned codes that are not finite.")
            z, signal = codes.double(), y.double()
            energies, decoded = wide(y=signal, z=z), wide.reconstruct(None, signal, z)
            best, lowest = (z, energies) if best is None or lowest is None else (best, lowest)
            gaps = (energies - lowest) / lowest.abs().clamp_min(torch.finfo(torch.float64).tiny)
            report[name] = GapRow(
                name=name,
                code_error=_ratio(squared_distance(z, best), best),
                gap=float(gaps.mean()),
                worst=float(gaps.max()),
                reconstruction=None if decoded is None else _ratio(squared_distance(decoded, signal), signal),
                nonzeros=float((codes != 0).flatten(1).sum(dim=1).double().mean()),
                microseconds=1e6 * seconds / len(y),
            )
    return report


def _ratio(errors: Tensor, reference: Tensor) -> float:
    return float(errors.sum() / reference.square().sum().clamp_min(torch.finfo(torch.float64).tiny))


def _timed(encoder: Encoder, batches: tuple[Tensor, ...]) -> tuple[Tensor, float]:
    """All codes, and the time they take in seconds."""
    encoder(batches[0])
    codes, seconds = fastest(lambda: [encoder(part) for part in batches], batches[0].device)
    return torch.cat(codes), seconds


def fastest(function: Callable[[], T], device: torch.device, rounds: int = _ROUNDS) -> tuple[T, float]:
    """The result of a function and its shortest time in seconds: processor time on a CPU, wall time on other devices.

    Call the function once before if its first call is slower than others, as with compiled functions.

    >>> fastest(lambda: 1, torch.device("cpu"))[0]
    1
    """
    clock = time.process_time if device.type == "cpu" else time.perf_counter

    def timed() -> tuple[T, float]:
        began = clock()
        result = function()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return result, clock() - began

    result, seconds = timed()
    return result, min([seconds, *(timed()[1] for _ in range(rounds - 1))])


class ErrorPath(NamedTuple):
    """Errors of codes z_0, z_1, …, each over all samples.

    Attributes:
        error: Σ‖z_k − z*‖² / Σ‖z*‖².
        gap: mean over samples of (E(y, z_k) − E(y, z*)) / E(y, z*).
    """

    error: list[float]
    gap: list[float]


@torch.no_grad()
def error_path(
    energy: Energy, y: Tensor, path: Callable[[Tensor], Iterable[Tensor]], exact: Solver, batch_size: int = 500
) -> ErrorPath:
    """Errors along a sequence of codes, such as the iterates of a solver (see `iterates`).

    Args:
        energy: with a latent z in the reals.
        y: (B, ...).
        path: from a batch (b, ...) to a sequence of codes, each (b, D) or of the shape of z; the same number for all
            batches.
        exact: solver of z* = argmin_z E(y, z).
        batch_size: samples at a time.

    >>> import lowland as ll
    >>> energy = ll.energies.SparseCoding.reference_case().energy
    >>> y, exact = torch.tensor([[2.0, 0.3, -1.0]]), ll.solvers.ActiveSet()
    >>> gaps = error_path(energy, y, iterates(energy, ll.solvers.ISTA(2, tol=None)), exact).gap
    >>> [round(gap, 3) for gap in gaps]
    [0.965, 0.0, 0.0]
    """
    sums = []
    for part in y.split(batch_size):
        best = infer(energy, y=part, over="z", solver=exact).value
        lowest = energy(y=part, z=best)
        rows = []
        for code in path(part):
            z = code.reshape(best.shape)
            gaps = energy(y=part, z=z) / lowest - 1
            rows.append(torch.stack([(z - best).square().sum(), best.square().sum(), gaps.sum()]).double().cpu())
        sums.append(torch.stack(rows))
    total = torch.stack(sums).sum(dim=0)
    return ErrorPath((total[:, 0] / total[:, 1]).tolist(), (total[:, 2] / len(y)).tolist())


def iterates(energy: Energy, solver: Solver) -> Callable[[Tensor], Iterable[Tensor]]:
    """The codes of a batch after 0, 1, 2, … steps of a solver, for `error_path`."""

    def path(y: Tensor) -> Iterable[Tensor]:
        found = infer(energy, y=y, over="z", solver=solver, record=True).trajectory
        assert found is not None
        return found

    return path


def worth_iterations(path: Sequence[float], value: float) -> float:
    """Iterations that a solver needs to reach the error of an encoder; infinite if it never does.

    Args:
        path: the error after 0, 1, 2, … iterations.
        value: the error of the encoder.

    >>> worth_iterations([1.0, 0.5, 0.2], 0.3), worth_iterations([1.0, 0.5], 0.1)
    (2.0, inf)
    """
    return next((float(count) for count, error in enumerate(path) if error <= value), math.inf)

"""How far encoders are from exact inference: the errors of their codes, the energy they give away, and their time.

Legend: B samples, D coordinates of the code.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from lowland.energies.base import Energy, squared_distance
from lowland.errors import DomainError, OptionError, ShapeError
from lowland.inference import infer
from lowland.solvers.base import Solver

EXACT = "exact"
_ROUNDS = 3
_COLUMNS = ("encoder", "code error", "gap", "worst gap", "reconstruction", "non-zeros", "µs per sample")
_HEAD = "{:24}{:>12}{:>12}{:>12}{:>16}{:>11}{:>15}"


class GapRow(NamedTuple):
    """One encoder.

    Attributes:
        name: of the encoder; "exact" is inference itself.
        code_error: Σ‖ẑ − z*‖² / Σ‖z*‖² over all samples.
        gap: mean over samples of (E(y, ẑ) − E(y, z*)) / E(y, z*).
        worst: the largest of these.
        reconstruction: Σ‖y − ŷ‖² / Σ‖y‖² with ŷ decoded from ẑ; None where the energy does not reconstruct.
        nonzeros: mean number of coordinates of ẑ that are not 0.
        microseconds: for one sample; of processor time on a CPU, of all threads together.
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

    def __str__(self) -> str:
        lines = [_HEAD.format(*_COLUMNS)]
        for row in self.values():
            decoded = "–" if row.reconstruction is None else f"{row.reconstruction:.4f}"
            numbers = (f"{row.code_error:.4f}", f"{row.gap:.2e}", f"{row.worst:.2e}", decoded)
            lines.append(_HEAD.format(row.name, *numbers, f"{row.nonzeros:.1f}", f"{row.microseconds:.1f}"))
        return "\n".join(lines)


def gap_report(
    energy: Energy,
    y: Tensor,
    encoders: Mapping[str, Callable[[Tensor], Tensor]],
    solver: Solver | None = None,
    batch_size: int = 512,
) -> GapReport:
    """Compares encoders y → ẑ with exact inference z* = argmin_z E(y, z) on held-out samples.

    Energies are computed in float64. Each encoder codes the samples in batches, three times after a first batch that
    is not timed; its time is the shortest.

    Args:
        energy: with a latent z in the reals, such as `SparseCoding`.
        y: (B, ...).
        encoders: by name, functions (B, ...) → (B, D), such as `ll.nn.LISTA`.
        solver: for z*; None takes the most exact that the energy offers.
        batch_size: samples that are coded at a time.

    Raises:
        OptionError: if an encoder is called "exact", or batch_size is below 1.
        ShapeError: if codes do not have the shape of z.
        DomainError: if codes are not finite.

    >>> import lowland as ll
    >>> energy = ll.energies.SparseCoding.reference_case().energy
    >>> y = torch.tensor([[2.0, 0.3, -1.0], [0.1, -0.5, 3.0]])
    >>> report = gap_report(energy, y, {"linear": lambda y: y, "LISTA": ll.nn.LISTA(energy.dictionary, 0.5)})
    >>> {row.name: (round(row.gap, 3), row.nonzeros) for row in report.values()}
    {'exact': (0.0, 1.5), 'linear': (0.235, 3.0), 'LISTA': (0.0, 1.5)}
    """
    if EXACT in encoders:
        raise OptionError(f'No encoder may be called "{EXACT}", which is the row of inference: rename it.')
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


def _timed(encoder: Callable[[Tensor], Tensor], batches: tuple[Tensor, ...]) -> tuple[Tensor, float]:
    """All codes, and the seconds that they take."""
    clock = time.process_time if batches[0].device.type == "cpu" else time.perf_counter
    encoder(batches[0])
    codes, seconds = [], float("inf")
    for _ in range(_ROUNDS):
        began = clock()
        codes = [encoder(part) for part in batches]
        float(codes[-1].flatten()[-1])  # a device answers only when it is asked for a number
        seconds = min(seconds, clock() - began)
    return torch.cat(codes), seconds

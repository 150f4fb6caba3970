"""Warm starts: time to an exact sparse code from an encoder's code, compared with the time from zero."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from lowland.energies.base import Energy
from lowland.errors import OptionError
from lowland.evaluation.amortisation import Encoder, fastest
from lowland.inference import infer
from lowland.solvers.active_set import ActiveSet

ZERO, PERFECT = "zero", "exact code"
DROPS = (0.0, 0.01, 0.02, 0.05)
"""Thresholds to choose from: units of a predicted code below the threshold are dropped before the start."""
_AT_ONCE = 500
_MOST_CHECKS = 30


class WarmStart(NamedTuple):
    """One start. Times are in µs per sample, of processor time on a CPU.

    Attributes:
        encoder: time of the encoder; 0 for starts that need none.
        coder: time of the solver from this start.
        fixed: the part of `coder` that every start needs, for correlations and energies.
        drop: threshold below which predicted units were dropped.
        checks: mean number of times that the solver checks all correlations.
        recall: fraction of the exact code's support that the start contains.
        precision: fraction of the start's support that is in the exact code's.
    """

    encoder: float
    coder: float
    fixed: float
    drop: float
    checks: float
    recall: float
    precision: float


@torch.no_grad()
def warm_start_times(
    energy: Energy,
    y: Tensor,
    encoders: Mapping[str, Encoder],
    validation: Tensor,
    certificate: float = 1e-4,
    drops: Sequence[float] = DROPS,
) -> dict[str, WarmStart]:
    """Times until `ActiveSet` certifies (primal − dual) / primal ≤ `certificate` for each sample, from several starts.

    Besides the encoders' codes, the starts are "zero" and "exact code". The latter costs no encoder time and is a bound
    on any encoder. The drop threshold is chosen on the validation samples, by the F₁ score of the support.

    Args:
        energy: with a latent z that `ActiveSet` solves for, such as `SparseCoding`.
        y, validation: (B, n_features) and (M, n_features).
        encoders: functions (B, n_features) → (B, n_atoms), by name.
        certificate: tolerance of the solver.
        drops: thresholds to choose from.

    Raises:
        OptionError: if an encoder is called "zero" or "exact code", or there is no threshold.

    >>> import lowland as ll
    >>> energy = ll.energies.SparseCoding.reference_case().energy
    >>> y = torch.tensor([[2.0, 0.3, -1.0], [0.1, -0.5, 3.0]])
    >>> found = warm_start_times(energy, y, {"linear": lambda y: y}, y)
    >>> {name: (start.recall, start.precision) for name, start in found.items()}
    {'zero': (0.0, 0.0), 'linear': (1.0, 0.5), 'exact code': (1.0, 1.0)}
    """
    for name in (ZERO, PERFECT):
        if name in encoders:
            raise OptionError(f'No encoder may be called "{name}", which is another start: rename it.')
    if not drops:
        raise OptionError("drops must hold at least one threshold; 0 drops nothing.")
    truth = _exact(energy, y)
    starts = {ZERO: (torch.zeros_like(truth), 0.0, 0.0)}
    for name, encoder in encoders.items():
        drop = _best_drop(energy, encoder, validation, drops)
        encode = partial(_in_parts, encoder, y)
        encode()
        codes, seconds = fastest(encode, y.device)
        starts[name] = (_dropped(codes, drop), seconds, drop)
    solve = partial(infer, energy, y=y, over="z")
    solver = ActiveSet(certificate)
    starts[PERFECT] = (solve(solver=solver).value, 0.0, 0.0)
    first_look = partial(solve, solver=ActiveSet(torch.inf))
    first_look()
    fixed = fastest(first_look, y.device)[1]
    found = {}
    for name, (start, encoding, drop) in starts.items():
        polish = partial(solve, solver=solver, init=start)
        polish()
        seconds = fastest(polish, y.device)[1]
        both = ((start != 0) & (truth != 0)).sum()
        found[name] = WarmStart(
            encoder=1e6 * encoding / len(y),
            coder=1e6 * seconds / len(y),
            fixed=1e6 * fixed / len(y),
            drop=drop,
            checks=_checks(energy, y, start, certificate),
            recall=float(both / (truth != 0).sum().clamp_min(1)),
            precision=float(both / (start != 0).sum().clamp_min(1)),
        )
    return found


def _exact(energy: Energy, y: Tensor) -> Tensor:
    return infer(energy, y=y, over="z", solver=ActiveSet(1e-6)).value


def _best_drop(energy: Energy, encoder: Encoder, validation: Tensor, drops: Sequence[float]) -> float:
    """The threshold with the best F₁ score of the support."""
    truth, codes = _exact(energy, validation) != 0, _in_parts(encoder, validation)

    def score(threshold: float) -> float:
        support = _dropped(codes, threshold) != 0
        return float(2 * (support & truth).sum() / (support.sum() + truth.sum()).clamp_min(1))

    return max(drops, key=score)


def _checks(energy: Energy, y: Tensor, start: Tensor, certificate: float) -> float:
    """Mean number of checks of all correlations until the certificate is reached, at most 30."""
    total, left = 0.0, torch.arange(len(y), device=y.device)
    for rounds in range(1, _MOST_CHECKS + 1):
        total += len(left)
        solver = ActiveSet(certificate, max_rounds=rounds)
        left = left[~infer(energy, y=y[left], over="z", solver=solver, init=start[left]).converged]
        if not len(left):
            break
    return total / len(y)


def _dropped(codes: Tensor, threshold: float) -> Tensor:
    return codes * (codes.abs() > threshold)


def _in_parts(encoder: Encoder, y: Tensor) -> Tensor:
    return torch.cat([encoder(part) for part in y.split(_AT_ONCE)])

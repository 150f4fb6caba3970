"""Whether formulas solve problems, and answers that need no learning (system M10)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from lowland.data.formulas.draws import LONGEST, Solved
from lowland.data.formulas.tokens import NUMBER, PAD, bare, tree_of
from lowland.energies.formula_residual import FormulaResidual
from lowland.errors import LowlandError
from lowland.evaluation.sympy_rival import Sympy

_RIGHT, _FRESH = 1e-16, 7919
_AT_ONCE = 500


def right_answers(kind: str, x: Tensor, y: Tensor) -> Tensor:
    """Whether formulas solve problems, (B,): the residual at sixteen points that no choice has seen is below 10⁻¹⁶.

    Args:
        kind: of the problems.
        x: problems (B, S).
        y: formulas (B, T).

    >>> from lowland.data.formulas.tokens import padded, read_formula, tokens_of
    >>> x = padded([tokens_of(read_formula("2*x"))] * 2, 8, front=True)
    >>> right_answers("integral", x, padded([tokens_of(read_formula(one)) for one in ("x^2", "x")], 8))
    tensor([ True, False])
    """
    judge = FormulaResidual(kind, x.shape[1], y.shape[1], seed=_FRESH)
    return judge(x=x, y=y) < _RIGHT


def right_candidates(kind: str, x: Tensor, candidates: Tensor) -> Tensor:
    """`right_answers` of lists of formulas (B, W, T), (B, W)."""
    width = candidates.shape[1]
    parts = zip(x.split(max(1, _AT_ONCE // width)), candidates.split(max(1, _AT_ONCE // width)), strict=True)
    found = [right_answers(kind, rows.repeat_interleave(width, dim=0), some.flatten(0, 1)) for rows, some in parts]
    return torch.cat(found).reshape(-1, width)


def copied(kind: str, x: Tensor) -> Tensor:
    """The problem itself as its answer, cut off where it is too long, (B, T)."""
    length = LONGEST[kind][1]
    rows = [bare(row)[:length] for row in x]
    return torch.tensor([[*row] + [-1] * (length - len(row)) for row in rows], dtype=x.dtype)


def zeros(kind: str, x: Tensor) -> Tensor:
    """0 as every answer, (B, T)."""
    found = torch.full((len(x), LONGEST[kind][1]), -1.0, dtype=x.dtype)
    found[:, 0] = NUMBER["0"]
    return found


def nearest_answers(x: Tensor, known: Tensor, answers: Tensor) -> Tensor:
    """The answer of the known problem that has the most similar counts of tokens and of pairs of tokens, (B, T)."""
    base = _counts(known)
    found = []
    for rows in x.split(_AT_ONCE):
        found.append((_counts(rows) @ base.T).argmax(dim=1))
    return answers[torch.cat(found)]


def _counts(x: Tensor, pairs: int = 512) -> Tensor:
    """Counts of tokens and of pairs, the latter by a hash, of length 1, (N, K + 512)."""
    tokens = x.long()
    real = (tokens < PAD).to(torch.float32)
    single = torch.zeros(len(x), PAD + 1).scatter_add_(1, tokens, real)
    both = (tokens[:, :-1] * 31 + tokens[:, 1:] * 17) % pairs
    double = torch.zeros(len(x), pairs).scatter_add_(1, both, real[:, :-1] * real[:, 1:])
    return functional.normalize(torch.cat([single, double], dim=1), dim=1)


def agreed(rival: Sympy, kind: str, problems: Sequence[Solved], y: Tensor, right: Tensor) -> int:
    """Of how many answers (B, T) the derivatives of sympy say what the residual has said."""
    count = 0
    for one, row, said in zip(problems, y, right.tolist(), strict=True):
        try:
            also = rival.right(kind, one.problem, tree_of(bare(row)))
        except LowlandError:
            also = False
        count += also == said
    return count

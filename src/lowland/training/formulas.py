"""A model that writes formulas, and a sum of energies that chooses among what it writes (system M10)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from lowland.data.formulas.draws import LONGEST, Solved
from lowland.data.formulas.tokens import PAD, padded, tokens_of
from lowland.energies.autoregressive import Autoregressive
from lowland.energies.compose import Sum
from lowland.energies.formula_residual import FormulaResidual
from lowland.errors import check_number
from lowland.inference import Solution, infer
from lowland.nn.decoders import TransformerDecoder
from lowland.nn.layers import evaluating
from lowland.shaping.contrastive.likelihood import MaximumLikelihood
from lowland.solvers.beam_search import BeamSearch
from lowland.training.fit import FitResult, fit
from lowland.training.schedules import warm_cosine

_HEADS, _CLIP = 4, 1.0
_AT_ONCE = 1000


class Candidates(NamedTuple):
    """The W formulas that a beam wrote for each of B problems, the likeliest first.

    `tokens` (B, W, T), `proposal` (B, W) their −log p, and `residual` (B, W), +∞ for what is no solution of anything.
    """

    tokens: Tensor
    proposal: Tensor
    residual: Tensor


def proposal_energy(
    kind: str, width: int = 64, depth: int = 2, generator: torch.Generator | None = None
) -> Autoregressive:
    """E(x, y) = −log p(y | x): a transformer reads the tokens of a problem, and writes those of its answer.

    Args:
        kind: of the problems; see `lowland.data.formulas.draws`.
        width, depth: of the transformer.
        generator: draws the weights.
    """
    prompt, length = LONGEST[kind]
    network = TransformerDecoder(PAD + 1, width, depth, _HEADS, generator=generator)
    return Autoregressive(network, length, prompt, ends=True)


def as_tensors(kind: str, problems: Sequence[Solved]) -> tuple[Tensor, Tensor]:
    """Problems (N, S), filled up in front, and answers (N, T), filled up behind.

    Raises:
        DataError: for a problem that is longer than the model reads.
    """
    prompt, length = LONGEST[kind]
    return (
        padded([tokens_of(one.problem) for one in problems], prompt, front=True),
        padded([tokens_of(one.answer) for one in problems], length),
    )


def train_proposal(
    energy: Autoregressive,
    kind: str,
    problems: Sequence[Solved],
    steps: int,
    batch: int = 64,
    rate: float = 2e-3,
    seed: int = 0,
) -> FitResult:
    """Train a proposal in place by its likelihood, with Adam and a rate that warms up and falls to zero.

    Args:
        energy: of `proposal_energy`.
        kind: of the problems.
        problems: with their answers.
        steps, batch, rate: optimiser steps, problems of a step, and the highest rate.
        seed: of the order of the problems.
    """
    return fit(
        energy, as_tensors(kind, problems), MaximumLikelihood(), steps, min(batch, len(problems)), rate, clip=_CLIP,
        schedule=partial(warm_cosine, steps), validation=0.0, seed=seed, progress=False, log_every=max(1, steps // 60),
    )  # fmt: skip


def checked(proposal: Autoregressive, kind: str, gamma: float, seed: int = 0) -> Sum:
    """E(x, y) = −log p(y | x) + γ · residual; the beam goes by the first term, and its list is ranked by both.

    Args:
        proposal: of `proposal_energy`, trained.
        kind: of the problems.
        gamma: γ.
        seed: of the points of the residual.

    Raises:
        OptionError: for a γ that is not positive: there is nothing to check by.
    """
    check_number("gamma", gamma, above=0)
    prompt, length = LONGEST[kind]
    residual = FormulaResidual(kind, prompt, length, seed=seed)
    return Sum({"proposal": proposal, "residual": residual}, {"residual": gamma})


def answered(energy: Sum, x: Tensor, width: int) -> tuple[Tensor, Candidates]:
    """The formulas of least energy among those that a beam of W writes, (B, T), and the whole lists.

    Args:
        energy: of `checked`.
        x: problems (B, S).
        width: W.
    """
    chosen, lists = [], []
    proposal, residual = energy.terms["proposal"], energy.terms["residual"]
    assert isinstance(proposal, Autoregressive)
    assert isinstance(residual, FormulaResidual)
    with evaluating(energy), torch.no_grad():
        for rows in x.split(max(1, _AT_ONCE // width)):
            found: Solution = infer(energy, x=rows, over="y", solver=BeamSearch(width))
            assert found.candidates is not None
            chosen.append(found.value)
            repeated = rows.repeat_interleave(width, dim=0)
            flat = found.candidates.flatten(0, 1)
            costs = [term(x=repeated, y=flat).reshape(len(rows), width) for term in (proposal, residual)]
            lists.append(Candidates(found.candidates, *costs))
    return torch.cat(chosen), Candidates(*map(torch.cat, zip(*lists, strict=True)))


def best_gamma(lists: Candidates, right: Tensor, gammas: Sequence[float]) -> float:
    """The γ of which most problems are answered rightly, the smallest of equals.

    Args:
        lists: of validation problems.
        right: (B, W), whether each candidate is right.
        gammas: to choose from, ascending.
    """
    counts = []
    for gamma in gammas:
        total = torch.where(lists.residual.isinf(), torch.inf, lists.proposal + gamma * lists.residual)
        counts.append(int(right.gather(1, total.argmin(dim=1, keepdim=True)).sum()))
    return gammas[counts.index(max(counts))]

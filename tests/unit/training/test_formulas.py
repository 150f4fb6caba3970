"""A model that writes formulas, and the choice among what it writes."""

from __future__ import annotations

import pytest
import torch

from lowland.data.formulas.draws import Solved, draw_problems
from lowland.data.formulas.tokens import read_formula
from lowland.errors import DataError, OptionError
from lowland.evaluation.formulas import right_answers
from lowland.training.formulas import (
    Candidates,
    answered,
    as_tensors,
    best_gamma,
    checked,
    proposal_energy,
    train_proposal,
)


def test_a_model_learns_a_few_problems_by_heart_and_the_check_keeps_what_is_right(generator: torch.Generator) -> None:
    problems = draw_problems("integral", 6, generator)
    model = proposal_energy("integral", 32, 1, generator)
    train_proposal(model, "integral", problems, steps=120, batch=6, rate=5e-3)
    x, y = as_tensors("integral", problems)
    best, lists = answered(checked(model, "integral", 1e4), x, 4)
    assert torch.equal(best, y)
    assert bool(right_answers("integral", x, best).all())
    assert bool((lists.proposal.diff(dim=1) >= 0).all()), "the likeliest first"
    torch.testing.assert_close(lists.proposal[:, 0], model(x=x, y=lists.tokens[:, 0]).detach())


def test_the_check_takes_a_right_candidate_that_is_not_the_likeliest(generator: torch.Generator) -> None:
    """The model has learned a wrong answer and, less often, a right one: a beam has both, and the residual decides."""
    problem, wrong, right = (read_formula(text) for text in ("cos(x)", "cos(x)", "sin(x)"))
    model = proposal_energy("integral", 16, 1, generator)
    told = [Solved(problem, wrong)] * 3 + [Solved(problem, right)]
    train_proposal(model, "integral", told, steps=150, batch=4, rate=5e-3)
    x, y = as_tensors("integral", [Solved(problem, right)])
    best, lists = answered(checked(model, "integral", 100.0), x, 4)
    assert not torch.equal(lists.tokens[:, 0], y)
    assert torch.equal(best, y)


def test_gamma_is_the_least_that_answers_most() -> None:
    proposal, residual = torch.tensor([[1.0, 2.0], [1.0, 40.0]]), torch.tensor([[0.5, 0.0], [0.5, 0.0]])
    lists = Candidates(torch.zeros(2, 2, 1), proposal, residual)
    right = torch.tensor([[False, True], [False, True]])
    assert best_gamma(lists, right, (1.0, 10.0, 100.0, 1000.0)) == 100.0
    assert best_gamma(lists, right, (1.0, 10.0)) == 10.0


def test_what_the_model_cannot_read(generator: torch.Generator) -> None:
    long = Solved(read_formula(" + ".join(f"sin({place}*x)" for place in range(1, 12))), 0)
    with pytest.raises(DataError, match="at most 32: give a shorter one"):
        as_tensors("integral", [long])
    with pytest.raises(OptionError, match="gamma must be a number above 0"):
        checked(proposal_energy("integral", 8, 1), "integral", 0.0)

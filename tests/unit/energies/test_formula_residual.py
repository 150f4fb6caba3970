"""The residual of formulas: what solves a problem, what does not, and what is no answer."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from lowland.data.formulas.tokens import VARIABLES, padded, read_formula, tokens_of
from lowland.energies.formula_residual import FormulaResidual
from lowland.errors import DomainError, OptionError


def residuals(kind: str, problem: str, answers: Sequence[str]) -> Tensor:
    x = padded([tokens_of(read_formula(problem, VARIABLES))] * len(answers), 30, front=True)
    y = padded([tokens_of(read_formula(answer, VARIABLES)) for answer in answers], 24)
    return FormulaResidual(kind, 30, 24)(x=x.double(), y=y.double())


def test_an_integral_is_right_up_to_a_constant() -> None:
    right = ("x*sin(x) + cos(x)", "x*sin(x) + cos(x) + 5", "cos(x) + x*sin(x) - 2/3")
    assert float(residuals("integral", "x*cos(x)", right).max()) < 1e-25
    assert float(residuals("integral", "x*cos(x)", ("x*sin(x)", "x*sin(x) - cos(x)", "0", "x")).min()) > 1e-3


def test_a_factor_of_the_answer_is_the_residual() -> None:
    """|a f − f|² / (|a f| + |f|)² = ((a − 1) / (a + 1))² at every point, here for a = 2 and 3."""
    found = residuals("integral", "cos(x)", ("2*sin(x)", "3*sin(x)"))
    torch.testing.assert_close(found, torch.tensor([1 / 9, 1 / 4], dtype=torch.float64), rtol=1e-12, atol=0.0)


def test_equations_want_their_general_solution() -> None:
    second = residuals(
        "second", "y'' + y", ("c1*sin(x) + c2*cos(x)", "c1*sin(x)", "0", "c1*sin(x) + c2*sin(x)", "c1 + c2*x")
    )
    assert float(second[0]) < 1e-25
    assert second[1:4].tolist() == [math.inf] * 3
    assert 0.01 < float(second[4]) < math.inf
    first = residuals("first", "y' - y", ("c1*exp(x)", "exp(x)", "exp(x + c1)", "c1*x"))
    assert float(first[0]) < 1e-25
    assert float(first[1]) == math.inf
    assert float(first[2]) < 1e-25
    assert float(first[3]) > 1e-3


def test_where_a_logarithm_is_not_real_it_is_not_judged() -> None:
    assert float(residuals("integral", "1/x", ("log(x)",))) < 1e-25
    assert float(residuals("integral", "log(x - 100)", ("x",))) == math.inf


def test_what_is_no_formula_or_outside_costs_infinity() -> None:
    energy = FormulaResidual("integral", 3, 4)
    x = padded([tokens_of("x")], 3, front=True)
    plus = tokens_of(read_formula("x + 1"))[0]
    for row in (
        [plus, 0, -1, -1],
        [-1, -1, -1, -1],
        [0, 0, -1, -1],
        [0, -1, 0, -1],
        [0.5, -1, -1, -1],
        [99, -1, -1, -1],
    ):
        assert float(energy(x=x, y=torch.tensor([row], dtype=torch.float32))) == math.inf


def test_problems_that_are_none() -> None:
    plus = tokens_of(read_formula("x + 1"))[0]
    with pytest.raises(DomainError, match="Sample 1 is no problem of the kind 'integral'"):
        FormulaResidual("integral", 2, 2)(x=padded([[0], [plus]], 2, front=True), y=padded([[0]] * 2, 2))
    with pytest.raises(DomainError, match="with y' in it"):
        FormulaResidual("first", 2, 2)(x=padded([tokens_of("y")], 2, front=True), y=padded([[0]], 2))
    with pytest.raises(OptionError, match="Did you mean 'integral'"):
        FormulaResidual("integrals", 2, 2)
    with pytest.raises(OptionError, match="at least 2 points"):
        FormulaResidual("integral", 2, 2, points=1)


@pytest.mark.parametrize("seed", range(20))
def test_a_formula_that_is_real_beyond_three_alone_is_judged(seed: int) -> None:
    x, y = (tokens_of(read_formula(text)) for text in ("2*log(x - 3) + 2*x/(x - 3)", "2*x*log(x - 3)"))
    energy = FormulaResidual("integral", 30, 24, seed=seed)
    assert float(energy(x=padded([x], 30, front=True), y=padded([y], 24))) < 1e-20

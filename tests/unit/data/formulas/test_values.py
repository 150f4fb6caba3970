"""Values and derivatives of formulas, all at once, against those of sympy."""

from __future__ import annotations

import pytest
import sympy
import torch

from lowland.data.formulas.tokens import NUMBER, PAD, padded, read_formula, tokens_of
from lowland.data.formulas.values import evaluate

TEXTS = (
    "x^3 - 105*x",
    "x*cos(2*x) + 1/x",
    "exp(3*x - 1)/(x + 12)^2",
    "log(x + 5)*x^x",
    "sqrt(x)*sin(x)^2",
    "17/4",
    "2^x",
)
PLACES = (0.3, 1.7, 2.9)


def test_values_and_two_derivatives_are_those_of_sympy() -> None:
    tokens = padded([tokens_of(read_formula(text)) for text in TEXTS], 30)
    found = evaluate(tokens, {"x": torch.tensor(PLACES, dtype=torch.float64)})
    x = sympy.Symbol("x")
    assert bool(found.valid.all())
    for row, text in enumerate(TEXTS):
        formula = sympy.sympify(text.replace("^", "**"))
        for order, values in enumerate((found.value, found.first, found.second)):
            wanted = [float(formula.diff(x, order).subs(x, place)) for place in PLACES]
            torch.testing.assert_close(values[row], torch.tensor(wanted, dtype=torch.float64), rtol=1e-11, atol=1e-11)


def test_padding_before_and_behind_changes_nothing() -> None:
    row = tokens_of(read_formula("12*x + sin(x)"))
    x = torch.tensor(PLACES, dtype=torch.float64)
    front, behind = (evaluate(padded([row], 20, front=way), {"x": x}) for way in (True, False))
    assert torch.equal(front.value, behind.value)
    assert torch.equal(front.second, behind.second)


@pytest.mark.parametrize("names", ["", "+ x", "x x", "1_ x", "sin", "y", "1_", "+ + x"])
def test_what_is_no_formula_is_not_valid(names: str) -> None:
    row = [NUMBER[name] for name in names.split()]
    found = evaluate(torch.tensor([[*row, *[PAD] * (5 - len(row))]]), {"x": torch.ones(2, dtype=torch.float64)})
    assert found.valid.tolist() == [False]


def test_what_is_not_real_is_not_a_number() -> None:
    found = evaluate(padded([tokens_of(read_formula("sqrt(x) + log(x)"))], 12), {"x": torch.tensor([-1.0, 1.0])})
    assert found.value[0].isnan().tolist() == [True, False]


def test_the_size_says_what_cancels() -> None:
    found = evaluate(padded([tokens_of(read_formula("x^2 - 3"))], 8), {"x": torch.tensor([2.0])})
    assert (float(found.value), float(found.size)) == (1.0, 7.0)

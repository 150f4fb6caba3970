"""The algebra of formulas: canonical forms, and derivatives against those of sympy."""

from __future__ import annotations

from fractions import Fraction

import pytest
import sympy

from lowland.data.formulas.text import mathematics, plain
from lowland.data.formulas.tokens import read_formula
from lowland.data.formulas.trees import add, call, cleared, count, derivative, expanded, power, solved, times
from lowland.errors import DomainError, UnsupportedError

FORMULAS = (
    "x^3 - 2*x + 7", "x*sin(2*x + 1)*exp(-x)", "log(3*x + 2)^2/x", "sqrt(x)*cos(x)", "x^x", "2^x", "exp(sin(x))/x",
)  # fmt: skip


@pytest.mark.parametrize("text", FORMULAS)
def test_derivatives_are_those_of_sympy(text: str) -> None:
    tree = read_formula(text)
    x = sympy.Symbol("x", positive=True)
    theirs = sympy.sympify(text.replace("^", "**"), locals={"x": x}).diff(x)
    ours = sympy.sympify(plain(derivative(tree)).replace("^", "**"), locals={"x": x})
    assert abs(sympy.N((theirs - ours).subs(x, sympy.Rational(13, 10)), 30)) < 1e-25


@pytest.mark.parametrize("text", FORMULAS)
def test_what_is_written_is_read_again(text: str) -> None:
    tree = read_formula(text)
    for one in (tree, derivative(tree)):
        assert read_formula(plain(one)) == one


def test_one_formula_has_one_tree() -> None:
    texts = ("x + 2*x*sin(x) - 3", "sin(x)*(x + x) - 3 + x", "-(3 - x) - 2*x*sin(-x)")
    assert len({read_formula(text) for text in texts}) == 1
    assert read_formula("exp(x)*exp(2*x)") == read_formula("exp(x)^3") == call("exp", times(3, "x"))
    assert read_formula("exp(log(x))") == "x"
    assert read_formula("x/x + cos(0)") == 2
    assert read_formula("(x^2)^3/x^6") == 1


def test_sin_squared_and_products_are_expanded() -> None:
    assert expanded(read_formula("sin(x)^2 + cos(x)^2")) == 1
    assert expanded(read_formula("(x + 1)^2*(x - 1)")) == read_formula("x^3 + x^2 - x - 1")


def test_an_equation_is_cleared_of_what_its_terms_share() -> None:
    tree = add(times(4, "y", call("exp", times(3, "x"))), times(-6, "y'", call("exp", times(2, "x"))))
    assert cleared(tree) == add(times(3, "y'"), times(-2, "y", call("exp", "x")))


def test_a_variable_is_solved_for() -> None:
    tree = add(times(2, call("log", add("c1", "x"))), 1)
    assert solved(tree, "c1", "y") == read_formula("exp((y - 1)/2) - x", ("x", "y"))
    with pytest.raises(UnsupportedError, match="2 times"):
        solved(add("c1", call("exp", "c1")), "c1", "y")
    with pytest.raises(UnsupportedError, match="no single inverse"):
        solved(call("sin", "c1"), "c1", "y")
    assert count(tree, "x") == 1


def test_what_has_no_value_is_refused() -> None:
    for wrong in (lambda: power(0, -1), lambda: call("log", 0), lambda: power(2, 100), lambda: times(10**9, 10**9)):
        with pytest.raises(DomainError):
            wrong()
    with pytest.raises(DomainError, match="not a known function"):
        call("gamma", "x")


def test_mathematics_is_typeset() -> None:
    assert mathematics(read_formula("x^2/2")) == "\\frac{{x}^{2}}{2}"
    assert mathematics(add("c1", times(Fraction(1, 2), "y''"))).count("c_1") == 1

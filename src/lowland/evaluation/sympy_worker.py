"""A process of its own in which sympy solves problems: a line of JSON comes in, and one goes out.

It imports nothing of Lowland, so that it starts quickly. A problem that takes more processor seconds than it may ends
the process, by the timer of the system: an exception could be caught by sympy on its way.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from typing import Any

import sympy

X, Y = sympy.Symbol("x"), sympy.Function("y")
_LEAVES = {
    "x": X, "y": Y(X), "y'": Y(X).diff(X), "y''": Y(X).diff(X, 2), "c1": sympy.Symbol("C1"), "c2": sympy.Symbol("C2"),
}  # fmt: skip
_OPERATORS: dict[str, Callable[..., Any]] = {
    "+": sympy.Add, "*": sympy.Mul, "^": sympy.Pow, "sin": sympy.sin, "cos": sympy.cos, "exp": sympy.exp,
    "log": sympy.log, "/": sympy.Rational,
}  # fmt: skip
_PLACES = (sympy.Rational(7, 10), sympy.Rational(13, 9), sympy.Rational(29, 11))
_CONSTANTS = {sympy.Symbol("C1"): sympy.Rational(8, 7), sympy.Symbol("C2"): sympy.Rational(11, 13)}
_DIGITS, _NEAR = 30, 1e-20
_CHECK = 10.0


def built(tree: Any) -> Any:
    """The expression of sympy for a tree of lists."""
    if isinstance(tree, int):
        return sympy.Integer(tree)
    if isinstance(tree, str):
        return _LEAVES[tree]
    return _OPERATORS[tree[0]](*(built(part) for part in tree[1:]))


def listed(expression: Any) -> Any:
    """The tree of lists for an expression of sympy, or None where no formula of Lowland says it."""
    if expression.is_Integer:
        return int(expression)
    if expression.is_Rational:
        return ["/", int(expression.p), int(expression.q)]
    if expression is sympy.E:
        return ["exp", 1]
    for name, leaf in _LEAVES.items():
        if expression == leaf:
            return name
    for name, operator in _OPERATORS.items():
        if name != "/" and isinstance(expression, operator if isinstance(operator, type) else type(expression.func)):
            parts = [listed(part) for part in expression.args]
            return None if None in parts else [name, *parts]
    return None


def solve(kind: str, problem: Any) -> Any:
    """The answer of sympy, or None."""
    if kind == "integral":
        answer = sympy.integrate(problem, X)
        return None if answer.has(sympy.Integral) else answer
    found: Any = sympy.dsolve(sympy.Eq(problem, 0), Y(X))
    for one in found if isinstance(found, list) else [found]:
        if one.lhs == Y(X) and not one.rhs.has(Y, sympy.Integral):
            return one.rhs
    return None


def holds(kind: str, problem: Any, answer: Any) -> bool:
    """Whether an answer solves a problem at some points, to twenty digits."""
    if kind == "integral":
        apart, size = answer.diff(X) - problem, problem
    else:
        apart = problem.subs({_LEAVES["y''"]: answer.diff(X, 2)}).subs({_LEAVES["y'"]: answer.diff(X)})
        apart, size = apart.subs({Y(X): answer}), 1 + answer.diff(X) + answer
        if not answer.has(*(list(_CONSTANTS)[: 1 if kind == "first" else 2])):
            return False
    for place in _PLACES:
        values = {X: place, **_CONSTANTS}
        left, scale = (sympy.N(part.subs(values), _DIGITS, maxn=200) for part in (apart, size))
        if not left.is_number or abs(complex(left)) > _NEAR * (1 + abs(complex(scale))):
            return False
    return True


def _limit(seconds: float) -> None:
    """So many seconds of the processor from now on; 0 for no limit."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds)


def answered(asked: dict[str, Any]) -> dict[str, Any]:
    """What is asked: to solve a problem within a time, or whether an answer holds."""
    kind, problem = asked["kind"], built(asked["problem"])
    if "answer" in asked:
        _limit(_CHECK)
        return {"right": holds(kind, problem, built(asked["answer"]))}
    _limit(asked["seconds"])
    answer = solve(kind, problem)
    _limit(_CHECK)
    right = answer is not None and holds(kind, problem, answer)
    return {"right": right, "answer": listed(answer) if right and kind == "integral" else None}


def main() -> None:
    """Answer line after line."""
    for line in sys.stdin:
        try:
            found = answered(json.loads(line))
        except Exception as error:  # noqa: BLE001 (sympy raises whatever it likes)
            found = {"right": False, "error": f"{type(error).__name__}: {error}"[:200]}
        _limit(0)
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

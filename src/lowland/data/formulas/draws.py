"""Problems whose solutions are known, made backwards: a solution is drawn, and the problem that it solves computed.

For `integral`, F is drawn and f = F′ is the problem. For `first` order, a family y(x, c1) is drawn, solved for c1 and
differentiated; for `second` order y = c1 u + c2 v + w, of which the two constants are eliminated. Each equation G(x, y,
y′, y″) = 0 is written as its G. Source: Lample & Charton, "Deep learning for symbolic mathematics" (2019), sections 3.1
to 3.3, for a smaller family of formulas.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection
from typing import NamedTuple

import torch

from lowland.data.formulas.tokens import tokens_of
from lowland.data.formulas.trees import Tree, add, call, cleared, count, derivative, expanded, power, solved, times
from lowland.errors import DataError, DomainError, OptionError, UnsupportedError, nearest

INTEGRAL, FIRST, SECOND = KINDS = ("integral", "first", "second")
LONGEST = {INTEGRAL: (32, 20), FIRST: (32, 20), SECOND: (32, 24)}
"""Most tokens of a problem and of its answer."""
_RATE, _FRONT, _POWER = 3, 5, 3
_IN_VAIN = 400


class Solved(NamedTuple):
    """A problem and its answer: an integrand and an integral, or G of G = 0 and the y that solves it."""

    problem: Tree
    answer: Tree


def draw_problems(
    kind: str, count: int, generator: torch.Generator, without: Collection[Solved] = (), backwards: bool = True
) -> list[Solved]:
    """Different problems of one kind, none of which is in `without`, nor has an answer that is in it.

    Args:
        kind: one of `KINDS`.
        count: how many.
        generator: draws them.
        without: problems to leave out.
        backwards: from answers; if not, integrands are drawn as answers are, and their answers are 0: unknown.

    Raises:
        OptionError: for an unknown kind, or another kind than integrals forwards.
        DataError: if the family has not so many.

    >>> found = draw_problems("integral", 2, torch.Generator().manual_seed(0))
    >>> all(derivative(one.answer) == one.problem for one in found)
    True
    """
    if kind not in KINDS or (kind != INTEGRAL and not backwards):
        raise OptionError(f"{kind!r} is no kind of problem that can be drawn so. {nearest(kind, KINDS)}")
    draw = random.Random(int(torch.randint(2**31, (), generator=generator)))
    make = {INTEGRAL: _integral if backwards else _integrand, FIRST: _first_order, SECOND: _second_order}[kind]
    problems, answers = {one.problem for one in without}, {one.answer for one in without if one.answer != 0}
    found: list[Solved] = []
    vain = 0
    while len(found) < count:
        one = _tried(make, draw, LONGEST[kind])
        if one is None or one.problem in problems or one.answer in answers:
            vain += 1
            if vain > _IN_VAIN * 10:
                raise DataError(f"The family has no {count} different problems of the kind {kind!r}: ask for fewer.")
            continue
        vain = 0
        problems.add(one.problem)
        if one.answer != 0:
            answers.add(one.answer)
        found.append(one)
    return found


def _tried(make: Callable[[random.Random], Solved], draw: random.Random, longest: tuple[int, int]) -> Solved | None:
    """A problem that fits the limits, or None where the draw led to none."""
    try:
        one = make(draw)
    except (DomainError, UnsupportedError):
        return None
    fits = len(tokens_of(one.problem)) <= longest[0] and len(tokens_of(one.answer)) <= longest[1]
    return one if fits and one.problem != 0 else None


def _front(draw: random.Random) -> int:
    return draw.choice((1, -1)) * draw.randint(1, _FRONT)


def _argument(draw: random.Random) -> Tree:
    shift = draw.choice((1, -1)) * draw.randint(1, _RATE) if draw.random() < 0.25 else 0
    return add(times(draw.randint(1, _RATE), "x"), shift)


def _factor(draw: random.Random) -> Tree:
    kind = draw.choice(("power", "sin", "cos", "exp", "log"))
    return power("x", draw.randint(1, _POWER)) if kind == "power" else call(kind, _argument(draw))


def _term(draw: random.Random) -> Tree:
    return times(_front(draw), _factor(draw), _factor(draw) if draw.random() < 0.4 else 1)


def _formula(draw: random.Random) -> Tree:
    """One term or two, each a number times one factor or two: powers of x, and functions of a x + b."""
    return add(*(_term(draw) for _ in range(draw.randint(1, 2))))


def _integral(draw: random.Random) -> Solved:
    answer = _formula(draw)
    return Solved(derivative(answer), answer)


def _integrand(draw: random.Random) -> Solved:
    return Solved(_formula(draw), 0)


def _first_order(draw: random.Random) -> Solved:
    """One to three operations on c1, each of which can be undone; c1 = g(x, y) gives ∂g/∂x + y′ ∂g/∂y = 0."""
    answer: Tree = "c1"
    for _ in range(draw.randint(1, 3)):
        steps = ("add", "times", "times", "function")
        step = draw.choice(steps if answer != "c1" else steps[:3])
        other = times(_front(draw), _factor(draw))
        answer = (
            add(answer, other) if step == "add"
            else times(answer, other) if step == "times"
            else call(draw.choice(("exp", "log")), answer)
        )  # fmt: skip
    known = solved(answer, "c1", "y")
    slope = add(derivative(known, "x"), times("y'", derivative(known, "y")))
    problem = cleared(expanded(slope))
    if count(problem, "y'") == 0 or count(answer, "x") == 0:
        raise UnsupportedError("The constant is not in the solution of an equation.")
    return Solved(problem, answer)


def _rate(draw: random.Random) -> int:
    return draw.choice((1, -1)) * draw.randint(1, _RATE)


def _wave(draw: random.Random) -> Tree:
    """A power of x, a sine, a cosine, or an exponential function."""
    kind = draw.choice(("power", "sin", "cos", "exp"))
    return power("x", draw.randint(0, _POWER)) if kind == "power" else call(kind, times(_rate(draw), "x"))


def _pair(draw: random.Random) -> tuple[Tree, Tree]:
    """Two solutions of a linear equation: with constant coefficients, of Euler's kind, or a power and exp."""
    kind = draw.choice(("rates", "double", "waves", "powers", "mixed"))
    rate = _rate(draw)
    grows = call("exp", times(rate, "x"))
    if kind == "rates":
        return grows, call("exp", times(_rate(draw), "x"))
    if kind == "double":
        return grows, times("x", grows)
    if kind == "waves":
        damped = grows if draw.random() < 0.7 else 1
        angle = times(draw.randint(1, _RATE), "x")
        return times(damped, call("sin", angle)), times(damped, call("cos", angle))
    first = power("x", draw.randint(-2, _POWER))
    return first, grows if kind == "mixed" else power("x", draw.randint(-2, _POWER))


def _second_order(draw: random.Random) -> Solved:
    """(y − w) is dependent on u and v: the determinant of the three and of their derivatives is 0."""
    u, v = _pair(draw)
    w = times(_front(draw), _wave(draw)) if draw.random() < 0.5 else 0
    answer = add(times("c1", u), times("c2", v), w)
    rows = []
    for one in (u, v, w):
        slope = derivative(one)
        rows.append((one, slope, derivative(slope)))
    (u0, u1, u2), (v0, v1, v2), particular = rows
    y0, y1, y2 = (add(name, times(-1, part)) for name, part in zip(("y", "y'", "y''"), particular, strict=True))
    minors = (
        add(times(a, d), times(-1, b, c)) for a, b, c, d in ((u0, u1, v0, v1), (u0, u2, v0, v2), (u1, u2, v1, v2))
    )
    over, across, under = map(expanded, minors)
    problem = cleared(expanded(add(times(y2, over), times(-1, y1, across), times(y0, under))))
    if over == 0 or u == v:
        raise UnsupportedError("The two solutions are not independent.")
    return Solved(problem, answer)

"""Values of many formulas at once, with their derivatives by x: one stack machine for a batch of prefix tokens.

Legend: N formulas, L tokens, P points, D depth of the stack, K kinds of tokens. A value is (N, 4, P): u, u′, u″ and the
size of its terms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from lowland.data.formulas.tokens import BINARY, LAST, LEADING, MINUS, NAMES, NUMBER, PAD, VARIABLES
from lowland.data.formulas.trees import FUNCTIONS


class Values(NamedTuple):
    """What formulas are at P points.

    `value`, `first` and `second` (N, P) are the formula and its derivatives by x, NaN where they are not real; `size`
    (N, P) is the sum of the sizes of its terms, beside which a value near zero is small; `valid` (N,) says whether the
    tokens are one formula. Where they are none, the values say nothing.
    """

    value: Tensor
    first: Tensor
    second: Tensor
    size: Tensor
    valid: Tensor


def evaluate(tokens: Tensor, leaves: Mapping[str, Tensor]) -> Values:
    """The values of formulas and of their first two derivatives by x, in double precision, exact but for rounding.

    Every value carries (u, u′, u″) through the operators, by the rules of the derivative: (u v)″ = u″v + 2u′v′ + uv″,
    g(u)″ = g″(u) u′² + g′(u) u″. Source: forward-mode differentiation (Wengert 1964), to second order. All formulas
    take each step together: an operator that some of them want is computed for all, and taken where it is wanted.

    Args:
        tokens: (N, L), of `lowland.data.formulas.tokens`; negative entries and `pad` are passed over.
        leaves: the variables, (P,) or (N, P), float64; those that are missing make a formula invalid. x has the
            derivative 1, others 0.

    >>> x = torch.tensor([2.0], dtype=torch.float64)
    >>> found = evaluate(torch.tensor([[NUMBER[name] for name in ("^", "x", "3")]]), {"x": x})
    >>> [float(part) for part in (found.value, found.first, found.second, found.size)]
    [8.0, 12.0, 12.0, 8.0]
    """
    tokens = torch.where((tokens >= 0) & (tokens < PAD), tokens, PAD).long()
    some = next(iter(leaves.values()))
    rows, points = tokens.shape[0], some.shape[-1]
    arity, digit = (_table(known, some.device) for known in (_ARITY, _DIGIT))
    known = torch.tensor([name not in VARIABLES or name in leaves for name in NAMES], device=some.device)
    variables = {NUMBER[name]: _leaf(name, value.double(), rows) for name, value in leaves.items()}
    stack = torch.zeros(rows, tokens.shape[1] // 2 + 2, 4, points, dtype=torch.float64, device=some.device)
    height = torch.zeros_like(tokens[:, 0])
    digits = torch.zeros_like(height)  # of the number that is being read
    valid = height == 0
    for place in reversed(range(tokens.shape[1])):
        kind = tokens[:, place]
        if torch.compiler.is_exporting():  # a program has no look at the tokens: all that have operands
            behind = tokens.shape[1] - 1 - place
            wanted = {NUMBER[name] for name in NAMES[:PAD] if _ARITY.get(name, 0) <= behind}
        else:
            wanted = set(kind.tolist()) - {PAD}
        if not wanted:
            continue
        passed = kind >= PAD
        leads, needed = (kind >= _FIRST_LEADING) & ~passed, arity[kind]
        fits = (height >= needed) & (height - needed < stack.shape[1])
        valid = valid & (passed | (fits & known[kind] & (~leads | (digits > 0))))
        above, below = _taken(stack, height - 1), _taken(stack, height - 2)
        new = _constant(digit[kind], points)
        for number, value in variables.items():
            if number in wanted:
                new = torch.where(_column(kind == number), value, new)
        tens = _constant(digit[kind].double() * 10.0 ** digits.double(), points)
        new = torch.where(_column(leads), above + tens, new)
        for number, rule in _UNARY.items():
            if number in wanted:
                new = torch.where(_column(kind == number), rule(above), new)
        for number, operation in _BINARY.items():
            if number in wanted:
                new = torch.where(_column(kind == number), operation(above, below), new)
        height = torch.where(passed, height, height - needed + 1)
        at = (height - 1).clamp(0, stack.shape[1] - 1)[:, None, None, None].expand(-1, 1, 4, points)
        old = stack.gather(1, at)
        stack = stack.scatter(1, at, torch.where(_column(passed)[:, None], old, new[:, None]))
        last = (kind >= _FIRST_LAST) & (kind < _FIRST_LEADING)
        digits = torch.where(passed, digits, torch.where(leads, digits + 1, last.long()))
    value, first, second, size = stack[:, 0].unbind(dim=1)
    return Values(value, first, second, size, valid & (height == 1))


def _table(known: Mapping[str, int], device: torch.device) -> Tensor:
    return torch.tensor([known.get(name, 0) for name in NAMES], device=device)


def _column(mask: Tensor) -> Tensor:
    return mask[:, None, None]


def _taken(stack: Tensor, at: Tensor) -> Tensor:
    """The values at places of the stack, (N, 4, P)."""
    at = at.clamp(0, stack.shape[1] - 1)[:, None, None, None]
    return stack.gather(1, at.expand(-1, 1, *stack.shape[2:]))[:, 0]


def _leaf(name: str, values: Tensor, rows: int) -> Tensor:
    """A variable as a value."""
    values = values.expand(rows, values.shape[-1])
    return _joined(values, torch.full_like(values, float(name == "x")), torch.zeros_like(values))


def _constant(numbers: Tensor, points: int) -> Tensor:
    """Numbers (N,) as values."""
    value = numbers.double()[:, None].expand(-1, points)
    return _joined(value, torch.zeros_like(value), torch.zeros_like(value))


def _joined(a: Tensor, b: Tensor, c: Tensor, size: Tensor | None = None) -> Tensor:
    return torch.stack([a, b, c, a.abs() if size is None else size], dim=1)


def _product(u: Tensor, v: Tensor) -> Tensor:
    (a, b, c, m), (d, e, f, n) = u.unbind(dim=1), v.unbind(dim=1)
    return _joined(a * d, b * d + a * e, c * d + 2 * b * e + a * f, m * n)


def _through(u: Tensor, value: Tensor, slope: Tensor, bend: Tensor) -> Tensor:
    """g(u) from g, g′ and g″ at u."""
    _, b, c, _ = u.unbind(dim=1)
    return _joined(value, slope * b, bend * b * b + slope * c)


def _sin(u: Tensor) -> Tensor:
    sine = u[:, 0].sin()
    return _through(u, sine, u[:, 0].cos(), -sine)


def _cos(u: Tensor) -> Tensor:
    cosine = u[:, 0].cos()
    return _through(u, cosine, -u[:, 0].sin(), -cosine)


def _exp(u: Tensor) -> Tensor:
    raised = u[:, 0].exp()
    return _through(u, raised, raised, raised)


def _log(u: Tensor) -> Tensor:
    one = 1 / u[:, 0]
    return _through(u, u[:, 0].log(), one, -one * one)


def _minus(u: Tensor) -> Tensor:
    return torch.cat([-u[:, :3], u[:, 3:]], dim=1)


def _quotient(u: Tensor, v: Tensor) -> Tensor:
    one = 1 / v[:, 0]
    return _product(u, _through(v, one, -one * one, 2 * one * one * one))


def _power(u: Tensor, v: Tensor) -> Tensor:
    """The power u^v: n u^(n−1) for a number, and otherwise through exp(v log u)."""
    a, n = u[:, 0], v[:, 0]
    plain = _through(u, a**n, n * a ** (n - 1), n * (n - 1) * a ** (n - 2))
    constant = _column((v[:, 1:3] == 0).all(dim=2).all(dim=1))
    return torch.where(constant, plain, _exp(_product(v, _log(u))))


_DIGIT = {name: int(name[0]) for name in (*LAST, *LEADING)}
_UNARY: dict[int, Callable[[Tensor], Tensor]] = {
    NUMBER[name]: rule for name, rule in zip((*FUNCTIONS, MINUS), (_sin, _cos, _exp, _log, _minus), strict=True)
}
_BINARY: dict[int, Callable[[Tensor, Tensor], Tensor]] = {
    NUMBER[name]: rule for name, rule in zip(BINARY, (torch.add, _product, _quotient, _power), strict=True)
}
_ARITY = {**dict.fromkeys((*FUNCTIONS, MINUS), 1), **dict.fromkeys(LEADING, 1), **dict.fromkeys(BINARY, 2)}
_FIRST_LAST, _FIRST_LEADING = NUMBER[LAST[0]], NUMBER[LEADING[0]]

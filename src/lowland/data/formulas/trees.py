"""Formulas as trees in a canonical form: sums and products collected, and their derivatives.

A tree is a number (int or Fraction), the name of a variable, or a tuple: ("+", terms…), ("*", factors…), ("^", base,
exponent), or a function of `FUNCTIONS` and its argument. The functions of this file keep trees canonical, so that two
formulas that differ only in the order of terms or in numbers that could be multiplied are the same tree.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any, TypeAlias, TypeGuard

from lowland.errors import DomainError, UnsupportedError

Tree: TypeAlias = Any
"""int | Fraction | str | tuple."""
FUNCTIONS = ("sin", "cos", "exp", "log")
_LARGEST = 10**9
_MOST_POWER = 64


def number(value: int | Fraction) -> Tree:
    """A number, as an int where it is whole.

    Raises:
        DomainError: for one above 10⁹, which no formula here needs.
    """
    if type(value) is int and -_LARGEST <= value <= _LARGEST:
        return value
    if abs(value.numerator) > _LARGEST or value.denominator > _LARGEST:
        raise DomainError("A number of this formula is above 10⁹, which is more than formulas may hold here.")
    return value.numerator if value.denominator == 1 else value


def is_number(tree: Tree) -> TypeGuard[int | Fraction]:
    """Whether a tree is a number."""
    kind = type(tree)
    return kind is int or kind is Fraction  # quicker than the abstract classes of numbers


@functools.lru_cache(maxsize=1 << 16)
def _order(tree: Tree) -> tuple[int, str]:
    """Where a part stands among others: powers of variables, then functions, then sums."""
    head = tree[1] if isinstance(tree, tuple) and tree[0] == "^" else tree
    rank = 0 if isinstance(head, str) else 3 if is_number(head) else 2 if head[0] in "+*" else 1
    return rank, str(tree)


def _split(term: Tree) -> tuple[int | Fraction, Tree]:
    """The number in front of a term, and the rest."""
    if is_number(term):
        return term, 1
    if isinstance(term, tuple) and term[0] == "*" and is_number(term[1]):
        rest = term[2:]
        return term[1], rest[0] if len(rest) == 1 else ("*", *rest)
    return 1, term


def add(*terms: Tree) -> Tree:
    """The sum of trees, with like terms collected.

    >>> add("x", 2, ("*", 3, "x"))
    ('+', ('*', 4, 'x'), 2)
    """
    found: dict[Tree, int | Fraction] = {}
    for term in terms:
        for part in term[1:] if isinstance(term, tuple) and term[0] == "+" else (term,):
            front, rest = _split(part)
            found[rest] = found.get(rest, 0) + front
    kept = sorted((rest for rest, front in found.items() if front != 0 and rest != 1), key=_order)
    parts = [times(number(found[rest]), rest) for rest in kept]
    if found.get(1, 0) != 0:
        parts.append(number(found[1]))
    return 0 if not parts else parts[0] if len(parts) == 1 else ("+", *parts)


def times(*factors: Tree) -> Tree:
    """The product of trees: numbers multiplied, powers of one base collected, and a number in front of a sum inside it.

    >>> times("x", 2, ("^", "x", 2)), times(2, ("+", "x", 1))
    (('*', 2, ('^', 'x', 3)), ('+', ('*', 2, 'x'), 2))
    """
    front: int | Fraction = 1
    powers: dict[Tree, Tree] = {}
    exponents: list[Tree] = []
    for factor in factors:
        inner: Iterable[Tree] = factor[1:] if isinstance(factor, tuple) and factor[0] == "*" else (factor,)
        for part in inner:
            if is_number(part):
                front = front * part
            elif part[0] == "exp" and isinstance(part, tuple):
                exponents.append(part[1])
            else:
                base, exponent = (part[1], part[2]) if isinstance(part, tuple) and part[0] == "^" else (part, 1)
                powers[base] = add(powers[base], exponent) if base in powers else exponent
    if front == 0:
        return 0
    parts = [power(base, exponent) for base, exponent in powers.items()]
    if exponents:
        parts.append(call("exp", add(*exponents)))
    numbers = [part for part in parts if is_number(part)]
    front = number(functools.reduce(lambda a, b: a * b, numbers, front))
    rest = sorted((part for part in parts if not is_number(part)), key=_order)
    if any(part[0] == "*" for part in rest if isinstance(part, tuple)):
        return times(front, *rest)
    if not rest:
        return front
    if len(rest) == 1 and isinstance(rest[0], tuple) and rest[0][0] == "+" and front != 1:
        return add(*(times(front, term) for term in rest[0][1:]))
    parts = rest if front == 1 else [front, *rest]
    return parts[0] if len(parts) == 1 else ("*", *parts)


def power(base: Tree, exponent: Tree) -> Tree:
    """A tree to a power.

    Raises:
        DomainError: for a power of 0 that is not positive, or a number to a power above 64.

    >>> power(("^", "x", 2), 3), power(("exp", "x"), 2)
    (('^', 'x', 6), ('exp', ('*', 2, 'x')))
    """
    whole = isinstance(exponent, int)
    if exponent == 0:
        return 1
    if exponent == 1:
        return base
    if base == 0 and not (is_number(exponent) and exponent > 0):
        raise DomainError("0 has only positive powers.")
    if base in (0, 1):
        return base
    if is_number(base) and whole:
        if abs(exponent) > _MOST_POWER:
            raise DomainError(f"A number to the power {exponent} is more than formulas may hold here.")
        return number(Fraction(base) ** exponent)
    if isinstance(base, tuple) and whole:
        if base[0] == "^":
            return power(base[1], times(base[2], exponent))
        if base[0] == "*":
            return times(*(power(part, exponent) for part in base[1:]))
    if isinstance(base, tuple) and base[0] == "exp" and is_number(exponent):
        return call("exp", times(base[1], exponent))
    return ("^", base, exponent)


def call(name: str, argument: Tree) -> Tree:
    """A function of a tree; sin(−u) is −sin u, cos(−u) is cos u, and exp and log undo each other.

    Raises:
        DomainError: for an unknown function, or the logarithm of 0.

    >>> call("sin", ("*", -2, "x"))
    ('*', -1, ('sin', ('*', 2, 'x')))
    """
    if name not in FUNCTIONS:
        raise DomainError(f"{name!r} is not a known function: {', '.join(FUNCTIONS)}.")
    if name in ("sin", "cos"):
        if argument == 0:
            return int(name == "cos")
        first = argument[1] if isinstance(argument, tuple) and argument[0] == "+" else argument
        if _split(first)[0] < 0:
            turned = (name, times(-1, argument))
            return turned if name == "cos" else times(-1, turned)
    elif argument == (0 if name == "exp" else 1):
        return 1 - argument
    elif name == "log" and argument == 0:
        raise DomainError("The logarithm of 0 is not a number.")
    elif isinstance(argument, tuple) and argument[0] == ("log" if name == "exp" else "exp"):
        return argument[1]
    return (name, argument)


_SLOPES: dict[str, Callable[[Tree], Tree]] = {
    "sin": lambda u: call("cos", u),
    "cos": lambda u: times(-1, call("sin", u)),
    "exp": lambda u: call("exp", u),
    "log": lambda u: power(u, -1),
}


def derivative(tree: Tree, name: str = "x") -> Tree:
    """The partial derivative by a variable.

    >>> derivative(times("x", call("sin", "x")))
    ('+', ('sin', 'x'), ('*', 'x', ('cos', 'x')))
    """
    if is_number(tree):
        return 0
    if isinstance(tree, str):
        return int(tree == name)
    kind, *parts = tree
    if kind == "+":
        return add(*(derivative(part, name) for part in parts))
    if kind == "*":
        slopes = [derivative(part, name) for part in parts]
        return add(*(times(*parts[:i], slope, *parts[i + 1 :]) for i, slope in enumerate(slopes) if slope != 0))
    if kind == "^":
        base, exponent = parts
        by_base = times(exponent, power(base, add(exponent, -1)), derivative(base, name))
        slope = derivative(exponent, name)
        return by_base if slope == 0 else add(by_base, times(tree, call("log", base), slope))
    return times(_SLOPES[kind](parts[0]), derivative(parts[0], name))


def expanded(tree: Tree) -> Tree:
    """Products of sums multiplied out, and sin² written as 1 − cos².

    >>> expanded(times(("+", "x", 1), ("+", "x", -1)))
    ('+', ('^', 'x', 2), -1)
    """
    if not isinstance(tree, tuple):
        return tree
    kind, *parts = tree
    if kind == "+":
        return add(*(expanded(part) for part in parts))
    if kind == "^" and isinstance(parts[1], int) and 1 < parts[1] <= 8 and _opens(parts[0]):
        base = expanded(parts[0] if parts[0][0] == "+" else ("+", 1, times(-1, power(("cos", parts[0][1]), 2))))
        count = parts[1] if parts[0][0] == "+" else parts[1] // 2
        odd = 1 if parts[0][0] == "+" or parts[1] % 2 == 0 else parts[0]
        return functools.reduce(_multiplied, [base] * count, odd)
    if kind == "*":
        return functools.reduce(_multiplied, [expanded(part) for part in parts], 1)
    return tree


def _opens(base: Tree) -> bool:
    return isinstance(base, tuple) and base[0] in ("+", "sin")


def _multiplied(a: Tree, b: Tree) -> Tree:
    left, right = ((part[1:] if isinstance(part, tuple) and part[0] == "+" else (part,)) for part in (a, b))
    return add(*(_reduced(times(one, other)) for one in left for other in right))


def _reduced(term: Tree) -> Tree:
    """A product that multiplying has made, expanded where sin² or a power of a sum has come about."""
    parts = term[1:] if isinstance(term, tuple) and term[0] == "*" else (term,)
    squares = any(
        isinstance(part, tuple) and part[0] == "^" and isinstance(part[2], int) and part[2] > 1 and _opens(part[1])
        for part in parts
    )
    return expanded(term) if squares else term


def cleared(tree: Tree) -> Tree:
    """The sum, up to factors that all its terms have in common: for equations tree = 0.

    >>> cleared(add(times(2, "x", "y"), times(4, power("x", 2))))
    ('+', ('*', 2, 'x'), 'y')
    """
    terms = tree[1:] if isinstance(tree, tuple) and tree[0] == "+" else (tree,)
    fronts = [Fraction(_split(term)[0]) for term in terms]
    if tree == 0:
        return 0
    content = Fraction(math.gcd(*(f.numerator for f in fronts)), math.lcm(*(f.denominator for f in fronts)))
    powers = [_powers(_split(term)[1]) for term in terms]
    common: list[Tree] = [1 / content]
    for base in dict.fromkeys(base for own in powers for base in own):
        held = [own.get(base, 0) for own in powers]
        least = min(held, key=Fraction) if all(map(is_number, held)) else 0
        common.append(power(base, number(-Fraction(least))))
    found = add(*(times(term, *common) for term in terms))
    first = found[1] if isinstance(found, tuple) and found[0] == "+" else found
    return times(-1, found) if _split(first)[0] < 0 else found


def _powers(term: Tree) -> dict[Tree, Tree]:
    """Exponents by base, of a product; exp(n u) is exp(u) to the n for the whole number n in front."""
    found: dict[Tree, Tree] = {}
    for part in term[1:] if isinstance(term, tuple) and term[0] == "*" else (term,):
        if isinstance(part, tuple) and part[0] == "^":
            found[part[1]] = part[2]
        elif isinstance(part, tuple) and part[0] == "exp":
            for piece in part[1][1:] if isinstance(part[1], tuple) and part[1][0] == "+" else (part[1],):
                front, rest = _split(piece)
                found[("exp", rest)] = front
        elif part != 1:
            found[part] = 1
    return found


def count(tree: Tree, name: str) -> int:
    """How often a variable stands in a tree.

    >>> count(("+", "x", ("sin", "x")), "x")
    2
    """
    if isinstance(tree, tuple):
        return sum(count(part, name) for part in tree[1:])
    return int(tree == name)


def solved(tree: Tree, name: str, value: Tree) -> Tree:
    """The variable of which tree = value, by undoing one operation after the other.

    Raises:
        UnsupportedError: unless the variable stands there once, where operations can be undone.

    >>> solved(add(times("c1", "x"), 3), "c1", "y")
    ('*', ('^', 'x', -1), ('+', 'y', -3))
    """
    while tree != name:
        if count(tree, name) != 1:
            raise UnsupportedError(f"The formula has {name} {count(tree, name)} times, so it cannot be solved for it.")
        kind, *parts = tree
        inner = next(part for part in parts if count(part, name))
        others: Iterable[Tree] = [part for part in parts if part is not inner]
        if kind == "+":
            value = add(value, *(times(-1, other) for other in others))
        elif kind == "*":
            value = times(value, *(power(other, -1) for other in others))
        elif kind in ("exp", "log"):
            value = call("log" if kind == "exp" else "exp", value)
        else:
            raise UnsupportedError(f"{kind} has no single inverse, so the formula cannot be solved for {name}.")
        tree = inner
    return value

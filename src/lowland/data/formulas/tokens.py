"""Formulas as prefix tokens, and as text that people write and read.

Each operator stands before its operands, so no brackets are needed: 3 x + sin x is `+ * 3 x sin x`. The operators + * /
and ^ have two operands, the minus sign and the functions one. A number is its digits, of which all but the last are
tokens of their own: 12 is `1_ 2`. Source: Lample & Charton, "Deep learning for symbolic mathematics" (2019), section 2,
with other tokens for numbers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

import torch
from torch import Tensor

from lowland.data.formulas.trees import FUNCTIONS, Tree, add, call, is_number, number, power, times
from lowland.errors import DataError, DomainError, nearest

VARIABLES = ("x", "y", "y'", "y''", "c1", "c2")
BINARY, MINUS = ("+", "*", "/", "^"), "-"
LAST = tuple("0123456789")
LEADING = tuple(f"{digit}_" for digit in LAST)
NAMES = (*VARIABLES, *BINARY, MINUS, *FUNCTIONS, *LAST, *LEADING, "pad")
"""All tokens, in the order of their numbers."""
NUMBER = {name: place for place, name in enumerate(NAMES)}
PAD = NUMBER["pad"]
_LONGEST = 200


def tokens_of(tree: Tree) -> list[int]:
    """The tokens of a tree.

    >>> " ".join(NAMES[token] for token in tokens_of(add(times(-12, power("x", -1)), 3)))
    '+ - / 1_ 2 x 3'
    """
    return [NUMBER[name] for name in _written(tree)]


def _written(tree: Tree) -> list[str]:
    if is_number(tree):
        if tree < 0:
            return [MINUS, *_written(-tree)]
        if isinstance(tree, Fraction):
            return ["/", *_written(tree.numerator), *_written(tree.denominator)]
        digits = str(tree)
        return [*(f"{digit}_" for digit in digits[:-1]), digits[-1]]
    if isinstance(tree, str):
        return [tree]
    kind, *parts = tree
    if kind == "+":
        return _chained("+", parts)
    if kind in ("*", "^"):
        sign, over, under = fraction_of(tree)
        if not under:
            body = _chained("*", over) if kind == "*" else ["^", *_written(parts[0]), *_written(parts[1])]
        else:
            body = ["/", *_chained("*", over or [1]), *_chained("*", under)]
        return [MINUS, *body] if sign < 0 else body
    return [kind, *_written(parts[0])]


def _chained(operator: str, parts: Sequence[Tree]) -> list[str]:
    found: list[str] = []
    for part in parts[:-1]:
        found += [operator, *_written(part)]
    return found + _written(parts[-1])


def fraction_of(tree: Tree) -> tuple[int, list[Tree], list[Tree]]:
    """The sign, the factors of the numerator and those of the denominator of a product or a power."""
    sign, over, under = 1, [], []
    for part in tree[1:] if tree[0] == "*" else (tree,):
        if is_number(part):
            value = Fraction(part)
            sign = -1 if value < 0 else 1
            over += [abs(value.numerator)] if abs(value.numerator) != 1 else []
            under += [value.denominator] if value.denominator != 1 else []
        elif isinstance(part, tuple) and part[0] == "^" and is_number(part[2]) and part[2] < 0:
            under.append(power(part[1], -part[2]))
        else:
            over.append(part)
    return sign, over, under


def tree_of(tokens: Sequence[int]) -> Tree:
    """The tree of prefix tokens, in canonical form.

    Raises:
        DomainError: for tokens that are no formula, or a formula that has no value anywhere, such as 1/0.

    >>> tree_of([NUMBER[name] for name in "+ x * 2 x".split()])
    ('*', 3, 'x')
    """
    stack: list[Tree] = []
    size = 0  # of the number that is being read, or 0
    for place, token in reversed(list(enumerate(tokens))):
        if not 0 <= token < PAD:
            raise DomainError(f"Token {place} is {token}, which is none of a formula.")
        name = NAMES[token]
        needed = 2 if name in BINARY else 1 if name in FUNCTIONS or name == MINUS or name in LEADING else 0
        if len(stack) < needed or (name in LEADING and not size):
            raise DomainError(f"The operator {name!r} at place {place} has too few operands.")
        if name in LEADING:
            stack.append(number(stack.pop() + int(name[0]) * 10**size))
            size += 1
            continue
        size = int(name in LAST)
        if name in LAST:
            stack.append(int(name))
        elif name in VARIABLES:
            stack.append(name)
        elif name in BINARY:
            left, right = stack.pop(), stack.pop()
            stack.append(combined(name, left, right))
        else:
            stack.append(times(-1, stack.pop()) if name == MINUS else call(name, stack.pop()))
    if len(stack) != 1:
        raise DomainError(f"A formula is one expression, but these tokens are {len(stack)}.")
    return stack[0]


def combined(operator: str, left: Tree, right: Tree) -> Tree:
    """Two trees under an operator of two operands."""
    if operator == "+":
        return add(left, right)
    if operator == "*":
        return times(left, right)
    return power(left, right) if operator == "^" else times(left, power(right, -1))


def padded(rows: Sequence[Sequence[int]], length: int, front: bool = False) -> Tensor:
    """Token rows of one length, (N, L): filled up with −1 behind, or with the token `pad` in front.

    Raises:
        DataError: for a row that is longer.

    >>> padded([[0, 1]], 3), padded([[0]], 2, front=True)
    (tensor([[ 0.,  1., -1.]]), tensor([[35.,  0.]]))
    """
    longest = max(map(len, rows), default=0)
    if longest > length:
        raise DataError(f"A formula has {longest} tokens, but the model takes at most {length}: give a shorter one.")
    filler = [float(PAD if front else -1)]
    filled = [filler * (length - len(row)) + [*row] if front else [*row] + filler * (length - len(row)) for row in rows]
    return torch.tensor(filled, dtype=torch.get_default_dtype()).reshape(len(rows), length)


def bare(row: Tensor) -> list[int]:
    """The tokens of a padded row."""
    return [token for token in map(int, row.tolist()) if 0 <= token < PAD]


_PIECE = re.compile(r"(?:(\d+)|([A-Za-z]\w*'*)|(\*\*|[-+*/^()]))")


def read_formula(text: str, variables: Sequence[str] = ("x",)) -> Tree:
    """The tree of a formula that somebody wrote, such as "x*cos(2*x) + 1/x"; nothing of it is run as code.

    Args:
        text: with + - * / ^ (or **), brackets, whole numbers, sqrt and the functions of `FUNCTIONS`.
        variables: names that may stand in it.

    Raises:
        DataError: for text that is no formula, with the place; for an unknown name; or for one that is too long.

    >>> read_formula("x*cos(2*x) - 1/2")
    ('+', ('*', 'x', ('cos', ('*', 2, 'x'))), Fraction(-1, 2))
    """
    text = text.strip()
    if not text or len(text) > _LONGEST:
        raise DataError(f"A formula has 1 to {_LONGEST} characters, but this has {len(text)}.")
    pieces: list[str] = []
    place = 0
    while place < len(text):
        place += len(text[place:]) - len(text[place:].lstrip())
        found = _PIECE.match(text, place)
        if found is None:
            raise DataError(
                f"The formula {text!r} has {text[place]!r} at place {place + 1}, which no formula here has."
            )
        pieces.append(found.group())
        place = found.end()
    try:
        return _Reader(text, pieces, tuple(variables)).all()
    except DomainError as error:
        raise DataError(f"The formula {text!r} has no value: {error}") from None


class _Reader:
    """Descends through the pieces of a text: sums of products of powers of atoms."""

    def __init__(self, text: str, pieces: list[str], variables: tuple[str, ...]) -> None:
        self.text, self.pieces, self.variables, self.place = text, pieces, variables, 0

    def all(self) -> Tree:
        tree = self._sum()
        if self.place < len(self.pieces):
            raise self._wrong("an operator")
        return tree

    def _next(self) -> str:
        return self.pieces[self.place] if self.place < len(self.pieces) else ""

    def _take(self, *wanted: str) -> str:
        piece = self._next()
        if piece not in wanted:
            return ""
        self.place += 1
        return piece

    def _wrong(self, wanted: str) -> DataError:
        found = repr(self._next()) if self._next() else "its end"
        return DataError(f"The formula {self.text!r} needs {wanted} where it has {found}, after {self.place} parts.")

    def _sum(self) -> Tree:
        tree = self._product()
        while sign := self._take("+", "-"):
            other = self._product()
            tree = add(tree, other if sign == "+" else times(-1, other))
        return tree

    def _product(self) -> Tree:
        tree = self._signed()
        while sign := self._take("*", "/"):
            tree = combined(sign, tree, self._signed())
        return tree

    def _signed(self) -> Tree:
        if sign := self._take("-", "+"):
            inner = self._signed()
            return times(-1, inner) if sign == "-" else inner
        base = self._atom()
        return power(base, self._signed()) if self._take("^", "**") else base

    def _atom(self) -> Tree:
        name = self._next()
        if name.isdecimal():
            self.place += 1
            return number(int(name))
        if self._take("("):
            tree = self._sum()
            if not self._take(")"):
                raise self._wrong("a closing bracket")
            return tree
        if not name[:1].isalpha():
            raise self._wrong("a number, a variable, a function or a bracket")
        self.place += 1
        if name in self.variables:
            return name
        if name not in (*FUNCTIONS, "sqrt"):
            known = nearest(name, (*self.variables, *FUNCTIONS, "sqrt"))
            raise DataError(f"The formula {self.text!r} has the unknown name {name!r}. {known}")
        if not self._take("("):
            raise self._wrong(f"a bracket after {name}")
        inner = self._sum()
        if not self._take(")"):
            raise self._wrong("a closing bracket")
        return power(inner, Fraction(1, 2)) if name == "sqrt" else call(name, inner)

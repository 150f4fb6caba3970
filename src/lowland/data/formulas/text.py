"""Formulas as text: for a terminal, and as mathematics that a plot can typeset."""

from __future__ import annotations

from fractions import Fraction

from lowland.data.formulas.tokens import fraction_of
from lowland.data.formulas.trees import FUNCTIONS, Tree, is_number

_PRIMES = {"y'": "y^{\\prime}", "y''": "y^{\\prime\\prime}", "c1": "c_1", "c2": "c_2"}


def plain(tree: Tree) -> str:
    """A formula as people type it; `read_formula` reads it again.

    >>> from lowland.data.formulas.tokens import read_formula
    >>> plain(read_formula("x*cos(2*x)/3 - x^2"))
    '-x^2 + x*cos(2*x)/3'
    """
    return _Text(typeset=False).of(tree)


def mathematics(tree: Tree) -> str:
    r"""A formula as mathematical text of matplotlib, without the dollar signs.

    >>> mathematics(("*", 2, ("sin", "x")))
    '2\\, \\sin\\left(x\\right)'
    """
    return _Text(typeset=True).of(tree)


class _Text:
    """Writes a tree in one of two ways."""

    def __init__(self, typeset: bool) -> None:
        self.typeset = typeset
        self.dot, self.open, self.close = ("\\, ", "\\left(", "\\right)") if typeset else ("*", "(", ")")

    def of(self, tree: Tree) -> str:
        if is_number(tree):
            return self._number(tree)
        if isinstance(tree, str):
            return _PRIMES.get(tree, tree) if self.typeset else tree
        kind, *parts = tree
        if kind == "+":
            texts = [self.of(part) for part in parts]
            return texts[0] + "".join(f" - {text[1:]}" if text[0] == "-" else f" + {text}" for text in texts[1:])
        if kind in FUNCTIONS:
            name = f"\\{kind}" if self.typeset else kind
            return f"{name}{self.open}{self.of(parts[0])}{self.close}"
        sign, over, under = fraction_of(tree)
        minus = "-" if sign < 0 else ""
        if not under:
            return minus + (self._product(over) if kind == "*" else self._power(parts[0], parts[1]))
        top, bottom = self._product(over) if over else "1", self._product(under)
        if self.typeset:
            return f"{minus}\\frac{{{self._product(over, True) if over else '1'}}}{{{self._product(under, True)}}}"
        return f"{minus}{top}/{bottom if len(under) == 1 else f'({bottom})'}"

    def _number(self, tree: Tree) -> str:
        if isinstance(tree, Fraction) and self.typeset:
            return f"{'-' if tree < 0 else ''}\\frac{{{abs(tree.numerator)}}}{{{tree.denominator}}}"
        return str(tree)

    def _product(self, parts: list[Tree], alone: bool = False) -> str:
        if alone and len(parts) == 1:
            return self.of(parts[0])
        return self.dot.join(self._tight(part) for part in parts)

    def _power(self, base: Tree, exponent: Tree) -> str:
        if exponent == Fraction(1, 2):
            return f"\\sqrt{{{self.of(base)}}}" if self.typeset else f"sqrt({self.of(base)})"
        bare = isinstance(base, str) or (isinstance(base, tuple) and base[0] in FUNCTIONS)
        inner = self.of(base) if bare else f"{self.open}{self.of(base)}{self.close}"
        if self.typeset:
            return f"{{{inner}}}^{{{self.of(exponent)}}}"
        raised = self.of(exponent)
        return f"{inner}^{raised if isinstance(exponent, str) or raised.isdecimal() else f'({raised})'}"

    def _tight(self, tree: Tree) -> str:
        """A factor: a sum or a negative number in brackets."""
        text = self.of(tree)
        loose = (isinstance(tree, tuple) and tree[0] == "+") or text[0] == "-" or isinstance(tree, Fraction)
        return f"{self.open}{text}{self.close}" if loose else text

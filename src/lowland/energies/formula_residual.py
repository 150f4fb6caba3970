"""How far a formula is from solving a problem, by its derivatives at some points (system M10)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lowland.data.formulas.draws import FIRST, INTEGRAL, KINDS, SECOND
from lowland.data.formulas.tokens import NUMBER, PAD, padded, tokens_of
from lowland.data.formulas.values import Values, evaluate
from lowland.domains import Tokens
from lowland.domains.tokens import EMPTY
from lowland.energies.base import Energy, ReferenceCase
from lowland.errors import DomainError, OptionError, nearest
from lowland.registry import register

_NEAR, _FAR, _MOST, _FEWEST = 0.3, 7.0, 40.0, 2
_STEP, _INDEPENDENT = 1e-4, 1e-6
_LEAVES = {INTEGRAL: ("x",), FIRST: ("x", "y", "y'"), SECOND: ("x", "y", "y'", "y''")}
_CONSTANTS = {INTEGRAL: (), FIRST: ("c1",), SECOND: ("c1", "c2")}


@register("energy")
class FormulaResidual(Energy):
    """E(x, y) = mean_t |G(t, y, y′, y″)|² / s(t)², the scaled residual of the formula y in the problem x.

    For integrals x is f, G = y′ − f and s = |y′| + |f|; for differential equations x is G itself, with y, y′ and y″ in
    it, and s is the sum of the sizes of its terms. So E is at least 0, at most about 1, and 0 for a solution, up to
    rounding: 10⁻³⁰ is usual. y is differentiated exactly, by rule (`lowland.data.formulas.values`), in double precision
    at random points t, three of four in [0.3, 7] and the others in [−7, −0.3], small ones as likely as large ones.
    Points where a side is not real are left out. A y that is no formula, or is real at fewer than two points, has
    E = +∞. So has one that is not the general solution of an equation, which y = 0 often solves: ∂y/∂c1 must not
    vanish, and with two constants neither must ∂y/∂c1 · ∂y′/∂c2 − ∂y/∂c2 · ∂y′/∂c1.

    Candidates are tested by differentiating back in Lample & Charton, "Deep learning for symbolic mathematics" (2019),
    where symbols decide; here the test is a number. In a sum with a model that proposes formulas, `BeamSearch` ranks
    its candidates by both.

    Args:
        kind: "integral", or "first" or "second" for the order of an equation.
        prompt: most tokens of a problem, filled up with the token `pad` in front.
        length: most tokens of an answer.
        points: how many t.
        seed: draws the points, and the values of the constants of integration.

    Raises:
        OptionError: for an unknown kind, or fewer than two points.
        DomainError: for a problem that is no formula, or one without the derivative of its order.

    >>> from lowland.data.formulas.tokens import padded, read_formula, tokens_of
    >>> energy = FormulaResidual("integral", prompt=8, length=8)
    >>> x = padded([tokens_of(read_formula("2*x"))] * 2, 8, front=True)
    >>> y = padded([tokens_of(read_formula(text)) for text in ("x^2", "3*x^2")], 8)
    >>> [round(value, 2) for value in energy(x=x, y=y).tolist()]
    [0.0, 0.25]
    """

    def __init__(self, kind: str, prompt: int, length: int, points: int = 16, seed: int = 0) -> None:
        if kind not in KINDS:
            raise OptionError(f"A problem cannot be of the kind {kind!r}. {nearest(kind, KINDS)}")
        if points < _FEWEST:
            raise OptionError(f"A residual needs at least {_FEWEST} points, not {points}.")
        super().__init__(x=Tokens(PAD + 1, prompt), y=Tokens(PAD + 1, length, "end"))
        self.kind = kind
        draw = torch.rand(3, points, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        # One in each of as many equal parts of log t, so that a formula that is real in some range has points there.
        place = _NEAR * (_FAR / _NEAR) ** ((torch.arange(points) + draw[0]) / points)
        place = torch.where(torch.arange(points) % 4 == 3, -place, place)
        # Small and large constants of both signs: for some of them most roots and logarithms are real.
        signs = 1 - 2 * (torch.arange(points) // 2 % 2)
        self.places = torch.stack([place, signs * 0.5 * _MOST ** draw[1], -signs * 0.5 * _MOST ** draw[2]])

    def encode(self, x: Tensor) -> Tensor:
        """X itself, once it is known to be a problem."""
        if torch.compiler.is_exporting():
            return x
        names = _LEAVES[self.kind]
        wrong = ~evaluate(x.nan_to_num(float(PAD)), dict.fromkeys(names, self.places[0].to(x.device))).valid
        if self.kind != INTEGRAL:
            wrong = wrong | ~(x == NUMBER[names[-1]]).any(dim=1)
        wrong = wrong & ~x.isnan().any(dim=1)
        if bool(wrong.any()):
            raise DomainError(
                f"Sample {int(wrong.nonzero()[0])} is no problem of the kind {self.kind!r}: it needs to be one formula "
                f"of {', '.join(names)}{'' if self.kind == INTEGRAL else f', with {names[-1]} in it'}."
            )
        return x

    def energy(self, x: Tensor, y: Tensor, z: Any) -> Tensor:
        real = y if y.is_floating_point() else y.double()
        tokens = real.nan_to_num(float(PAD))
        inside = (tokens == tokens.round()) & (tokens >= EMPTY) & (tokens < PAD)
        behind = (tokens < 0).cumsum(dim=1) > 0
        right = (inside & ((tokens < 0) | ~behind)).all(dim=1)
        found = self._solution(tokens)
        residual = self._residual(x.nan_to_num(0.0), found)
        right = right & found.valid & self._general(tokens, found)
        total = torch.where(right, residual, torch.inf).to(real.dtype)
        return total + (real - real).sum(dim=1) + (x - x).sum(dim=1).to(real.dtype)

    def _solution(self, y: Tensor, moved: str = "") -> Values:
        """The values of formulas and their derivatives at the points, with one constant moved a little, if named."""
        place, *constants = self.places.to(y.device)
        leaves = {"x": place}
        for name, value in zip(_CONSTANTS[self.kind], constants, strict=False):
            leaves[name] = value + _STEP if name == moved else value
        return evaluate(y, leaves)

    def _residual(self, x: Tensor, found: Values) -> Tensor:
        place = self.places[0].to(x.device)
        if self.kind == INTEGRAL:
            wanted = evaluate(x, {"x": place})
            apart, size = found.first - wanted.value, found.first.abs() + wanted.value.abs()
        else:
            parts = dict(zip(("y", "y'", "y''"), (found.value, found.first, found.second), strict=True))
            known = evaluate(x, {"x": place, **{name: parts[name] for name in _LEAVES[self.kind][1:]}})
            apart, size = known.value, known.size
        each = torch.where((apart == 0) & (size == 0), 0.0, (apart / size).square())
        real = each.isfinite()
        mean = torch.where(real, each, 0.0).sum(dim=1) / real.sum(dim=1)
        return torch.where(real.sum(dim=1) >= _FEWEST, mean, torch.inf)

    def _general(self, y: Tensor, found: Values) -> Tensor:
        """Whether the constants of integration change the solution, each in a way of its own."""
        if self.kind == INTEGRAL:
            return y[:, 0] == y[:, 0]
        moved = [self._solution(y, name) for name in _CONSTANTS[self.kind]]
        slopes = [((one.value - found.value) / _STEP, (one.first - found.first) / _STEP) for one in moved]
        if len(slopes) == 1:
            change, scale = slopes[0][0].abs(), found.value.abs()
        else:
            (a, b), (c, d) = slopes
            change, scale = (a * d - b * c).abs(), (a * d).abs() + (b * c).abs()
        return (change > _INDEPENDENT * scale).any(dim=1)

    @classmethod
    def reference_case(cls) -> ReferenceCase:
        """Of all formulas of one token, x alone has the derivative 1."""
        one, start, minimiser = (padded([tokens_of(tree)], 1) for tree in (1, 3, "x"))
        return ReferenceCase(cls(INTEGRAL, 1, 1), {"x": one}, "y", torch.zeros(1), minimiser, start)

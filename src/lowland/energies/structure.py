"""What an energy knows in closed form as a function of its free variable, and what of it survives scaling and sums.

Each part of a `Structure` is declared once, with its `Rule`. Sums, weights and row selections apply these rules and
name no part.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lowland.errors import UnsupportedError


class Quadratic(NamedTuple):
    """½ uᵀ G u − cᵀ u + k: `gram` G (D, D) is shared by all samples, `linear` c is (B, D), `constant` k is (B,)."""

    gram: Tensor
    linear: Tensor
    constant: Tensor


class Penalty(NamedTuple):
    """The non-smooth part of an energy: `value(u)` → (B,), and `prox(u, step)` = argmin_v step·value(v) + ½‖v − u‖².

    Where it is a sum over coordinates, `coordinate(u_j, step, j)` is the prox of coordinate j alone, for (B,) and (B,).
    Where it is Σ λ_j |u_j|, restricted to the domain, `weights` are the λ_j (D,), or (1,) if they are equal. Giving
    weights also guarantees that the smooth part is non-negative, as a sum of squares is; otherwise a duality gap in
    units of E would have no meaning.
    """

    value: Callable[[Tensor], Tensor]
    prox: Callable[[Tensor, Tensor], Tensor]
    coordinate: Callable[[Tensor, Tensor, int], Tensor] | None = None
    weights: Tensor | None = None


class Analysis(NamedTuple):
    """E(u) = f(u) + g(K u): f = ½‖A u − b‖², K a linear map of u (B, D) to (B, M), and g a norm.

    Attributes:
        map: u ↦ K u.
        near: v (B, M), ρ (B, 1) ↦ u = argmin f(u) + (ρ/2)‖K u − v‖², exactly, and f there (B,).
        norm: v ↦ g(v), (B,).
        dual_norm: p ↦ max {⟨p, v⟩ : g(v) ≤ 1}, (B,).
        prox: v, step (B, 1) ↦ argmin_w step · g(w) + ½‖w − v‖².
    """

    map: Callable[[Tensor], Tensor]
    near: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    norm: Callable[[Tensor], Tensor]
    dual_norm: Callable[[Tensor], Tensor]
    prox: Callable[[Tensor, Tensor], Tensor]


class Continuation(NamedTuple):
    """E(u) = Σ_t c_t(u_t | u_1 … u_t−1) + a constant, for `Tokens`: what each token costs after those before it.

    A memory holds all that the costs of later tokens depend on, the given variables included: a tensor with a prefix in
    each row, or a dictionary of memories. A decoder repeats, reorders and drops its rows.

    Attributes:
        begin: () → the costs of the first token (B, K), and the memory of B empty prefixes; one row where nothing is
            given. Costs are at least 0, +∞ for what cannot follow. A domain with `empty="end"` has K + 1 costs, the
            last of which is that of ending; a sequence that fills all places ends there for nothing.
        extend: the memory of N prefixes, and a token for each, (N,) int64 → the costs of the token after it, (N, K) or
            (N, K + 1), and the memory of the longer prefixes. It changes nothing that it was given.
        whole: whether the costs add up to all of E; in a sum it may be to some of its terms alone.
    """

    begin: Callable[[], tuple[Tensor, Any]]
    extend: Callable[[Any, Tensor], tuple[Tensor, Any]]
    whole: bool = True


_ONE_PENALTY = "A sum can hold one term with a non-smooth penalty in a free variable, of positive weight."


def _keep(part: Any, _: Any) -> Any:
    return part


def _lose(part: Any, *_: Any) -> None:
    return None


class Hold(NamedTuple):
    """Coordinates of u that are held fixed: `held` (B, D) is 1 where the value comes from `known` (B, D)."""

    held: Tensor
    known: Tensor

    def complete(self, u: Tensor) -> Tensor:
        """The u that the energy is computed from, (B, D)."""
        return self.held * self.known + (1 - self.held) * u

    def unless(self, u: Tensor, changed: Tensor, j: int | slice = slice(None)) -> Tensor:
        """`changed` where u is free, and u where it is held, of coordinate j or of all."""
        return torch.where(self.held[:, j] > 0.5, u, changed)


class Rule(NamedTuple):
    """How operations change one part of a `Structure`; None, or the part's default, means that it is lost.

    Attributes:
        times: for w·E, w ≠ 0.
        plus: for E₁ + E₂, from the parts of both; by default None if either lacks it.
        shift: for E + c, with c (B,).
        take: for a subset of samples, given by index.
        clamp: for the same E with some coordinates of u held fixed, from a `Hold`.
        alone: whether `plus` is also called if only one of the two has the part.
    """

    times: Callable[[Any, float], Any]
    plus: Callable[[Any, Any], Any] = _lose
    shift: Callable[[Any, Tensor], Any] = _keep
    take: Callable[[Any, Tensor], Any] = _lose
    clamp: Callable[[Any, Hold], Any] = _lose
    alone: bool = False


def _positive(scale: Callable[[Any, float], Any] = _keep) -> Callable[[Any, float], Any]:
    """Keep a part that locates the minimum only for positive weights: −E has another minimum."""
    return lambda part, weight: scale(part, weight) if weight > 0 else None


def _rows(tensor: Any, rows: Tensor) -> Any:
    """The given rows; a number, or a row shared by all samples, stays as it is."""
    return tensor[rows] if isinstance(tensor, Tensor) and tensor.ndim and len(tensor) > 1 else tensor


_QUADRATIC = Rule(
    times=lambda q, w: Quadratic(*(w * part for part in q)),
    plus=lambda q, r: Quadratic(*(a + b for a, b in zip(q, r, strict=True))),
    shift=lambda q, c: q._replace(constant=q.constant + c),
    take=lambda q, rows: Quadratic(q.gram, _rows(q.linear, rows), _rows(q.constant, rows)),
)


def _penalty_times(penalty: Penalty, weight: float) -> Penalty:
    if weight < 0:
        raise UnsupportedError(_ONE_PENALTY)
    move, weights = penalty.coordinate, penalty.weights
    return Penalty(
        value=lambda u: weight * penalty.value(u),
        prox=lambda u, step: penalty.prox(u, weight * step),
        coordinate=None if move is None else lambda u_j, step, j: move(u_j, weight * step, j),
        weights=None if weights is None else weight * weights,
    )


def _penalty_plus(one: Penalty | None, other: Penalty | None) -> Penalty | None:
    if one is not None and other is not None:
        raise UnsupportedError(_ONE_PENALTY)
    found = one or other
    # The other term may be negative, so the guarantee that comes with the weights is lost.
    return None if found is None else found._replace(weights=None)


def _penalty_clamp(penalty: Penalty, hold: Hold) -> Penalty | None:
    """A sum over coordinates stays one of those that are free; the prox of another penalty would be a different one."""
    move = penalty.coordinate
    if move is None:
        return None
    # Held coordinates differ between samples: `Problem.take` asks such an energy anew, since it has no quadratic.
    return Penalty(
        value=lambda u: penalty.value(hold.complete(u)),
        prox=lambda u, step: hold.unless(u, penalty.prox(u, step)),
        coordinate=lambda u_j, step, j: hold.unless(u_j, move(u_j, step, j), j),
    )


_PENALTY = Rule(
    times=_penalty_times,
    plus=_penalty_plus,
    shift=lambda penalty, _: penalty._replace(weights=None),
    take=_keep,
    clamp=_penalty_clamp,
    alone=True,
)


def _bounded(bound: Any) -> Any:
    return bound() if callable(bound) else bound


_LIPSCHITZ = Rule(
    times=lambda bound, w: lambda: abs(w) * _bounded(bound),
    plus=lambda one, other: lambda: _bounded(one) + _bounded(other),
    take=lambda bound, rows: (lambda: _rows(bound(), rows)) if callable(bound) else _rows(bound, rows),
    clamp=_keep,
)

_VALUES = Rule(
    times=lambda values, w: lambda *u: w * values(*u),
    plus=lambda one, other: lambda *u: one(*u) + other(*u),
    shift=lambda values, c: lambda *u: values(*u) + c[:, None],
)


def _second(function: Callable[..., Any], change: Callable[[Tensor], Tensor]) -> Callable[..., Any]:
    """The function with `change` applied to its second result, an energy (B,)."""

    def changed(*given: Tensor) -> tuple[Tensor, Tensor]:
        first, energy = function(*given)
        return first, change(energy)

    return changed


_ARGMIN = Rule(
    times=_positive(lambda argmin, w: _second(argmin, lambda energy: w * energy)),
    shift=lambda argmin, c: _second(argmin, lambda energy: energy + c),
)

_SMOOTH_PROX = Rule(
    times=_positive(lambda prox, w: _second(lambda v, rho: prox(v, rho / w), lambda energy: w * energy)),
    shift=lambda prox, c: _second(prox, lambda energy: energy + c),
)


def _analysis_times(part: Analysis, weight: float) -> Analysis:
    return Analysis(
        map=part.map,
        near=_second(lambda v, rho: part.near(v, rho / weight), lambda energy: weight * energy),
        norm=lambda v: weight * part.norm(v),
        dual_norm=lambda p: part.dual_norm(p) / weight,
        prox=lambda v, step: part.prox(v, weight * step),
    )


# The gap that it certifies is one of E as it is, without a constant.
_ANALYSIS = Rule(times=_positive(_analysis_times), shift=_lose)

_POINT = Rule(times=_positive())


def _continuation_times(part: Continuation, weight: float) -> Continuation:
    def scaled(costs: Tensor, memory: Any) -> tuple[Tensor, Any]:
        return weight * costs, memory

    return part._replace(
        begin=lambda: scaled(*part.begin()), extend=lambda memory, token: scaled(*part.extend(memory, token))
    )


def _continuation_plus(one: Continuation | None, other: Continuation | None) -> Continuation | None:
    """Of both together, or of one as a part of the sum: its sequences are then proposals."""
    if one is None or other is None:
        found = one or other
        return None if found is None else found._replace(whole=False)

    def both(first: tuple[Tensor, Any], second: tuple[Tensor, Any]) -> tuple[Tensor, Any]:
        return first[0] + second[0], {"one": first[1], "other": second[1]}

    return Continuation(
        begin=lambda: both(one.begin(), other.begin()),
        extend=lambda memory, token: both(one.extend(memory["one"], token), other.extend(memory["other"], token)),
        whole=one.whole and other.whole,
    )


_CONTINUATION = Rule(times=_positive(_continuation_times), plus=_continuation_plus, alone=True)


def _blocks_plus(one: tuple[Tensor, ...], other: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    same = len(one) == len(other) and all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    return one if same else ()


_BLOCKS = Rule(times=_keep, plus=_blocks_plus, take=_keep)

_CONVEX = Rule(times=lambda convex, w: convex and w > 0, plus=lambda a, b: a and b, take=_keep, clamp=_keep)


@dataclass(frozen=True)
class Structure:
    """What an energy knows in closed form as a function of its free variable u (B, D), all else given.

    Attributes:
        quadratic: the smooth part in closed form.
        penalty: the non-smooth part; the smooth part is then E − penalty.
        lipschitz: bound on the largest eigenvalue of the Hessian of the smooth part, one number or (B,); or a function
            that computes it, if that is too expensive to do for solvers that do not need it. Read it with `bound()`.
        smooth_prox: v (B, D), ρ (B, 1) → u − v (B, D) for u = argmin f(u) + (ρ/2)‖u − v‖², and f there (B,), f being
            the smooth part. A quadratic always has it; see `Problem.smooth_prox`.
        analysis: least squares and a norm of K u, with all that splitting needs; see `Analysis`.
        minimiser: () → (B, D), the exact minimiser.
        warm_start: () → (B, D), a start near the minimum, for instance from an encoder.
        table: () → (B, K), the energies of all K elements of a finite domain, in the order of `Domain.elements`.
        argmin: () → (B,) int64 and (B,), the index of the minimum-energy element of a finite domain, and that energy,
            if this is cheaper than the table. The energy's `statistics` then take the index for z.
        candidates: u (B, N, D) → (B, N), the energies of N points per sample, without repeating the given variables N
            times.
        blocks: sets of coordinates of u, (n,) int64 each, whose units are independent given the rest: binary units, or
            one-hot groups with all their coordinates side by side. E is affine in each set, so that the log-odds of a
            unit are −∂E/∂u. For Gibbs sampling and mean field.
        continuation: the costs of one token after another, for decoders of a domain of `Tokens`.
        convex: E including the penalty is convex in u, and so is its domain: a stationary point is a global minimum.

    >>> import torch
    >>> bowl = Structure(Quadratic(torch.eye(1), torch.zeros(1, 1), torch.zeros(1)), lipschitz=1.0, convex=True)
    >>> three = bowl + bowl.times(2.0)
    >>> three.quadratic.gram, three.bound(), three.convex
    (tensor([[3.]]), 3.0, True)
    """

    quadratic: Quadratic | None = field(default=None, metadata={"rule": _QUADRATIC})
    penalty: Penalty | None = field(default=None, metadata={"rule": _PENALTY})
    lipschitz: float | Tensor | Callable[[], Tensor] | None = field(default=None, metadata={"rule": _LIPSCHITZ})
    smooth_prox: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = field(
        default=None, metadata={"rule": _SMOOTH_PROX}
    )
    analysis: Analysis | None = field(default=None, metadata={"rule": _ANALYSIS})
    minimiser: Callable[[], Tensor] | None = field(default=None, metadata={"rule": _POINT})
    warm_start: Callable[[], Tensor] | None = field(default=None, metadata={"rule": _POINT})
    table: Callable[[], Tensor] | None = field(default=None, metadata={"rule": _VALUES})
    argmin: Callable[[], tuple[Tensor, Tensor]] | None = field(default=None, metadata={"rule": _ARGMIN})
    candidates: Callable[[Tensor], Tensor] | None = field(default=None, metadata={"rule": _VALUES})
    blocks: tuple[Tensor, ...] = field(default=(), metadata={"rule": _BLOCKS})
    continuation: Continuation | None = field(default=None, metadata={"rule": _CONTINUATION})
    convex: bool = field(default=False, metadata={"rule": _CONVEX})

    def bound(self) -> float | Tensor | None:
        """The number behind `lipschitz`."""
        return _bounded(self.lipschitz)

    def times(self, weight: float) -> Structure:
        """The structure of w·E, w ≠ 0."""
        return self if weight == 1 else self._each(lambda rule, part: rule.times(part, weight))

    def __add__(self, other: Structure) -> Structure:
        """The structure of E₁ + E₂, both as functions of the same u."""

        def sum_of(name: str, rule: Rule) -> Any:
            pair = getattr(self, name), getattr(other, name)
            return rule.plus(*pair) if rule.alone or not any(part is None for part in pair) else None

        return _structure(sum_of)

    def shift(self, constant: Tensor) -> Structure:
        """The structure of E + c, with c (B,) independent of u."""
        return self._each(lambda rule, part: rule.shift(part, constant))

    def take(self, rows: Tensor) -> Structure:
        """The structure for a subset of samples, without recomputing it."""
        return self._each(lambda rule, part: rule.take(part, rows))

    def clamp(self, hold: Hold) -> Structure:
        """What is known of E where some coordinates of u are held fixed."""
        found = self._each(lambda rule, part: rule.clamp(part, hold))
        # The bound is one of the smooth part, which is all of E where no penalty is known.
        return replace(found, lipschitz=None) if self.penalty is not None and found.penalty is None else found

    def _each(self, change: Callable[[Rule, Any], Any]) -> Structure:
        return _structure(lambda name, rule: None if getattr(self, name) is None else change(rule, getattr(self, name)))


def _structure(part: Callable[[str, Rule], Any]) -> Structure:
    """Build a structure from a function of name and rule that returns each part, or None for no part."""
    found = {each.name: part(each.name, each.metadata["rule"]) for each in fields(Structure)}
    return Structure(**{name: value for name, value in found.items() if value is not None})

"""Batches: x, y and z are tensors, or small dictionaries of tensors, whose first axis is the sample.

Shape letters used in all files: B samples, D flat size of the free variable, K values of a finite variable, N
candidates or draws for each sample, T steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor

from lowland.errors import DomainError, ShapeError

Value: TypeAlias = Tensor | Mapping[str, Tensor]
"""A variable of an energy: one tensor, or a small dictionary of tensors, each with the batch as first axis."""


def tree_map(function: Callable[[Tensor], Tensor], value: Any) -> Any:
    """Apply a function to a tensor, or to each tensor of a dictionary; None stays None.

    >>> tree_map(lambda t: t + 1, {"a": torch.zeros(1)})
    {'a': tensor([1.])}
    """
    if value is None:
        return None
    if isinstance(value, Tensor):
        return function(value)
    return {name: tree_map(function, part) for name, part in value.items()}


def tree_leaves(value: Any, name: str = "The value") -> list[Tensor]:
    """All tensors of a value, in the order of its keys; anything else raises a ShapeError that names the variable."""
    if value is None:
        return []
    if isinstance(value, Tensor):
        return [value]
    if not isinstance(value, Mapping):
        raise ShapeError(f"{name} must be a tensor or a dictionary of tensors, but it is a {type(value).__name__}.")
    return [leaf for part in value.values() for leaf in tree_leaves(part, name)]


def take(value: Any, rows: Tensor) -> Any:
    """The given rows of every tensor of a value."""
    return tree_map(lambda tensor: tensor.index_select(0, rows), value)


def spaced(value: Any, most: int) -> Any:
    """At most so many rows of every tensor of a value, evenly from all.

    >>> spaced({"x": torch.arange(10)}, 4)
    {'x': tensor([0, 3, 6, 9])}
    """
    leaf = tree_leaves(value)[0]
    if most >= len(leaf):
        return value
    return take(value, torch.linspace(0, len(leaf) - 1, most).long().to(leaf.device))


def repeat_rows(value: Any, times: int) -> Any:
    """Each row `times` times in a row: (B, ...) → (B · times, ...)."""
    return tree_map(lambda tensor: tensor.repeat_interleave(times, dim=0), value)


def batch_size(**values: Any) -> int:
    """The common length of the first axis; `values` are named so that an error can say who is wrong.

    >>> batch_size(x=torch.zeros(3, 2), y=None)
    3

    Raises:
        ShapeError: if nothing was given, a tensor has no batch axis, or the lengths differ.
    """
    sizes: dict[str, int] = {}
    for name, value in values.items():
        for leaf in tree_leaves(value, name):
            if leaf.ndim == 0:
                raise ShapeError(f"{name} has no batch axis: give a tensor of shape (B, ...), for one sample (1, ...).")
            if sizes.setdefault(name, leaf.shape[0]) != leaf.shape[0]:
                raise ShapeError(f"The parts of {name} have different batch sizes: {sizes[name]} and {leaf.shape[0]}.")
    if not sizes:
        raise ShapeError("No variable was given: an energy needs at least one of x, y and z.")
    if len(set(sizes.values())) > 1:
        raise ShapeError(f"Batch sizes differ: {', '.join(f'{name} has {size}' for name, size in sizes.items())}.")
    return next(iter(sizes.values()))


def check_plain(leaf: Tensor, name: str) -> None:
    """Raise a ShapeError unless the tensor is a plain array of numbers, as all that follows takes for granted."""
    for other, what, way in (
        (leaf.device.type == "meta", "on the meta device, without values", "load or compute its values first"),
        (leaf.is_quantized, "quantised", "convert with .dequantize()"),
        (leaf.is_nested, "nested", "pad it to one shape, or give one batch for each shape"),
        (not leaf.is_nested and leaf.layout != torch.strided, f"stored as {leaf.layout}", "convert with .to_dense()"),
        (leaf.is_complex(), "complex", "give real and imaginary part as two numbers, by torch.view_as_real"),
    ):
        if other:
            raise ShapeError(f"{name} is {what}, but a plain tensor of real numbers is needed: {way}.")


def check_finite(value: Any, name: str) -> None:
    """Raise a DomainError that names the first sample of `value` with a NaN or an infinity; see also `check_plain`."""
    for leaf in tree_leaves(value, name):
        check_plain(leaf, name)
        if not leaf.is_floating_point() or not leaf.numel():
            continue
        # NaN passes through both, and no table as large as the data is made.
        if not bool(torch.isfinite(torch.stack(torch.aminmax(leaf))).all()):
            bad = (~torch.isfinite(leaf)).reshape(leaf.shape[0], -1).any(dim=1)
            row = int(bad.nonzero()[0])
            raise DomainError(
                f"{name} contains NaN or infinity in {int(bad.sum())} of {leaf.shape[0]} samples, the first is sample "
                f"{row}. Clean the data, for example with torch.nan_to_num, or drop those samples."
            )


_GOLDEN = -0x61C8864680B583EB  # 2^64 / golden ratio as a signed number: the stride of SplitMix64
_AHEAD = 64


def soft_minimum(values: Tensor, beta: float) -> Tensor:
    """−1/β log mean exp(−β v) over the last axis: the least v at β = ∞, the mean at 0, the greatest at −∞.

    With c the least v (for β < 0 the greatest) it is c − 1/β log1p mean expm1(−β (v − c)), which neither overflows nor
    loses digits to the division by a small β. Where |β| (v − c) is below the root of the rounding error ε it is the
    series, mean − β/2 · variance, whose next term is below ε (v − c).

    >>> soft_minimum(torch.tensor([1.0, 3.0]), -1e-30), soft_minimum(torch.tensor([1.0, 3.0]), torch.inf)
    (tensor(2.), tensor(1.))
    """
    if beta == 0:
        return values.mean(dim=-1)
    extreme = values.amin(dim=-1) if beta > 0 else values.amax(dim=-1)
    if math.isinf(beta):
        return extreme
    known = torch.finfo(values.dtype)
    # The value does not depend on c, so that c needs no derivative; an infinite one would make NaN of ∞ − ∞.
    centre = torch.where(extreme.isfinite(), extreme, 0).detach()
    away = values - centre[..., None]
    scale = math.copysign(min(max(abs(beta), known.tiny), known.max), beta)
    below = torch.expm1(-scale * away).mean(dim=-1)
    # Near −1 the sum itself has more digits than what it is short of one.
    little = torch.exp(-scale * away).mean(dim=-1).log()
    full = -torch.where(below > -0.5, torch.log1p(below.clamp_min(-0.5)), little) / scale
    small = abs(beta) * away.detach().abs().amax(dim=-1) < known.eps**0.5
    near = torch.where(small[..., None], away, 0)
    mean = near.mean(dim=-1)
    apart = near - mean[..., None]
    series = mean - 0.5 * (apart * (beta * apart)).mean(dim=-1)
    return centre + torch.where(small, series, full)


def _mix(counter: Tensor) -> Tensor:
    """The 64-bit finaliser of SplitMix64 (Steele, Lea & Flood, OOPSLA 2014), in wrapping int64 arithmetic, in place."""
    counter.bitwise_xor_((counter >> 30).bitwise_and_(0x3FFFFFFFF)).mul_(-0x40A7B892E31B1A47)
    counter.bitwise_xor_((counter >> 27).bitwise_and_(0x1FFFFFFFFF)).mul_(-0x6B2FB644ECCEEE15)
    return counter.bitwise_xor_((counter >> 31).bitwise_and_(0x1FFFFFFFF))


class PerSampleRNG:
    """Independent streams of random numbers, one for each row, so that a batch draws what its rows would draw alone.

    The n-th number of stream r is a hash of (seed, r, n): it depends neither on the batch around it nor on which
    rows have already left. `take` keeps the streams of the rows that go on. Small draws are made ahead, up to 64
    at a time.

    Args:
        seed: common seed, for instance drawn from a `torch.Generator` (see `from_generator`).
        sample_ids: (B,) int64, the stream of each row.
        dtype: of the numbers drawn.

    >>> together = PerSampleRNG(0, torch.arange(3)).normal(2)
    >>> alone = PerSampleRNG(0, torch.tensor([1])).normal(2)
    >>> torch.equal(together[1], alone[0])
    True
    """

    def __init__(self, seed: int, sample_ids: Tensor, dtype: torch.dtype = torch.float32) -> None:
        self.seed, self.sample_ids, self.dtype = seed, sample_ids, dtype
        self._drawn = 0
        self._keys = _mix(sample_ids.to(torch.int64) * _GOLDEN + _mix(torch.full_like(sample_ids, seed)))
        self._ahead: dict[tuple[str, tuple[int, ...]], tuple[Tensor, list[Tensor]]] = {}

    @classmethod
    def from_generator(
        cls, generator: torch.Generator | None, sample_ids: Tensor, dtype: torch.dtype = torch.float32
    ) -> PerSampleRNG:
        """Seeded by one draw from the generator; without one, by seed 0, so that results repeat."""
        seed = 0 if generator is None else int(torch.randint(2**62, (), generator=generator, device=generator.device))
        return cls(seed, sample_ids, dtype)

    def take(self, rows: Tensor) -> PerSampleRNG:
        """The streams of some rows, where they stand now."""
        chosen = PerSampleRNG(self.seed, self.sample_ids[rows], self.dtype)
        chosen._drawn = self._drawn
        for kind, (block, left) in self._ahead.items():
            part = block[:, rows]
            chosen._ahead[kind] = part, list(part.unbind())[::-1][: len(left)]
        return chosen

    def spawn(self) -> int:
        """A seed for the random numbers of a solve inside a solve, fresh at each call and the same for every row."""
        self._drawn += 1
        return int(_mix(torch.tensor(self.seed) + torch.tensor(self._drawn) * _GOLDEN))

    def uniform(self, *shape: int) -> Tensor:
        """(B, *shape), uniform on the open interval (0, 1)."""
        return self._draw("uniform", shape)

    def normal(self, *shape: int) -> Tensor:
        """(B, *shape), standard normal."""
        return self._draw("normal", shape)

    def _draw(self, kind: str, shape: tuple[int, ...]) -> Tensor:
        block, left = self._ahead.get((kind, shape), (None, []))
        if not left:
            # Short chains should not pay for numbers that they never use, so blocks grow from one to the largest.
            count, wanted = torch.Size(shape).numel(), 1 if block is None else 4 * block.shape[0]
            times = max(1, min(_AHEAD, wanted, 32768 // max(count, 1)))
            numbers = self._uniform(times * count) if kind == "uniform" else self._normal(times * count)
            block = numbers.reshape(-1, times, count).transpose(0, 1).contiguous().reshape(times, -1, *shape)
            left = list(block.unbind())[::-1]  # the next is popped from the end
            self._ahead[kind, shape] = block, left
        return left.pop()

    def _bits(self, count: int) -> Tensor:
        counters = torch.arange(self._drawn + 1, self._drawn + count + 1, device=self.sample_ids.device)
        self._drawn += count
        return _mix(self._keys[:, None] + counters.mul_(_GOLDEN))

    def _uniform(self, count: int) -> Tensor:
        uniform = (((self._bits(count) >> 11) & 0x1FFFFFFFFFFFFF).to(torch.float64) + 0.5) * 2.0**-53
        tiny = torch.finfo(self.dtype).eps / 4
        return uniform.to(self.dtype).clamp_(tiny, 1 - 2 * tiny)

    def _normal(self, count: int) -> Tensor:
        """By the transform of Box and Muller (1958): two numbers from one 64-bit hash."""
        bits = self._bits((count + 1) // 2)
        low = ((bits & 0xFFFFFFFF).to(self.dtype) + 0.5) * 2.0**-32
        angle = ((bits >> 32) & 0xFFFFFFFF).to(self.dtype) * (2.0**-32 * 2 * torch.pi)
        radius = torch.sqrt(-2 * torch.log(low.clamp_max(1.0)))
        return torch.cat([radius * torch.cos(angle), radius * torch.sin(angle)], dim=1)[:, :count]

"""Rounding of weights and activations to a few levels, with gradients that pass straight through (system H1).

Shape letters: R rows of a weight (filters, or pairs of maps of a table), C output channels, each of one or more rows.
"""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from lowland.errors import OptionError

Bits: TypeAlias = int | Literal["ternary"]
MOST_BITS = 8
_TRIED, _LEAST = 80, 0.02
"""Steps that calibration tries for each channel, and the least of them relative to the one that clips nothing."""


class Precision(NamedTuple):
    """Bits of weights and of activations: 1 to 8, "ternary" for weights of −1, 0 and 1, None for floating point.

    >>> ANNA
    Precision(weights=6, activations=3)
    """

    weights: Bits | None
    activations: int | None


ANNA = Precision(6, 3)
"""Weights of 6 bits and activations of 3, as on the chip ANNA (1992)."""
NET32K = Precision("ternary", 3)
"""Ternary weights, as on the chip Net32k (1991), whose talks give no bits of activations: those are of ANNA."""


def check_bits(name: str, bits: Any, ternary: bool = False) -> None:
    """Raise an OptionError unless `bits` is a whole number from 1 to 8, None or, if that is allowed, "ternary"."""
    known = bits is None or (ternary and bits == "ternary")
    if not known and (isinstance(bits, bool) or not isinstance(bits, int) or not 1 <= bits <= MOST_BITS):
        other = ", 'ternary'" if ternary else ""
        raise OptionError(
            f"{name} must be a whole number of bits from 1 to {MOST_BITS}{other} or None for floating point, but it is "
            f"{repr(bits)[:80]}."
        )


def levels_of(bits: Bits, signed: bool = True) -> tuple[int, int]:
    """(−Q_N, Q_P), the least and the largest level of so many bits. One signed bit has −1 and 1, and no 0.

    >>> levels_of(6), levels_of("ternary"), levels_of(3, signed=False), levels_of(1)
    ((-32, 31), (-1, 1), (0, 7), (-1, 1))
    """
    if bits == "ternary" or (bits == 1 and signed):
        return -1, 1
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)


def rounded(u: Tensor, least: int, most: int, signs: bool = False) -> Tensor:
    """The levels round(clip(u, least, most)) of u in units of the step; with `signs` −1 where u < 0, and 1 elsewhere.

    A half goes to the even neighbour, in torch and in ONNX.
    """
    return torch.where(u < 0, -1.0, 1.0).to(u) if signs else u.clamp(least, most).round()


class _Straight(torch.autograd.Function):
    """S · rounded(u / s), with the derivatives of Esser et al. (2020), equations 3 and 5."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, step: Tensor, least: int, most: int, signs: bool, scale: float) -> Tensor:
        ctx.save_for_backward(u, step)
        ctx.rest = least, most, signs, scale
        return step * rounded(u / step, least, most, signs)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        u, step = ctx.saved_tensors
        least, most, signs, scale = ctx.rest
        v = u / step
        inside = (v > least) & (v < most)
        levels = rounded(v, least, most, signs)
        slope = levels if signs else torch.where(inside, levels - v, levels)
        return gradient * inside, scale * (gradient * slope).sum_to_size(step.shape), None, None, None, None


def straight(u: Tensor, step: Tensor, least: int, most: int, signs: bool = False, scale: float = 1.0) -> Tensor:
    """Q = s · round(clip(u / s, −Q_N, Q_P)), whose derivative by u is 1 where −Q_N < u / s < Q_P, and 0 elsewhere.

    The derivative by s is round(u / s) − u / s inside, −Q_N and Q_P outside, times `scale`. With `signs` the value is
    s · sign(u), with the derivative by u of s · clip(u / s, −1, 1). Source: Esser, McKinstry, Bablani, Appuswamy &
    Modha, "Learned step size quantization" (2020), equations 1 to 5.

    Args:
        u: numbers of any shape.
        step: s > 0, of a shape that broadcasts to that of u.
        least, most: −Q_N and Q_P.
        scale: factor of the gradient of s; the paper's section 2.2 takes 1 / √(n Q_P).

    >>> straight(torch.tensor([-3.0, 0.3, 0.6, 9.0]), torch.tensor(0.5), -2, 1)
    tensor([-1.0000,  0.5000,  0.5000,  0.5000])
    """
    if torch.is_grad_enabled() and not torch.compiler.is_compiling():
        return _Straight.apply(u, step, least, most, signs, scale)
    return step * rounded(u / step, least, most, signs)


@torch.no_grad()
def best_step(rows: Tensor, least: int, most: int, signs: bool = False) -> Tensor:
    """For each row the step s with the least squared error ‖u − s · rounded(u / s)‖² among 80, (R,).

    They are spaced evenly by ratio, from 0.02 to 1 times the step that clips nothing. For signs it is mean |u|, which
    is the optimum: Rastegari, Ordonez, Redmon & Farhadi, "XNOR-Net" (2016), equation 6. A row of zeros has step 1.

    Args:
        rows: u (R, n).

    >>> best_step(torch.tensor([[0.5, -1.0, 1.5], [0.0, 0.0, 0.0]]), -4, 3)
    tensor([0.5000, 1.0000])
    """
    if signs:
        found = rows.abs().mean(dim=1)
        return torch.where(found > 0, found, torch.ones_like(found))
    whole = torch.maximum(rows.amax(dim=1) / most, rows.amin(dim=1) / least if least else rows.new_zeros(()))
    whole = torch.where(whole > 0, whole, torch.ones_like(whole))
    best, error = whole, rows.new_full((len(rows),), torch.inf)
    for part in torch.logspace(0, math.log10(_LEAST), _TRIED, dtype=rows.dtype, device=rows.device):
        step = (part * whole)[:, None]
        found = (rows - step * rounded(rows / step, least, most)).square().sum(dim=1)
        best, error = torch.where(found < error, step[:, 0], best), torch.minimum(found, error)
    return best


class Quantiser(nn.Module):
    """Q(u) = s · round(clip(u / s, −Q_N, Q_P)) with trained steps s, one for all numbers or one for each channel.

    The magnitude of the parameter is the step, so that no training can turn it negative. The source is that of
    `straight`; ternary levels are those of Li, Zhang & Liu, "Ternary weight networks" (2016), with a trained step.

    Args:
        bits: 1 to 8, or "ternary".
        signed: whether levels are on both sides of 0.
        channels: number of steps, along the first axis of u; 1 for one step.
        owners: (R,), the channel of each row of u; by default row r has channel r.

    >>> quantiser = Quantiser(2)
    >>> quantiser.calibrate(torch.tensor([-0.6, 0.1, 0.3]))
    >>> quantiser(torch.tensor([-0.6, 0.1, 0.3])).detach()
    tensor([-0.6000,  0.0000,  0.3000])
    """

    owners: Tensor | None
    weighs = False
    """Whether u is a weight, which has no axis of samples."""

    def __init__(self, bits: Bits, signed: bool = True, channels: int = 1, owners: Tensor | None = None) -> None:
        super().__init__()
        self.bits: Bits = bits
        self.signed, self.channels = signed, channels
        self.least, self.most = levels_of(bits, signed)
        self.signs = bits == 1 and signed
        self.step = nn.Parameter(torch.ones(channels))
        self.register_buffer("owners", owners, persistent=False)

    def scales(self, u: Tensor) -> Tensor:
        """The step of each channel, (C,)."""
        return self.step.abs() + torch.finfo(self.step.dtype).tiny

    def forward(self, u: Tensor) -> Tensor:
        """The same shape. The gradient of s is that of Esser et al., divided by √(n Q_P), n the numbers of a step."""
        # For activations n is that of one sample, as in the paper, so that a step does not depend on the batch.
        count = u.numel() / self.channels if self.weighs else math.prod(u.shape[1:])
        scale = (count * self.most) ** -0.5
        return straight(u, self.spread(self.scales(u), u), self.least, self.most, self.signs, scale)

    @torch.no_grad()
    def levels(self, u: Tensor) -> Tensor:
        """The whole numbers that stand for u: int8, or int16 where they go up to 255."""
        found = rounded(u if self.signs else u / self.spread(self.scales(u), u), self.least, self.most, self.signs)
        return found.to(torch.int8 if self.most < 2**7 else torch.int16)

    @torch.no_grad()
    def calibrate(self, u: Tensor) -> None:
        """Set the steps to the best ones for u by `best_step`."""
        if self.channels == 1:
            self.step.copy_(best_step(u.reshape(1, -1), self.least, self.most, self.signs))
        elif self.owners is None:
            self.step.copy_(best_step(u.flatten(1), self.least, self.most, self.signs))
        else:
            for channel in range(self.channels):
                self.step[channel] = best_step(u[self.owners == channel].reshape(1, -1), self.least, self.most)[0]

    def spread(self, scales: Tensor, u: Tensor) -> Tensor:
        """Numbers of channels in a shape that broadcasts to that of u."""
        if self.channels == 1:
            return scales
        return (scales if self.owners is None else scales[self.owners]).reshape(-1, *(1,) * (u.ndim - 1))

    def extra_repr(self) -> str:
        return f"bits={self.bits!r}, signed={self.signed}, channels={self.channels}"


class WeightQuantiser(Quantiser):
    """A `Quantiser` of weights. One bit is s · sign(w) with s = mean |w| of the channel, computed anew at each call.

    Then the derivative of w passes through s as well, and there is no trained step. Source: Rastegari, Ordonez, Redmon
    & Farhadi, "XNOR-Net: ImageNet classification using binary convolutional neural networks" (2016), equations 6 and 7.

    >>> WeightQuantiser(1, channels=2)(torch.tensor([[0.5, -1.5], [2.0, 0.0]])).detach()
    tensor([[ 1., -1.],
            [ 1.,  1.]])
    """

    weighs = True

    def __init__(self, bits: Bits, channels: int = 1, owners: Tensor | None = None) -> None:
        super().__init__(bits, True, channels, owners)
        if self.signs:
            self.register_parameter("step", None)

    def forward(self, u: Tensor) -> Tensor:
        if not self.signs:
            return super().forward(u)
        # Weights are seldom beyond ±1, where the derivative of a sign is cut off.
        return self.spread(self.scales(u), u) * straight(u, u.new_ones(1), -1, 1, signs=True)

    def scales(self, u: Tensor) -> Tensor:
        if not self.signs:
            return super().scales(u)
        rows = u.abs().flatten(1).mean(dim=1)
        if self.channels == 1:
            return rows.mean(dim=0, keepdim=True)
        if self.owners is None:
            return rows
        return rows.new_zeros(self.channels).index_add(0, self.owners, rows) / self.owners.bincount().to(rows)

    def calibrate(self, u: Tensor) -> None:
        if not self.signs:
            super().calibrate(u)


def precision_of(text: str) -> Precision:
    """The precision that a text names: "6/3" for bits of weights and activations, or the name of a chip.

    Raises:
        OptionError: for another text.

    >>> precision_of("ternary/8"), precision_of("anna") == precision_of("6/3") == ANNA
    (Precision(weights='ternary', activations=8), True)
    """
    named = {"anna": ANNA, "net32k": NET32K}
    if text.lower() in named:
        return named[text.lower()]
    weights, slash, activations = text.partition("/")
    if not slash or not activations.isdigit() or not (weights.isdigit() or weights == "ternary"):
        raise OptionError(
            f"A precision is bits of weights and activations such as 6/3 or ternary/3, anna or net32k, not {text!r}."
        )
    found = Precision("ternary" if weights == "ternary" else int(weights), int(activations))
    check_bits("weights", found.weights, ternary=True)
    check_bits("activations", found.activations)
    return found

"""Encoders of few bits within a limit of loss: rounded layer by layer, and trained on only where that is needed.

Shape letters: N samples, D size of a representation.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.errors import OptionError, UnsupportedError
from lowland.evaluation.neighbours import nearest_neighbours
from lowland.evaluation.probe import Probe, probe
from lowland.evaluation.representations import represent
from lowland.nn.layers import evaluating
from lowland.nn.quantised import quantised, quantised_layers, settings_of
from lowland.nn.quantisers import MOST_BITS
from lowland.training.schedules import falling

M = TypeVar("M", bound=nn.Module)
_SENSED, _CALIBRATED = 256, 512
"""Samples for the sensitivity of a layer, and for the steps of activations, at most."""
_LOOKS = 5
"""How often training looks at the validation samples."""


class Part(NamedTuple):
    """Samples (N, *shape) and, where they are known, labels (N,) int64."""

    samples: Tensor
    labels: Tensor | None = None


class Shrunk(NamedTuple):
    """What `shrink` found.

    Attributes:
        encoder: the copy of few bits.
        bits: of the weights of each layer.
        sensitivity: of each layer, the share of the variance of the codes that is lost if it alone has the fewest bits.
        chosen: loss on the validation samples, by which bits and training steps were chosen.
        lost: loss on the test samples, which had no say in anything.
        agreement: share of the test samples whose nearest neighbour among the calibration samples stays the same.
        steps: of training; 0 if rounding alone was within the limit.
        tested: test samples.
    """

    encoder: nn.Module
    bits: dict[str, int]
    sensitivity: dict[str, float]
    chosen: float
    lost: float
    agreement: float
    steps: int
    tested: int


class Loss:
    """What an encoder of few bits loses on samples, compared with the one in floating point.

    With labels, the points of accuracy that a linear probe loses whose input comes from the small encoder instead: it
    is trained on the codes of the float encoder, and not again. Without, 100 ‖h̃ − h‖² / ‖h − mean h‖² over all codes
    h, the percentage of their variance.

    Args:
        encoder: in floating point.
        calibration, validation: on which the probe is trained, and its weight decay is chosen.

    >>> net = nn.Linear(3, 2)
    >>> part = Part(torch.rand(20, 3, generator=torch.Generator().manual_seed(0)))
    >>> loss = Loss(net, part, part)
    >>> loss(net, part), 0 < loss(quantised(net, 4, None), part) < 50
    (0.0, True)
    """

    def __init__(self, encoder: nn.Module, calibration: Part, validation: Part) -> None:
        self.encoder = encoder
        self.probe: Probe | None = None
        if calibration.labels is not None and validation.labels is not None:
            first, second = represent(encoder, calibration.samples), represent(encoder, validation.samples)
            known, seen = calibration.labels >= 0, validation.labels >= 0
            self.probe = probe((first[known], calibration.labels[known]), (second[seen], validation.labels[seen]))

    def __call__(self, small: nn.Module, part: Part) -> float:
        whole, found = represent(self.encoder, part.samples), represent(small, part.samples)
        if self.probe is None or part.labels is None:
            return 100 * _unexplained(found, whole)
        known = part.labels >= 0
        before, after = (self.probe.right((codes[known], part.labels[known])) for codes in (whole, found))
        return 100 * (before - after)


def shrink(
    encoder: nn.Module,
    calibration: Part,
    validation: Part,
    test: Part,
    bits: int = 6,
    limit: float = 0.5,
    most: int = MOST_BITS,
    activations: int | None = None,
    steps: int = 300,
    rate: float = 5e-4,
    batch: int = 32,
    seed: int = 0,
    watch: Callable[[str], None] = lambda text: None,
) -> Shrunk:
    """A copy of an encoder with weights of few bits that loses no more than a limit on the validation samples.

    1. All layers are rounded to `bits` after training (`quantised`).
    2. While the loss is above the limit, the layer gets one more bit that saves the most for the bytes it takes: its
       error of the codes, alone, which falls by 4 with each bit, divided by its number of weights. Of this chain of
       copies, each with one bit more, halving finds one within the limit whose neighbour with fewer bits is not.
    3. If even `most` bits everywhere lose more, that copy is trained on, with straight-through gradients, to give the
       codes of the float encoder on the calibration samples: mean ‖h̃ − h‖² (distillation). Batch normalisation keeps
       its statistics. The weights with the least loss on the validation samples are kept, of some along the way.

    The test samples are used once, at the end: whether the limit holds there is for the caller to say. It may not,
    since validation samples are few.

    Args:
        encoder: (B, *shape) → (B, D), not quantised; it is not changed.
        calibration, validation, test: disjoint samples.
        bits: of the weights at first, 1 to 8.
        limit: the largest loss, in the unit of `Loss`.
        most: bits of a weight at most.
        activations: bits of the inputs of layers, 1 to 8, or None for floating point.
        steps: of training at most; 0 for none.
        rate, batch: of Adam, at first, falling to 0; samples in a step.
        seed: of the order of training.
        watch: called with a line of progress.

    Raises:
        OptionError: for bits outside 1 … 8, most < bits, a negative limit, or a part of fewer than two samples.
        UnsupportedError: for an encoder that is quantised, or has a layer that cannot be.

    >>> from lowland.nn.encoders.perceptron import Perceptron
    >>> draw = torch.Generator().manual_seed(0)
    >>> parts = [Part(torch.rand(40, 6, generator=draw)) for _ in range(3)]
    >>> found = shrink(Perceptron((6,), hidden=(32,), size=8, generator=draw), *parts, bits=3, limit=0.5)
    >>> found.chosen <= 0.5, 3 <= min(found.bits.values()), found.steps
    (True, True, 0)
    """
    check_limits(bits, limit, most, activations, steps)
    if min(len(part.samples) for part in (calibration, validation, test)) < 2:
        raise OptionError("Calibration, validation and test need at least two samples each.")
    if settings_of(encoder) is not None:
        raise UnsupportedError("This encoder has few bits already: start from the one in floating point.")
    loss = Loss(encoder, calibration, validation)
    known = calibration.samples[:_CALIBRATED]

    def rounded(each: Mapping[str, int]) -> nn.Module:
        return quantised(encoder, each, activations, x=known)

    whole = quantised(encoder, bits, None)
    sizes = {name: layer.weight.numel() for name, layer in quantised_layers(whole)}
    sensitivity = _sensitivity(encoder, whole, calibration.samples[:_SENSED], watch)
    chain = bit_chain(sensitivity, sizes, bits, most)

    def tried(place: int) -> tuple[nn.Module, float]:
        watch(f"bits: a mean of {mean_bits(chain[place], sizes):.2f}")
        small = rounded(chain[place])
        return small, loss(small, validation)

    place, (small, chosen) = 0, tried(0)
    if chosen > limit and len(chain) > 1:
        low, place = 0, len(chain) - 1
        small, chosen = tried(place)
        while chosen <= limit and place - low > 1:
            middle = (low + place) // 2
            found, value = tried(middle)
            if value <= limit:
                place, small, chosen = middle, found, value
            else:
                low = middle
    taken = 0
    if chosen > limit and steps:
        small, chosen, taken = _distilled(
            encoder,
            small,
            chosen,
            calibration.samples,
            lambda one: loss(one, validation),
            steps,
            rate,
            batch,
            seed,
            watch,
        )
    stored = represent(encoder, calibration.samples)
    before, after = (nearest_neighbours(represent(one, test.samples), stored, k=1)[1] for one in (encoder, small))
    agreement = float((before == after).double().mean())
    tested = len(test.samples) if test.labels is None else int((test.labels >= 0).sum())
    return Shrunk(small, chain[place], sensitivity, chosen, loss(small, test), agreement, taken, tested)


def bit_chain(sensitivity: Mapping[str, float], sizes: Mapping[str, int], bits: int, most: int) -> list[dict[str, int]]:
    """Bits of each layer, from `bits` everywhere to `most` everywhere, one layer with one bit more at a time.

    Next is the layer with the largest S · 4^−(its bits − bits) / n: a bit more halves a step, and so divides the
    squared error by 4.

    Args:
        sensitivity: S, the squared error of the codes if the layer alone has `bits`.
        sizes: n, weights of each layer.

    >>> bit_chain({"a": 8.0, "b": 1.0}, {"a": 1, "b": 1}, 2, 4)[1:4]
    [{'a': 3, 'b': 2}, {'a': 4, 'b': 2}, {'a': 4, 'b': 3}]
    """
    at = dict.fromkeys(sensitivity, bits)
    chain = [dict(at)]
    while open_layers := [name for name in at if at[name] < most]:
        best = max(open_layers, key=lambda name: sensitivity[name] * 4.0 ** (bits - at[name]) / sizes[name])
        at[best] += 1
        chain.append(dict(at))
    return chain


def mean_bits(bits: Mapping[str, int], sizes: Mapping[str, int]) -> float:
    """Bits of a weight on average.

    >>> mean_bits({"a": 2, "b": 4}, {"a": 1, "b": 3})
    3.5
    """
    return sum(bits[name] * sizes[name] for name in bits) / sum(sizes.values())


def check_limits(bits: int, limit: float, most: int, activations: int | None, steps: int) -> None:
    """Raise an OptionError for settings that `shrink` does not take."""
    for name, value in {"bits": bits, "most": most, "activations": activations}.items():
        if value is not None and not 1 <= value <= MOST_BITS:
            raise OptionError(f"{name} must be from 1 to {MOST_BITS}, but it is {value}.")
    if most < bits:
        raise OptionError(f"most, the bits that a layer may have, must be at least bits = {bits}, but it is {most}.")
    if not 0 <= limit < float("inf"):
        raise OptionError(f"error must be a number of at least 0, but it is {limit}.")
    if steps < 0:
        raise OptionError(f"steps must be at least 0, but it is {steps}.")


def _unexplained(found: Tensor, wanted: Tensor) -> float:
    """‖found − wanted‖² / ‖wanted − mean‖², at least 0; infinite if a code is not finite."""
    spread = (wanted - wanted.mean(dim=0)).double().square().sum().clamp(min=1e-30)
    value = float((found - wanted).double().square().sum() / spread)
    return value if value == value else float("inf")


def _sensitivity(
    encoder: nn.Module, whole: nn.Module, samples: Tensor, watch: Callable[[str], None]
) -> dict[str, float]:
    """Share of the variance of the codes that is lost if one layer alone has its weights rounded, as in `whole`."""
    wanted, work = represent(encoder, samples), copy.deepcopy(encoder)
    layers = dict(quantised_layers(whole))
    found = {}
    for count, (name, layer) in enumerate(layers.items(), start=1):
        watch(f"sensitivity: layer {count} of {len(layers)}")
        assert layer.weight_levels is not None
        weight = work.get_submodule(name).weight
        assert isinstance(weight, Tensor)
        with torch.no_grad():
            kept = weight.clone()
            weight.copy_(layer.weight_levels(layer.weight))
            found[name] = _unexplained(represent(work, samples), wanted)
            weight.copy_(kept)
    return found


def _distilled(
    encoder: nn.Module,
    small: M,
    loss: float,
    samples: Tensor,
    judge: Callable[[nn.Module], float],
    steps: int,
    rate: float,
    batch: int,
    seed: int,
    watch: Callable[[str], None],
) -> tuple[M, float, int]:
    """The best copy along the way of training to the codes of the float encoder, its loss, and the steps it took."""
    wanted = represent(encoder, samples)
    spread = (wanted - wanted.mean(dim=0)).square().sum(dim=1).mean().clamp(min=1e-30)
    draw = torch.Generator().manual_seed(seed)
    best, taken, work = small, 0, copy.deepcopy(small)
    optimiser = torch.optim.Adam([one for one in work.parameters() if one.requires_grad], lr=rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: falling(steps, step))
    every = max(1, steps // _LOOKS)
    for step in range(1, steps + 1):
        rows = torch.randint(len(samples), (min(batch, len(samples)),), generator=draw)
        with torch.enable_grad(), evaluating(work):
            error = functional.mse_loss(work(samples[rows]), wanted[rows], reduction="sum") / (len(rows) * spread)
            optimiser.zero_grad()
            error.backward()
        optimiser.step()
        schedule.step()
        if step % every == 0 or step == steps:
            watch(f"training: step {step} of {steps}, loss {loss:.3g}")
            if (value := judge(work)) < loss:
                best, loss, taken = copy.deepcopy(work), value, step
    return best, loss, taken

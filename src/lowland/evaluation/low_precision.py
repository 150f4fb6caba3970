"""What few bits cost a classifier in errors, and how fast single bits are multiplied (system H1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor

from lowland.data.images import Images
from lowland.energies.base import Energy
from lowland.evaluation.classification import inferred_accuracy, inputs_and_answers
from lowland.evaluation.machine import timings
from lowland.nn.quantised import quantised
from lowland.nn.quantisers import MOST_BITS, precision_of
from lowland.nn.sign_product import pack_signs, sign_product

_PARTS: Mapping[str, Callable[[int], tuple[int | None, int | None]]] = {
    "weights": lambda bits: (bits, None),
    "activations": lambda bits: (None, bits),
    "both": lambda bits: (bits, bits),
}


def error_of(energy: Energy, data: Images, split: str = "test") -> float:
    """Images of a split that a classifier answers wrongly, in %.

    >>> from lowland.data import digits
    >>> from lowland.energies import Classifier
    >>> 50 < error_of(Classifier(64, 10), digits()) <= 100
    True
    """
    with torch.no_grad():
        return 100 * (1 - inferred_accuracy(energy, *inputs_and_answers(energy, data, split)))


def errors_by_bits(energy: Energy, data: Images, x: Tensor) -> dict[str, list[float]]:
    """Test errors in % for 1 to 8 bits, rounded after training: of weights alone, of activations alone, of both.

    Args:
        energy: a classifier in floating point.
        data: images with labels.
        x: calibration data.

    >>> from lowland.data import digits
    >>> from lowland.energies import Classifier
    >>> found = errors_by_bits(Classifier(64, 10, hidden=(5,)), digits(), digits().train[:50].flatten(1))
    >>> {name: len(errors) for name, errors in found.items()}
    {'weights': 8, 'activations': 8, 'both': 8}
    """
    return {
        name: [error_of(quantised(energy, *part(bits), x=x), data) for bits in range(1, MOST_BITS + 1)]
        for name, part in _PARTS.items()
    }


def lines_by_bits(
    after: Mapping[str, list[float]], trained: Mapping[str, float | None]
) -> dict[str, tuple[list[float], list[float]]]:
    """Lines for `lowland.plots.curves`: those of `errors_by_bits`, and the least error at each number of weight bits.

    Args:
        after: of `errors_by_bits`.
        trained: errors by precision, such as "6/3"; those of ternary weights are left out.

    >>> lines_by_bits({}, {"6/3": 2.0, "1/1": 9.0, "1/8": 4.0, "ternary/3": 3.0})
    {'trained on': ([1.0, 6.0], [4.0, 2.0])}
    """
    lines = {name: ([float(bits) for bits in range(1, len(errors) + 1)], errors) for name, errors in after.items()}
    best: dict[float, float] = {}
    for name, error in trained.items():
        weights = precision_of(name).weights
        if isinstance(weights, int) and error is not None:
            best[float(weights)] = min(error, best.get(weights, error))
    return lines | {"trained on": (sorted(best), [best[bits] for bits in sorted(best)])}


def sign_product_rate(side: int = 1024, rounds: int = 10) -> float:
    """Operations a second of a product of two square matrices of signs, the best of some; a product is one of two.

    >>> sign_product_rate(64, 2) > 1e6
    True
    """
    signs = [pack_signs(torch.randn(side, side, generator=torch.Generator().manual_seed(k))) for k in range(2)]
    return 2 * side**3 / min(timings(partial(sign_product, *signs), rounds))

"""Verification: do two samples match? The curve of false accepts against false rejects, and the equal-error rate."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lowland.errors import DomainError, OptionError, ShapeError
from lowland.evaluation.joint import principal_codes


@dataclass(frozen=True)
class Verification:
    """How well a distance separates matching pairs from non-matching ones.

    Attributes:
        equal_error: the rate at which false accepts equal false rejects, interpolated between the two nearest
            thresholds.
        accepted: false-accept rate per threshold, increasing.
        recognised: true-accept rate per threshold.
    """

    equal_error: float
    accepted: list[float] = field(repr=False)
    recognised: list[float] = field(repr=False)


def verification(distance: Tensor, together: Tensor) -> Verification:
    """The verification curve of distances of pairs; small distances are accepted.

    Args:
        distance: (P,), of any unit.
        together: (P,) bool, whether the pair matches.

    Raises:
        ShapeError, DomainError: for distances that are not finite, or not one for each pair.
        OptionError: if all pairs are of one kind.

    >>> verification(torch.tensor([0.1, 0.4, 0.3, 0.9]), torch.tensor([True, True, False, False])).equal_error
    0.5
    """
    from sklearn.metrics import roc_curve

    if distance.ndim != 1 or distance.shape != together.shape:
        raise ShapeError(
            f"Distances and kinds of pairs must be (P,) both, but they are {tuple(distance.shape)} and "
            f"{tuple(together.shape)}."
        )
    if not bool(torch.isfinite(distance).all()):
        raise DomainError("A distance between two samples is NaN or infinite.")
    if together.all() or not together.any():
        raise OptionError("A verification curve needs pairs that belong together and pairs that do not.")
    accepted, recognised, _ = roc_curve(together.cpu().numpy(), -distance.double().cpu().numpy())
    # Along the curve false accepts rise and false rejects fall: they cross once.
    over = accepted - (1 - recognised)
    after = int(np.argmax(over >= 0))
    share = 0.0 if after == 0 else -over[after - 1] / (over[after] - over[after - 1])
    before = max(after - 1, 0)
    equal = accepted[before] + share * (accepted[after] - accepted[before])
    return Verification(float(equal), accepted.tolist(), recognised.tolist())


def all_pairs(codes: Tensor, labels: Tensor, cosine: bool = False) -> tuple[Tensor, Tensor]:
    """Distances of all pairs of N samples, and whether their labels are the same, (N (N − 1) / 2,) each.

    Args:
        codes: (N, ...), flattened.
        labels: (N,).
        cosine: 1 − cos in place of the Euclidean distance.

    >>> all_pairs(torch.tensor([[0.0], [3.0], [4.0]]), torch.tensor([0, 1, 1]))
    (tensor([3., 4., 1.]), tensor([False, False,  True]))
    """
    flat = codes.flatten(1)
    if cosine:
        flat = torch.nn.functional.normalize(flat, dim=1)
    first, second = torch.triu_indices(len(flat), len(flat), 1)
    far = (flat[first] - flat[second]).norm(dim=1)
    return far.square() / 2 if cosine else far, labels[first] == labels[second]


class Chosen(NamedTuple):
    """The comparison chosen on validation samples, and its result on the test samples.

    Attributes:
        way: name of the codes.
        cosine: whether 1 − cos is the distance, else it is Euclidean.
        validation: equal-error rate by which it was chosen.
        test: the verification curve.
        codes: of the test samples.
    """

    way: str
    cosine: bool
    validation: float
    test: Verification
    codes: Tensor

    @property
    def text(self) -> str:
        """What was chosen, as in "margin 2, Euclidean"."""
        return f"{self.way}, {'cosine' if self.cosine else 'Euclidean'}"


@torch.no_grad()
def verify_best(
    ways: Mapping[str, Callable[[Tensor], Tensor]], validation: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor]
) -> Chosen:
    """Verification with the best of several codes and two distances, chosen by the validation equal-error rate.

    Args:
        ways: by name, samples (N, ...) → codes (N, ...); ties go to the first.
        validation, test: samples and labels.

    >>> samples, labels = torch.tensor([[0.0, 5.0], [0.1, -5.0], [3.0, 5.0], [3.1, -5.0]]), torch.tensor([0, 0, 1, 1])
    >>> ways = {"second": lambda x: x[:, 1:], "first": lambda x: x[:, :1]}
    >>> found = verify_best(ways, (samples, labels), (samples, labels))
    >>> found.way, found.cosine, found.test.equal_error
    ('first', False, 0.0)
    """
    tried = {
        (way, cosine): verification(*all_pairs(codes(validation[0]), validation[1], cosine)).equal_error
        for way, codes in ways.items()
        for cosine in (False, True)
    }
    way, cosine = min(tried, key=lambda key: tried[key])
    codes = ways[way](test[0])
    return Chosen(way, cosine, tried[way, cosine], verification(*all_pairs(codes, test[1], cosine)), codes)


def principal_ways(train: Tensor, sizes: Iterable[int]) -> dict[str, Callable[[Tensor], Tensor]]:
    """The first principal components as ways of `verify_best`: each number of them, whitened and not.

    Args:
        train: (N, ...), the samples that the components are fitted to.
        sizes: numbers of components; those that N samples cannot have are left out.

    >>> list(principal_ways(torch.rand(9, 20), (4, 16)))
    ['4 components', '4 components, whitened']
    """
    return {
        f"{size} components{', whitened' * whiten}": partial(principal_codes, train, size, whiten)
        for size in sizes
        if size < len(train)
        for whiten in (False, True)
    }


def after(
    first: Callable[[Tensor], Tensor], ways: Mapping[str, Callable[[Tensor], Tensor]]
) -> dict[str, Callable[[Tensor], Tensor]]:
    """The same ways of `verify_best`, of samples that another function has changed before, such as aligned ones.

    >>> after(lambda x: x + 1, {"twice": lambda x: 2 * x})["twice"](torch.ones(1))
    tensor([4.])
    """

    def both(way: Callable[[Tensor], Tensor], samples: Tensor) -> Tensor:
        return way(first(samples))

    return {name: partial(both, way) for name, way in ways.items()}


def hardest_pairs(codes: Tensor, labels: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The nearest pairs of different labels and the farthest of one label, as indices (2, count), hardest first.

    Args:
        codes: (N, ...), flattened and compared by Euclidean distance.
        labels: (N,).
        count: pairs of each kind, at most.

    >>> hardest_pairs(torch.tensor([[0.0], [2.0], [3.0], [9.0]]), torch.tensor([0, 0, 1, 1]), 1)
    (tensor([[1],
            [2]]), tensor([[2],
            [3]]))
    """
    far, together = all_pairs(codes, labels)
    pairs = torch.triu_indices(len(codes), len(codes), 1)
    strangers = torch.where(together, torch.inf, far).argsort()[: min(count, int((~together).sum()))]
    friends = torch.where(together, far, -torch.inf).argsort(descending=True)[: min(count, int(together.sum()))]
    return pairs[:, strangers], pairs[:, friends]

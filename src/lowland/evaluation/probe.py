"""The linear probe: a linear classifier on frozen representations.

Shape letters: N samples, D size of a representation, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from lowland.errors import DomainError, OptionError, ShapeError
from lowland.tensors import check_finite

Labelled: TypeAlias = tuple[Tensor, Tensor]
"""Representations (N, ...), flattened, with labels (N,) int64."""

WEIGHT_DECAYS = (1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
"""Values of λ to try, largest first, each started from the minimum of the one before, which is close."""


@dataclass(frozen=True, eq=False)
class Probe:
    """A linear classifier and its accuracy.

    Attributes:
        accuracy: on the test samples; None if there are none.
        validation: accuracy on the validation samples, by which λ was chosen.
        weight_decay: λ.
        tried: validation accuracy by λ.
        weight, bias: (K, D) and (K,), for unstandardised representations; in float64, since both are large if these are
            far from 0.
    """

    accuracy: float | None
    validation: float
    weight_decay: float
    tried: dict[float, float]
    weight: Tensor = field(repr=False)
    bias: Tensor = field(repr=False)

    def logits(self, representations: Tensor) -> Tensor:
        """Scores of the classes, (N, K)."""
        return functional.linear(representations.flatten(1).to(self.weight), self.weight, self.bias)

    def right(self, labelled: Labelled) -> float:
        """The accuracy on labelled samples."""
        return float((self.logits(labelled[0]).argmax(dim=1) == labelled[1].to(self.weight.device)).double().mean())


def probe(
    train: Labelled,
    validation: Labelled,
    test: Labelled | None = None,
    weight_decays: Sequence[float] = WEIGHT_DECAYS,
    max_steps: int = 100,
) -> Probe:
    """Multinomial logistic regression on standardised representations, λ chosen on the validation samples.

    Features are standardised by their mean and standard deviation over the training samples. For each λ the minimum of
    `logistic_regression` is found, starting from that of the previous λ; only the best is evaluated on the test
    samples.

    Args:
        train, validation, test: representations and labels; leave `test` out while choosing a method.
        weight_decays: λ to try; ties go to the first.
        max_steps: steps of L-BFGS for each λ.

    Raises:
        ShapeError, DomainError: for representations or labels that do not fit together or are not finite.
        OptionError: for training samples of one class, or a λ below 0.

    >>> points = torch.cat([torch.eye(2) + 0.1 * torch.rand(2, generator=torch.Generator().manual_seed(n))
    ...                     for n in range(20)])
    >>> labels = torch.tensor([0, 1]).repeat(20)
    >>> probe((points, labels), (points, labels)).validation
    1.0
    """
    splits = {"training": train, "validation": validation} | ({} if test is None else {"test": test})
    for name, labelled in splits.items():
        check_labelled(labelled, name, train[0])
    if not weight_decays or min(weight_decays) < 0:
        raise OptionError(f"weight_decays must be numbers of at least 0, at least one, but they are {weight_decays}.")
    features, labels = train[0].detach().flatten(1), train[1].to(train[0].device)
    classes = 1 + max(int(part[1].max()) for part in splits.values())
    if len(labels.unique()) < 2:
        raise OptionError("A probe needs training samples of at least two classes, but all have one label.")
    mean, scale = features.mean(dim=0), features.std(dim=0, correction=0)
    # A constant feature carries no information; divided by its rounding errors it would be noise.
    doubt = 10 * torch.finfo(features.dtype).eps * features.abs().amax(dim=0)
    scale = torch.where(scale > doubt, scale, torch.inf)
    standard = (features - mean) / scale
    found: Probe | None = None
    tried: dict[float, float] = {}
    at: Tensor | None = None
    for decay in weight_decays:
        at = logistic_regression(standard, labels, decay, classes, start=at, max_steps=max_steps)
        weight = at[:, :-1].double() / scale
        made = Probe(None, 0.0, decay, tried, weight, at[:, -1] - weight @ mean.double())
        tried[decay] = made.right(validation)
        if found is None or tried[decay] > tried[found.weight_decay]:
            found = made
    assert found is not None
    accuracy = None if test is None else found.right(test)
    return Probe(accuracy, tried[found.weight_decay], found.weight_decay, tried, found.weight, found.bias)


def logistic_regression(
    features: Tensor,
    labels: Tensor,
    weight_decay: float,
    classes: int,
    start: Tensor | None = None,
    max_steps: int = 100,
    tolerance: float = 1e-5,
) -> Tensor:
    """The (K, D + 1) of W and b that minimise mean_n −log softmax(W x_n + b)[label_n] + ½ λ ‖W‖², b the last column.

    This is scikit-learn's `LogisticRegression(C=1 / (λ N))`: b is not decayed.

    Args:
        features: (N, D), preferably with standard deviations near 1.
        labels: (N,) in 0 … K − 1.
        weight_decay: λ.
        classes: K.
        start: initial value; zeros by default.
        max_steps: steps of L-BFGS.
        tolerance: stop when no entry of the gradient is larger.

    >>> at = logistic_regression(torch.tensor([[-1.0], [1.0]]), torch.tensor([0, 1]), 0.1, 2)
    >>> bool(at[1, 0] > 0), bool(at[0, 0] < 0)
    (True, True)
    """
    size = features.shape[1]
    begin = features.new_zeros(classes, size + 1) if start is None else start.detach().to(features)
    at = begin.clone().requires_grad_()
    optimiser = torch.optim.LBFGS(
        [at], max_iter=max_steps, tolerance_grad=tolerance, tolerance_change=0.0, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        with torch.enable_grad():
            scores = functional.linear(features, at[:, :size], at[:, size])
            loss = functional.cross_entropy(scores, labels) + 0.5 * weight_decay * at[:, :size].square().sum()
            at.grad = torch.autograd.grad(loss, at)[0]
        return loss.detach()

    optimiser.step(closure)
    return at.detach()


def check_labelled(labelled: Labelled, name: str, like: Tensor) -> None:
    """Raise unless the representations have the size of `like`, are finite, and have one label each."""
    representations, labels = labelled
    if representations.ndim < 2 or not len(representations) or representations.shape[1:] != like.shape[1:]:
        raise ShapeError(
            f"The {name} representations must have shape (N, ...) with at least one row, and the same in every split, "
            f"but it is {tuple(representations.shape)}."
        )
    if labels.shape != representations.shape[:1] or labels.dtype != torch.int64:
        raise ShapeError(
            f"The {name} labels must be int64 ({len(representations)},), but they are {labels.dtype} "
            f"{tuple(labels.shape)}."
        )
    if int(labels.min()) < 0:
        raise DomainError(f"The {name} labels must be at least 0, but one is {int(labels.min())}.")
    check_finite(representations, f"The {name} representations")

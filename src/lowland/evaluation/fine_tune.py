"""Fine-tuning: an encoder and a linear head, trained together on labels; also training from scratch.

Shape letters: N samples, K classes, D size of a representation.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.domains import OneHot, Reals
from lowland.energies.base import Energy
from lowland.energies.classifier import Classifier
from lowland.errors import OptionError
from lowland.evaluation.probe import Labelled, Probe, check_labelled
from lowland.evaluation.representations import represent
from lowland.nn.layers import linear
from lowland.shaping.base import Batch, Losses, Shaping
from lowland.shaping.joint import Views
from lowland.training.fit import fit
from lowland.training.schedules import warm_cosine


@dataclass(frozen=True, eq=False)
class FineTuned:
    """A trained classifier and its accuracy.

    Attributes:
        accuracy: on the test samples; None if there are none.
        validation: accuracy on the validation samples, by which the learning rate was chosen.
        rate: the chosen learning rate.
        tried: validation accuracy by learning rate.
        seconds: wall time of all training runs.
        network: encoder and head, (N, *shape) → (N, K).
    """

    accuracy: float | None
    validation: float
    rate: float
    tried: dict[float, float]
    seconds: float
    network: nn.Sequential = field(repr=False)


class Supervised(Shaping):
    """L = −mean log p(label | v(x)), p the softmax of a `Classifier`, v a view: cross-entropy on augmented samples.

    It is `MaximumLikelihood` with views of x. See `JointShaping` for the other arguments.

    Args:
        still: whether batch normalisation keeps its running statistics fixed.
    """

    def __init__(self, views: Views | None = None, seed: int = 0, still: bool = False) -> None:
        super().__init__(seed)
        self.views, self.still = views, still

    def forward(self, energy: Energy, batch: Batch) -> Losses:
        for part in energy.modules() if self.still else ():
            if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
                part.eval()
        x = batch.x if self.views is None else self.views(batch.x, self.noise(batch.x))
        scores = energy.encode(x)
        loss = functional.cross_entropy(scores, batch.y.argmax(dim=1))
        right = (scores.detach() * batch.y).sum(dim=1) == scores.detach().amax(dim=1)
        return Losses({"energy": loss}, {"accuracy": right.float().mean()})


class _Labels(Classifier):
    """E(x, y) = −y·f(x) for any f, and x of any shape."""

    def __init__(self, shape: Sequence[int], classes: int, network: nn.Module) -> None:
        Energy.__init__(self, x=Reals(tuple(shape)), y=OneHot(classes))
        self.network = network


def fine_tune(
    encoder: nn.Module,
    train: Labelled,
    validation: Labelled,
    test: Labelled | None = None,
    *,
    head: Probe | None = None,
    views: Views | None = None,
    rates: Sequence[float] = (1e-4, 1e-3),
    steps: int = 300,
    batch_size: int = 128,
    weight_decay: float = 1e-2,
    generator: torch.Generator | None = None,
    seed: int = 0,
) -> FineTuned:
    """Train a copy of an encoder and a linear head on labels, once per learning rate; validation picks the best.

    AdamW with warm-up for a tenth of the steps and cosine decay to zero. With a `head`, the linear probe of the frozen
    encoder, training starts from it (Kumar, Raghunathan, Jones, Ma & Liang 2022, "LP-FT"), so that few labels do not
    first distort the pretrained features. Batch normalisation then keeps its running statistics, which the head was
    fitted to. To train from scratch, pass an untrained encoder and no head.

    Args:
        encoder: (B, *shape) → (B, D) with `shape` and `size`; it is not modified.
        train, validation, test: samples (N, *shape) and labels (N,).
        head: initial head; by default a random one.
        views: augmentation in training, such as `lowland.data.views.ImageViews`.
        rates: learning rates to try; ties go to the first.
        steps, batch_size, weight_decay: of each training run; a batch has at most all samples.
        generator: draws the initial weights of the head.
        seed: of the order of samples and of the views.

    Raises:
        ShapeError, DomainError: for samples or labels that do not fit together or are not finite.
        OptionError: without rates, or for an encoder without `shape` and `size`.

    >>> from lowland.nn.encoders import Perceptron
    >>> points, labels = torch.eye(2).repeat(8, 1), torch.tensor([0, 1]).repeat(8)
    >>> fine_tune(Perceptron((2,)), (points, labels), (points, labels), steps=20).validation
    1.0
    """
    splits = {"training": train, "validation": validation} | ({} if test is None else {"test": test})
    for name, labelled in splits.items():
        check_labelled(labelled, name, train[0])
    shape, size = getattr(encoder, "shape", None), getattr(encoder, "size", None)
    if not rates or shape is None or size is None:
        raise OptionError("fine_tune needs at least one rate, and an encoder with `shape` and `size`.")
    classes = 1 + max(int(part[1].max()) for part in splits.values())
    own = next(encoder.parameters())
    first = linear(size, classes, generator)
    if head is not None:
        if head.weight.shape != (classes, size):
            raise OptionError(f"A head of {tuple(head.weight.shape)} does not fit {classes} classes of {size} numbers.")
        first.load_state_dict({"weight": head.weight, "bias": head.bias})
    answers = functional.one_hot(train[1], classes).to(own)
    found: FineTuned | None = None
    tried: dict[float, float] = {}
    seconds = 0.0
    for rate in rates:
        network = nn.Sequential(copy.deepcopy(encoder), copy.deepcopy(first)).to(own.device)
        trained = fit(
            _Labels(shape, classes, network), (train[0], answers), Supervised(views, seed, head is not None), steps,
            min(batch_size, len(answers)), rate, "adamw", weight_decay,
            schedule=partial(warm_cosine, steps), validation=0.0, seed=seed, progress=False,
        )  # fmt: skip
        tried[rate] = _right(network, validation)
        seconds += trained.seconds
        if found is None or tried[rate] > tried[found.rate]:
            found = FineTuned(None, tried[rate], rate, tried, 0.0, network)
    assert found is not None
    accuracy = None if test is None else _right(found.network, test)
    return FineTuned(accuracy, found.validation, found.rate, tried, seconds, found.network)


def _right(network: nn.Module, labelled: Labelled) -> float:
    answer: Tensor = represent(network, labelled[0]).argmax(dim=1)
    return float((answer == labelled[1].to(answer.device)).double().mean())

"""Energies as classifiers: of every answer, how surely the right one is inferred, and what each answer wants to see.

Shape letters: N inputs, D their size, K answers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from lowland.data.images import Images
from lowland.energies.base import Energy
from lowland.errors import UnsupportedError
from lowland.inference import infer
from lowland.shaping.base import Shaping
from lowland.training.fit import fit
from lowland.training.snapshots import Snapshots

STRENGTHS = (0.03, 0.1, 0.3, 1.0, 3.0)
"""Inverse strengths of the regulariser of logistic regression that `classification_baselines` tries."""


def answer_energies(energy: Energy, x: Tensor) -> Tensor:
    """E(x, y) of every answer y, (N, K).

    Args:
        energy: of x and a y with K values, such as `Classifier`.
        x: (N, D).

    Raises:
        UnsupportedError: if the energy has no table of all answers.

    >>> from lowland.energies import Classifier
    >>> answer_energies(Classifier(8, 3), torch.zeros(5, 8)).shape
    torch.Size([5, 3])
    """
    table = energy.structure(("y",), energy.encode(x), None, None).table
    if table is None:
        raise UnsupportedError(f"{type(energy).__name__} has no table of the energies of all answers y to an x.")
    return table()


def margin(table: Tensor, labels: Tensor) -> Tensor:
    """Energy of the most offending wrong answer less that of the right one, (N,): negative for a mistake.

    Source: LeCun et al., "A tutorial on energy-based learning" (2006), section 2.

    Args:
        table: (N, K), of `answer_energies`.
        labels: (N,), the right answers.

    >>> margin(torch.tensor([[0.0, 2.0, 5.0], [1.0, 0.5, 3.0]]), torch.tensor([0, 0]))
    tensor([ 2.0000, -0.5000])
    """
    right = table.gather(1, labels[:, None])[:, 0]
    return table.scatter(1, labels[:, None], torch.inf).min(dim=1).values - right


def confusion_counts(labels: Tensor, answers: Tensor, classes: int) -> Tensor:
    """How often each answer was given (columns) for each right one (rows), (K, K), for `lowland.plots.confusion`.

    >>> confusion_counts(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]), 2)
    tensor([[1, 0],
            [1, 1]])
    """
    return torch.bincount(classes * labels + answers, minlength=classes**2).reshape(classes, classes)


def inferred_accuracy(energy: Energy, x: Tensor, y: Tensor) -> float:
    """Share of the inputs whose right answer y, (N, K) one-hot, is the one that `infer` finds."""
    found = infer(energy, x=x, over="y").value
    return (found == y).all(dim=1).double().mean().item()


def inputs_and_answers(energy: Energy, data: Images, split: str) -> tuple[Tensor, Tensor]:
    """Images x and one-hot answers y (N, K) of a split of the data, on the device of the energy.

    The images have the shape that the energy takes: flat, (N, D), for `Classifier`, and (N, 1, H, W) for `LeNet`.

    Args:
        split: "train", "validation" or "test".
    """
    own = next(iter(energy.parameters()))
    y = functional.one_hot(getattr(data, f"{split}_labels"), energy.domain("y").size)
    return getattr(data, split).reshape(-1, *energy.domain("x").shape).to(own.device), y.float().to(own.device)


def fit_by_validation(
    energy: Energy,
    data: Images,
    shaping: Shaping,
    steps: Sequence[int],
    batch_size: int = 128,
    seed: int = 0,
    lr: float = 1e-3,
    schedule: Callable[[int], float] | None = None,
) -> dict[int, float]:
    """Train a classifier, and keep the weights of the number of steps with the least error on validation images.

    Args:
        energy: E(x, y) of images and one-hot answers, such as `Classifier` or `LeNet`, trained in place.
        data: images with labels; the test images have no say.
        shaping: the training method.
        steps: numbers of training steps to choose from, rising; of equally good ones the first wins.
        batch_size, seed, lr, schedule: of `lowland.fit`.

    Returns:
        the validation error, the share of wrong answers, by the number of steps.

    Raises:
        OptionError: for steps that do not rise.

    >>> from lowland.data import digits
    >>> from lowland.energies import Classifier
    >>> from lowland.shaping import MaximumLikelihood
    >>> errors = fit_by_validation(Classifier(64, 10, hidden=()), digits(), MaximumLikelihood(), (1, 100))
    >>> errors[100] < errors[1]
    True
    """
    kept = Snapshots(energy, steps)
    fit(
        energy, inputs_and_answers(energy, data, "train"), shaping, max_steps=steps[-1], batch_size=batch_size,
        validation=0.0, seed=seed, lr=lr, schedule=schedule, progress=False, callback=kept,
    )  # fmt: skip
    errors = {}
    for step in steps:
        kept.restore(step)
        errors[step] = 1 - inferred_accuracy(energy, *inputs_and_answers(energy, data, "validation"))
    kept.restore(min(errors, key=errors.__getitem__))
    return errors


def answer_slopes(energy: Energy, x: Tensor) -> Tensor:
    """The mean over inputs of −∂E(x, y)/∂x for each answer y, (K, D): what change lowers its energy.

    >>> from lowland.energies import Classifier
    >>> energy = Classifier(4, 3, hidden=())
    >>> torch.allclose(answer_slopes(energy, torch.zeros(2, 4)), energy.network[0].weight)
    True
    """
    x = x.detach().clone().requires_grad_()
    with torch.enable_grad():
        sums = answer_energies(energy, x).sum(dim=0).unbind()
    return torch.stack([-torch.autograd.grad(one, x, retain_graph=True)[0].mean(dim=0) for one in sums])


def classification_baselines(data: Images, strengths: Sequence[float] = STRENGTHS) -> dict[str, dict[str, float]]:
    """Accuracy on test images of the most frequent class, and of scikit-learn's logistic regression on pixels.

    Args:
        data: images with labels.
        strengths: inverse strengths C of the regulariser, of which the validation images choose one.

    Returns:
        by name, "test": the accuracy; of logistic regression also "nll": mean −log p of the right answer, in nats.
    """
    from sklearn.linear_model import LogisticRegression

    names = ("train", "validation", "test")
    x = {name: getattr(data, name).flatten(1).numpy() for name in names}
    labels = {name: getattr(data, f"{name}_labels").numpy() for name in names}
    models = [LogisticRegression(C=c, max_iter=2000).fit(x["train"], labels["train"]) for c in strengths]
    scores = [model.score(x["validation"], labels["validation"]) for model in models]
    best = models[scores.index(max(scores))]
    log_p = torch.from_numpy(best.predict_log_proba(x["test"])).double()
    common = data.train_labels.bincount().argmax()
    return {
        "logistic regression": {
            "test": best.score(x["test"], labels["test"]),
            "nll": functional.nll_loss(log_p, data.test_labels).item(),
        },
        "most frequent class": {"test": (data.test_labels == common).double().mean().item()},
    }

"""Few labels: a pretrained network frozen and fine-tuned, against the same network from scratch and raw pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lowland.data.images import Images
from lowland.evaluation.fine_tune import fine_tune
from lowland.evaluation.frozen import labelled
from lowland.evaluation.probe import Labelled, Probe, probe
from lowland.evaluation.representations import represent
from lowland.training.pretraining import views_of

FROZEN, TUNED, SCRATCH = "pretrained, linear probe", "pretrained, fine-tuned", "from scratch"
PIXELS, RANDOM = "raw pixels", "random encoder"


@dataclass(frozen=True, eq=False)
class Tuning:
    """Training on labels with each of several views at each of several rates, of which validation images choose.

    Args:
        views: how images are changed in training: names of presets of `ImageViews`.
        rates: learning rates.
        steps, batch_size: of each training.
        generator: draws the first weights of the head, the same for all views.
        seed: of the order of the images and of the views.
    """

    views: Sequence[str]
    rates: Sequence[float]
    steps: int
    batch_size: int
    generator: torch.Generator
    seed: int = 0

    def __call__(
        self, encoder: nn.Module, train: Labelled, images: Images, head: Probe | None = None
    ) -> dict[str, Any]:
        """Fine-tune an encoder, from a head if there is one, see `fine_tune`; test images are used once, by the best.

        Returns:
            "test" and "validation", shares of right images; "views" and "rate", which were chosen; "tried", a list of
            (views, rate, validation).
        """
        state, tried = self.generator.get_state(), {}
        for name in self.views:
            self.generator.set_state(state)
            tried[name] = fine_tune(
                encoder, train, labelled(images, "validation"), head=head, views=views_of("images", name),
                rates=self.rates, steps=self.steps, batch_size=self.batch_size, generator=self.generator,
                seed=self.seed,
            )  # fmt: skip
        best = max(tried, key=lambda name: tried[name].validation)
        samples, labels = labelled(images, "test")
        right = represent(tried[best].network, samples).argmax(dim=1) == labels
        return {
            "test": float(right.double().mean()), "validation": tried[best].validation, "rate": tried[best].rate,
            "views": best,
            "tried": [(name, rate, value) for name, one in tried.items() for rate, value in one.tried.items()],
        }  # fmt: skip


def compare_with_few_labels(
    pretrained: nn.Module, untrained: nn.Module, images: Images, rows: Tensor, tuned: Tuning, scratch: Tuning
) -> dict[str, dict[str, Any]]:
    """Accuracies with labels of some training images only; each method uses the test images once, at its end.

    Args:
        pretrained, untrained: an encoder and the same network with first weights.
        images: their validation images choose weight decays, rates and views.
        rows: (N,), the training images that have a label.
        tuned, scratch: how the pretrained network is fine-tuned, from its linear probe on, and the other one trained.

    Returns:
        By method, "test" and "validation", shares of right images: linear probes of the pretrained network, of the
        untrained one and of raw pixels; and what `Tuning` returns, fine-tuned and from scratch.

    >>> from lowland.data import digits
    >>> from lowland.nn.encoders import ConvNet
    >>> net, images = ConvNet((1, 8, 8), (4,)), digits().first(train=200, validation=50, test=50)
    >>> tuning = Tuning(("none",), (1e-3,), 2, 32, torch.Generator())
    >>> list(compare_with_few_labels(net, net, images, torch.arange(80), tuning, tuning))
    ['pretrained, linear probe', 'random encoder', 'raw pixels', 'pretrained, fine-tuned', 'from scratch']
    """
    found: dict[str, dict[str, Any]] = {}
    heads: dict[str, Probe] = {}
    for name, frozen in ((FROZEN, pretrained), (RANDOM, untrained), (PIXELS, None)):
        train, held, test = (labelled(images, split, frozen) for split in ("train", "validation", "test"))
        heads[name] = probe((train[0][rows], train[1][rows]), held, test)
        found[name] = {"test": heads[name].accuracy, "validation": heads[name].validation}
    few = images.train[rows], images.train_labels[rows]
    found[TUNED] = tuned(pretrained, few, images, heads[FROZEN])
    found[SCRATCH] = scratch(untrained, few, images)
    return found

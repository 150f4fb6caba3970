"""Features of windows of a picture, learned before a drive from courses that are not driven on (system V9).

Legend: N windows, K = 2 labels.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowland.energies.autoencoder import Autoencoder
from lowland.energies.base import Energy
from lowland.energies.classifier import Classifier
from lowland.nn.band_net import FEATURES, BandNet
from lowland.nn.layers import evaluating
from lowland.shaping.base import Shaping
from lowland.shaping.contrastive.likelihood import MaximumLikelihood
from lowland.shaping.regularised.minimum_energy import MinimumEnergy
from lowland.training.fit import fit
from lowland.training.schedules import falling

_WINDOW = (3, 12, 25)
_AT_ONCE = 4000
_HEAD_RATE = 0.01


class BandFeatures(nn.Module):
    """Flat windows (B, 900) → (B, 100): the features of a `BandNet`, less their mean and by their deviation.

    >>> BandFeatures(BandNet())(torch.zeros(2, 900)).shape
    torch.Size([2, 100])
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, net: BandNet) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Unflatten(1, _WINDOW), net, nn.Flatten())
        self.register_buffer("mean", torch.zeros(FEATURES))
        self.register_buffer("deviation", torch.ones(FEATURES))

    def forward(self, windows: Tensor) -> Tensor:
        return (self.layers(windows) - self.mean) / self.deviation

    @torch.no_grad()
    def of(self, windows: Tensor) -> Tensor:
        """The features of many windows, without a graph, in parts that fit into memory."""
        with evaluating(self):
            return torch.cat([self(some) for some in windows.split(_AT_ONCE)])

    def standardise(self, windows: Tensor) -> None:
        """Take the mean and the deviation of the features of these windows from now on."""
        found = self.of(windows)
        self.mean, self.deviation = self.mean + self.deviation * found.mean(dim=0), self.deviation * found.std(dim=0)


def learn_features(
    kind: Literal["random", "autoencoder", "labels"],
    windows: Tensor,
    labels: Tensor,
    steps: int,
    batch: int = 128,
    rate: float = 0.002,
    seed: int = 0,
) -> BandFeatures:
    """Features of windows: drawn at random, those of an auto-encoder, or those that tell labels apart.

    F(y) = ‖y − D tanh(c(y))‖² for the auto-encoder, with one linear layer D; E(x, y) = −y·(W f(x)) for labels. Hadsell
    et al. (2009) compare these three, of which the auto-encoder has one more layer there.

    Args:
        kind: "random", "autoencoder" or "labels".
        windows: (N, 900).
        labels: (N,), which only "labels" looks at.
        steps, batch, rate: of training by Adam, the rate falling to 0.
        seed: of weights and batches.

    >>> features = learn_features("autoencoder", torch.rand(20, 900), torch.zeros(20).long(), steps=1, batch=10)
    >>> bool(features.of(torch.rand(5, 900)).isfinite().all())
    True
    """
    generator = torch.Generator().manual_seed(seed)
    found = BandFeatures(BandNet(generator=generator))
    if kind != "random":
        energy: Energy
        data: Tensor | tuple[Tensor, Tensor]
        shaping: Shaping
        if kind == "labels":
            count = int(labels.max()) + 1
            energy, shaping = Classifier(windows.shape[1], count, (), generator), MaximumLikelihood()
            energy.network = nn.Sequential(found.layers, Classifier(FEATURES, count, (), generator).network)
            data = windows, functional.one_hot(labels, count).float()
        else:
            energy, shaping = Autoencoder(windows.shape[1], FEATURES, (), generator=generator), MinimumEnergy()
            energy.encoder, data = found.layers, windows
        fit(energy, data, shaping, max_steps=steps, batch_size=batch, lr=rate, schedule=partial(falling, steps),
            validation=0.0, seed=seed, progress=False, log_every=steps)  # fmt: skip
    found.standardise(windows)
    return found


def learn_head(features: Tensor, labels: Tensor, steps: int = 300, seed: int = 0) -> Classifier:
    """A linear classifier E(x, y) of features (N, 100), by likelihood.

    >>> x = torch.randn(50, 100, generator=torch.Generator().manual_seed(0))
    >>> head = learn_head(x, (x[:, 0] > 0).long())
    >>> head.network(x).argmax(dim=1).eq(x[:, 0] > 0).all()
    tensor(True)
    """
    energy = Classifier(FEATURES, 2, (), torch.Generator().manual_seed(seed))
    answers = functional.one_hot(labels, 2).float()
    fit(energy, (features, answers), MaximumLikelihood(), max_steps=steps, batch_size=min(256, len(features)),
        lr=_HEAD_RATE, schedule=partial(falling, steps), validation=0.0, seed=seed, progress=False,
        log_every=steps)  # fmt: skip
    return energy

"""What the shapings of joint-embedding energies share: two views, embeddings of all processes, a slow target network.

Shape letters: B samples of one process, N samples of all processes, D size of an embedding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor, distributed, nn
from torch.distributed.nn import functional as across
from torch.func import functional_call

from lowland.energies.base import Energy
from lowland.energies.joint_embedding import JointEmbedding
from lowland.errors import ShapeError, check_instance
from lowland.nn.encoders.perceptron import Perceptron
from lowland.shaping.base import Batch, Losses, Shaping, ShapingCase
from lowland.tensors import RowNoise

Views: TypeAlias = Callable[[Tensor, RowNoise], Tensor]
"""Samples and streams of random numbers → changed samples, such as `lowland.data.views.ImageViews`."""


class JointShaping(Shaping):
    """L of the embeddings a, b of two views of each sample; a subclass is its `loss`, and what it pushes apart.

    The views are two draws of `views` on a batch of samples y. Of a batch of pairs (x, y), such as neighbouring frames,
    each part is one view. Both go through the network as one batch, so that batch normalisation sees them together.

    Args:
        views: how a sample is changed; None takes it as it is, which only pairs make sense of.
        seed: see `Shaping`.
    """

    least = 2
    """Samples that the loss needs in a batch."""

    def __init__(self, views: Views | None = None, seed: int = 0) -> None:
        super().__init__(seed)
        self.views = views

    def pair(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Two views of each sample, (B, *shape) each."""
        first = batch.y if batch.x is None else batch.x
        if len(first) < self.least:
            raise ShapeError(
                f"{type(self).__name__} compares the samples of a batch and needs at least {self.least} of them, but "
                f"this batch has {len(first)}."
            )
        if self.views is None:
            return first, batch.y
        return self.views(first, self.noise(first)), self.views(batch.y, self.noise(batch.y))

    def loss(self, a: Tensor, b: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """L, a scalar, and metrics, from the embeddings (N, D) of both views of all samples of all processes."""
        raise NotImplementedError

    def forward(self, energy: Energy, batch: Batch) -> Losses:
        check_instance(energy, JointEmbedding, "The energy")
        assert isinstance(energy, JointEmbedding)
        embedded = energy.embed(torch.cat(self.pair(batch)))
        a, b = (gathered(half) for half in embedded.chunk(2))
        loss, metrics = self.loss(a, b)
        return Losses({"energy": loss}, metrics | {"deviation": a.detach().std(dim=0).mean()})

    @classmethod
    def case(cls, shaping: JointShaping, predictor: tuple[int, ...] | None = None) -> ShapingCase:
        """A reference case: points in 8 dimensions, seen with some noise."""
        y = RowNoise(0, torch.arange(32)).normal(8)
        encoder = Perceptron((8,), hidden=(32,), size=16)
        return ShapingCase(
            shaping, JointEmbedding(encoder, (16, 8), predictor, norm=False), Batch(y, index=torch.arange(32))
        )


def jitter(sample: Tensor, noise: RowNoise) -> Tensor:
    """Samples with 0.1 ε added, the views of the reference cases."""
    return sample + 0.1 * noise.normal(*sample.shape[1:])


def gathered(part: Tensor) -> Tensor:
    """The rows (B, …) of every process, one after another, (N, …), with gradients to all of them."""
    if not distributed.is_available() or not distributed.is_initialized() or distributed.get_world_size() == 1:
        return part
    return torch.cat(across.all_gather(part.contiguous()))


class Target(nn.Module):
    """A copy of a network that follows it slowly: θ′ ← m θ′ + (1 − m) θ, after each step.

    Source: He et al. 2020 (MoCo), Grill et al. 2020 (BYOL). Weights and the averages of batch normalisation lie in one
    flat buffer, so that an update is one operation and a checkpoint of the shaping resumes it.

    Args:
        momentum: m in [0, 1].
    """

    weights: Tensor

    def __init__(self, momentum: float = 0.99) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("weights", torch.zeros(0))

    def start(self, network: nn.Module) -> None:
        """Become a copy of a network."""
        self.weights = torch.cat([tensor.detach().flatten() for tensor in _state(network).values()])

    def follow(self, network: nn.Module) -> None:
        """Come a step nearer."""
        now = torch.cat([tensor.detach().flatten() for tensor in _state(network).values()])
        self.weights.lerp_(now, 1 - self.momentum)

    @torch.no_grad()
    def forward(self, network: nn.Module, sample: Tensor) -> Tensor:
        """What `network` would give with the slow weights; without gradients."""
        own, first = {}, 0
        for name, tensor in _state(network).items():
            own[name] = self.weights[first : first + tensor.numel()].view_as(tensor)
            first += tensor.numel()
        counters = {name: buffer.clone() for name, buffer in network.named_buffers() if not buffer.is_floating_point()}
        return functional_call(network, own | counters, (sample,))

    _load_from_state_dict = Shaping._load_from_state_dict


def _state(network: nn.Module) -> dict[str, Tensor]:
    buffers = {name: buffer for name, buffer in network.named_buffers() if buffer.is_floating_point()}
    return dict(network.named_parameters()) | buffers

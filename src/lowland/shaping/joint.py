"""The base of joint-embedding shapings: two views, embeddings gathered over processes, a momentum target network.

Shape letters: B samples of one process, N samples of all processes, D size of an embedding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from lowland.energies.base import Energy
from lowland.energies.joint_embedding import JointEmbedding
from lowland.energies.protocols import offered
from lowland.errors import OptionError, ShapeError, UnsupportedError
from lowland.nn.encoders.perceptron import Perceptron
from lowland.shaping.base import Batch, Losses, Shaping, ShapingCase, take_sizes
from lowland.shaping.collapse import check_collapse
from lowland.shaping.processes import gathered, world_size
from lowland.tensors import PerSampleRNG

Views: TypeAlias = Callable[[Tensor, PerSampleRNG], Tensor]
"""(samples, random streams) → augmented samples, such as `lowland.data.views.ImageViews`."""
_AT_ONCE = 256
_COARSE = (torch.float16, torch.bfloat16)


class JointShaping(Shaping):
    """L of the embeddings a, b of two views of each sample; a subclass defines the `loss`.

    The views are two random augmentations by `views` of a batch of samples y. In a batch of pairs (x, y), such as
    neighbouring frames, each part is one view. Both go through the network as one batch, so batch normalisation sees
    them together. In data-parallel training the loss is over the samples of all processes; only batch normalisation is
    local.
    A multiple w·E, w > 0, is trained as E, since L is a function of the embeddings and not of E.

    Args:
        views: augments a sample; None leaves it unchanged, which only makes sense for pairs.
        seed: see `Shaping`.
        alarm: steps between checks for collapse, which raise a CollapseError; 0 for none.

    Raises:
        ShapeError: for a batch with fewer samples than the loss needs.
        UnsupportedError: for an energy without a predictor if the method needs one, or with one if it does not.
        CollapseError: for embeddings that no longer distinguish samples; see `lowland.shaping.collapse`.
    """

    least = 2
    """The fewest samples in a batch that the loss needs."""
    predicts = False
    """Whether the method trains a predictor."""
    start: Tensor
    """`deviation` of the embeddings of the first batch."""

    def __init__(self, views: Views | None = None, seed: int = 0, alarm: int = 100) -> None:
        super().__init__(seed)
        if alarm < 0:
            raise OptionError(f"alarm must be a number of steps, or 0 for no alarm, but it is {alarm}.")
        self.views, self.alarm = views, alarm
        self.second: Views | None = None
        self.register_buffer("start", torch.tensor(0.0))

    def pair(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Two views of each sample, (B, *shape) each; the other one by `second`, if the method has one."""
        first = batch.y if batch.x is None else batch.x
        self.enough(len(first) * world_size(), self.least)
        views, second = self.views, self.second or self.views
        return (
            first if views is None else views(first, self.noise(first)),
            batch.y if second is None else second(batch.y, self.noise(batch.y)),
        )

    def needed(self, size: int) -> int:
        """The fewest samples in a batch that the loss needs, for embeddings of this size."""
        return self.least

    def enough(self, count: int, least: int) -> None:
        """Raise a ShapeError unless a batch of `count` samples has at least `least`."""
        if count < least:
            part = "this batch has" if self.training else "of those that are held out a batch has"
            more = "raise batch_size" if self.training else "raise validation, or hold out nothing with validation=0"
            raise ShapeError(
                f"{type(self).__name__} compares the samples of a batch and needs at least {least} of them, but {part} "
                f"{count}: {more}" + (", or make the embedding smaller." if least > type(self).least else ".")
            )

    def checked(self, energy: Energy) -> JointEmbedding:
        """E₀ of an energy w·E₀, where this method can train it."""
        _, core = offered(energy, JointEmbedding, type(self).__name__)
        if self.predicts == (core.predictor is None):
            what = "needs a predictor: make it" if self.predicts else "trains no predictor: make the energy"
            how = "with" if self.predicts else "without"
            raise UnsupportedError(f"{type(self).__name__} {what} {how} predictor=(…) in JointEmbedding.")
        return core

    def watch(self, a: Tensor) -> dict[str, Tensor]:
        """Metrics of the embeddings (N, D) of a batch, and every `alarm` steps the check for collapse."""
        a, step = a.detach(), int(self.step)
        deviation = self.deviation(a)
        if self.training and step == 0:
            self.start.copy_(deviation)
        if self.training and self.alarm and step and step % self.alarm == 0:
            check_collapse(a, float(deviation), float(self.start), type(self).__name__, step)
        return {"deviation": deviation}

    def deviation(self, a: Tensor) -> Tensor:
        """The standard deviation per dimension of the embeddings (N, D), relative to the method's target.

        By default it is taken of the directions a / ‖a‖ times √D, and is 1 if they spread evenly over the sphere.
        """
        return functional.normalize(a, dim=1).std(dim=0).mean() * a.shape[1] ** 0.5

    def loss(self, a: Tensor, b: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """L, a scalar, and metrics, from the embeddings (N, D) of both views, over all processes."""
        raise NotImplementedError

    def precise(self, *parts: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """`loss` in float32 at least: bfloat16 would lose the differences between embeddings to rounding."""
        with torch.autocast(parts[0].device.type, enabled=False):
            return self.loss(*(part.float() if part.dtype in _COARSE else part for part in parts))

    def forward(self, energy: Energy, batch: Batch) -> Losses:
        embedded = self.checked(energy).embed(torch.cat(self.pair(batch)))
        a, b = (gathered(half) for half in embedded.chunk(2))
        loss, metrics = self.precise(a, b)
        return Losses({"energy": loss}, metrics | self.watch(a))

    @classmethod
    def case(cls, shaping: JointShaping, predictor: tuple[int, ...] | None = None) -> ShapingCase:
        """A reference case: points in 8 dimensions, with noise as the views."""
        y = PerSampleRNG(0, torch.arange(32)).normal(8)
        encoder = Perceptron((8,), hidden=(32,), size=16)
        return ShapingCase(
            shaping, JointEmbedding(encoder, (16, 8), predictor, norm=False), Batch(y, index=torch.arange(32))
        )


class TowardsTarget(JointShaping):
    """L = ℓ(p(a), b′) + ℓ(p(b), a′): the prediction from each view against the target embedding of the other.

    a′, b′ are constants: embeddings by a momentum encoder (`Target`) if there is a momentum, and otherwise the
    network's own a and b behind a stop-gradient. A subclass defines the `loss` ℓ. See `JointShaping` for the other
    arguments.

    Args:
        momentum: of the target network; None for no target network.
    """

    predicts = True

    def __init__(
        self, views: Views | None = None, momentum: float | None = None, seed: int = 0, alarm: int = 100
    ) -> None:
        super().__init__(views, seed, alarm)
        self.target = None if momentum is None else Target(momentum)

    def prepare(self, energy: Energy, data: Batch) -> None:
        super().prepare(energy, data)
        if self.target is not None:
            self.target.start(self.checked(energy).branch)

    def forward(self, energy: Energy, batch: Batch) -> Losses:
        network, both = self.checked(energy), torch.cat(self.pair(batch))
        embedded = network.embed(both)
        target = embedded.detach() if self.target is None else self.target(network.branch, both)
        a, b = (gathered(half) for half in network.predict(embedded).chunk(2))
        slow_a, slow_b = (gathered(half) for half in target.chunk(2))
        one, metrics = self.precise(a, slow_b)
        other, _ = self.precise(b, slow_a)
        return Losses({"energy": one + other}, metrics | self.watch(slow_a))

    def after_step(self, energy: Energy, batch: Batch) -> None:
        super().after_step(energy, batch)
        if self.target is not None:
            self.target.follow(self.checked(energy).branch)


def in_parts(data: Tensor) -> tuple[Tensor, ...]:
    """Split data (n, …) into nearly equal parts of at most 256 rows, since batch normalisation refuses a single row."""
    return data.tensor_split(-(-len(data) // _AT_ONCE))


def jitter(sample: Tensor, noise: PerSampleRNG) -> Tensor:
    """Samples plus noise 0.1 ε: the views of the reference cases."""
    return sample + 0.1 * noise.normal(*sample.shape[1:])


class Target(nn.Module):
    """A momentum (EMA) copy of a network: θ′ ← m θ′ + (1 − m) θ, after each step.

    Source: He et al. 2020 (MoCo), Grill et al. 2020 (BYOL). Weights and running statistics are stored in one flat
    buffer, so an update is one operation and a checkpoint of the shaping contains it.

    Args:
        momentum: m in [0, 1].
    """

    weights: Tensor

    def __init__(self, momentum: float = 0.99) -> None:
        super().__init__()
        if not 0 <= momentum <= 1:
            raise OptionError(f"The momentum must be in [0, 1], but it is {momentum}.")
        self.momentum = momentum
        self.register_buffer("weights", torch.zeros(0))

    def start(self, network: nn.Module) -> None:
        """Copy the network."""
        self.weights = torch.cat([tensor.detach().flatten() for tensor in _state(network).values()])

    def follow(self, network: nn.Module) -> None:
        """Take one EMA step towards the network."""
        now = torch.cat([tensor.detach().flatten() for tensor in _state(network).values()])
        self.weights.lerp_(now, 1 - self.momentum)

    @torch.no_grad()
    def forward(self, network: nn.Module, sample: Tensor) -> Tensor:
        """The output of `network` with the EMA weights, without gradients.

        Raises:
            ShapeError: if it was not started with a network of this size.
        """
        state = _state(network)
        sizes = [tensor.numel() for tensor in state.values()]
        if sum(sizes) != len(self.weights):
            raise ShapeError(
                f"The target network has {len(self.weights)} weights, but the network {sum(sizes)}: call "
                "prepare(energy, data) before the first step, as ll.fit does."
            )
        own = {
            name: part.view_as(tensor)
            for (name, tensor), part in zip(state.items(), self.weights.split(sizes), strict=True)
        }
        counters = {name: buffer.clone() for name, buffer in network.named_buffers() if not buffer.is_floating_point()}
        return functional_call(network, own | counters, (sample,))

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *args: Any, **options: Any) -> None:
        take_sizes(self, state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args, **options)


def _state(network: nn.Module) -> dict[str, Tensor]:
    buffers = {name: buffer for name, buffer in network.named_buffers() if buffer.is_floating_point()}
    return dict(network.named_parameters()) | buffers

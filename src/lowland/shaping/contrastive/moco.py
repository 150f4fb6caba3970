"""A queue of negatives from a momentum encoder (system J2): many more than a batch holds, and nearly consistent."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from lowland.energies.base import Energy
from lowland.errors import OptionError
from lowland.registry import register
from lowland.shaping.base import Batch, Losses, ShapingCase
from lowland.shaping.joint import JointShaping, Target, Views, in_parts, jitter
from lowland.shaping.processes import gathered


@register("shaping")
class MoCo(JointShaping):
    """L = −mean_i log e^{q_i·k_i/τ} / (e^{q_i·k_i/τ} + Σ_n e^{q_i·k_n/τ}), q = ā of one view, k_n a queue of keys.

    He, Fan, Wu, Xie & Girshick 2020, equation 1, with the projector and temperature of version 2 (Chen, Fan, Girshick &
    He 2020). Queries q_i are the normalised embeddings of the first view, keys k_i those of the second by the momentum
    encoder (`Target`), without gradients and without the paper's shuffled batch normalisation. After each step the keys
    of the batch enter the queue and the oldest leave it; it is initialised with keys of the data. See `JointShaping`
    for the other arguments.

    Energies: `JointEmbedding` without a predictor.

    Args:
        temperature: τ > 0; 0.2 in version 2.
        momentum: of the target network; 0.999 in the paper, for runs of 1,000,000 steps; 0.99 suits shorter ones.
        size: keys in the queue, at least 2; 65,536 in the paper, 4,096 in its authors' run on CIFAR-10.

    >>> case = MoCo.reference_case()
    >>> case.shaping.prepare(case.energy, case.batch)
    >>> case.shaping.queue.shape
    torch.Size([64, 8])
    """

    queue: Tensor

    def __init__(
        self,
        views: Views | None = None,
        temperature: float = 0.2,
        momentum: float = 0.99,
        size: int = 4096,
        seed: int = 0,
        alarm: int = 100,
    ) -> None:
        super().__init__(views, seed, alarm)
        if not temperature > 0 or size < 2:
            raise OptionError(f"temperature must be positive and size at least 2, not {temperature} and {size}.")
        self.temperature, self.size, self.target = temperature, size, Target(momentum)
        self.register_buffer("queue", torch.zeros(size, 0))
        self._keys = torch.zeros(0)

    @torch.no_grad()
    def prepare(self, energy: Energy, data: Batch) -> None:
        super().prepare(energy, data)
        network = self.checked(energy)
        self.target.start(network.branch)
        keys = torch.cat([self.target(network.branch, part) for part in in_parts(data.y[: self.size])])
        self.queue = functional.normalize(keys, dim=1).repeat(-(-self.size // len(keys)), 1)[: self.size]

    def forward(self, energy: Energy, batch: Batch) -> Losses:
        network, (first, second) = self.checked(energy), self.pair(batch)
        queries = gathered(network.embed(first))
        self._keys = functional.normalize(gathered(self.target(network.branch, second)), dim=1)
        loss, metrics = self.precise(functional.normalize(queries, dim=1), self._keys)
        return Losses({"energy": loss}, metrics | self.watch(queries))

    def loss(self, a: Tensor, b: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        own = (a * b).sum(dim=1, keepdim=True)
        scores = torch.cat([own, a @ self.queue.T], dim=1) / self.temperature
        first = torch.zeros(len(a), dtype=torch.int64, device=a.device)
        return functional.cross_entropy(scores, first), {"first": (scores.argmax(dim=1) == 0).float().mean()}

    def after_step(self, energy: Energy, batch: Batch) -> None:
        super().after_step(energy, batch)
        self.target.follow(self.checked(energy).branch)
        self.queue = torch.cat([self._keys, self.queue])[: self.size]

    @classmethod
    def reference_case(cls) -> ShapingCase:
        return cls.case(cls(jitter, size=64))

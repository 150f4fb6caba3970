"""A memory bank and a jigsaw (system J2): representations that are invariant to shuffling the patches of an image."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from lowland.energies.base import Energy
from lowland.errors import OptionError, ShapeError
from lowland.registry import register
from lowland.shaping.base import Batch, Losses, ShapingCase
from lowland.shaping.joint import JointShaping, Views, in_parts, jitter
from lowland.shaping.processes import gathered


@register("shaping")
class PIRL(JointShaping):
    """L = λ ℓ(m, b) + (1 − λ) ℓ(m, a), ℓ(m, v) = −mean_i [log h(m_i, v_i) + Σ_n log(1 − h(m_n, v_i))].

    h(m, v) = e^{m·v/τ} / (e^{m_i·v_i/τ} + Σ_n e^{m_n·v_i/τ}) of normalised embeddings. Misra & van der Maaten 2020,
    equations 3 to 5: a is the embedding of the view by `views`, b that of the view by `jigsaw`, m_i the memory of
    sample i, a running mean of a, and m_n the memories of other samples, drawn anew at each step. The paper embeds each
    jigsaw patch separately and has separate heads for a and b; here the patches are assembled into an image again, and
    both use the same projector. The memory of a sample not seen before is its current embedding, and as a negative a
    random direction. See `JointShaping` for the other arguments.

    Energies: `JointEmbedding` without a predictor.

    Args:
        jigsaw: makes the other view, such as `lowland.data.views.Jigsaw`; None uses `views` again.
        weight: λ in [0, 1]; 0.5 in the paper.
        temperature: τ > 0; 0.07 in the paper.
        momentum: of the running mean; 0.5 in the paper.
        negatives: number of negatives; 32,000 in the paper, on ImageNet.

    Raises:
        ShapeError: if a batch does not say which samples of the data set it holds, as with a DataLoader.

    >>> case = PIRL.reference_case()
    >>> case.shaping.prepare(case.energy, case.batch)
    >>> case.shaping.bank.shape
    torch.Size([32, 8])
    """

    bank: Tensor
    seen: Tensor

    def __init__(
        self,
        views: Views | None = None,
        jigsaw: Views | None = None,
        weight: float = 0.5,
        temperature: float = 0.07,
        momentum: float = 0.5,
        negatives: int = 4096,
        seed: int = 0,
        alarm: int = 100,
    ) -> None:
        super().__init__(views, seed, alarm)
        if not (0 <= weight <= 1 and 0 <= momentum < 1):
            raise OptionError(f"weight and momentum must be in [0, 1], but they are {weight} and {momentum}.")
        if not temperature > 0 or negatives < 1:
            raise OptionError(f"temperature and negatives must be positive, not {temperature} and {negatives}.")
        self.second, self.weight, self.temperature = jigsaw, weight, temperature
        self.momentum, self.negatives = momentum, negatives
        self.register_buffer("bank", torch.zeros(0, 0))
        self.register_buffer("seen", torch.zeros(0, dtype=torch.bool))
        self._rows, self._new = torch.zeros(0, dtype=torch.int64), torch.zeros(0)

    @torch.no_grad()
    def prepare(self, energy: Energy, data: Batch) -> None:
        super().prepare(energy, data)
        if data.index is None:
            raise ShapeError("PIRL remembers every sample by its position: train on tensors or a Dataset.")
        network = self.checked(energy)
        total = data.total or int(data.index.max()) + 1
        drawn = torch.randn(total, network.size, generator=self.generator(), dtype=torch.float32)
        self.bank = functional.normalize(drawn.to(next(network.parameters())), dim=1)
        self.seen = torch.zeros(total, dtype=torch.bool, device=self.bank.device)
        for rows, part in zip(in_parts(data.index), in_parts(data.y), strict=True):
            self.bank[rows] = functional.normalize(network.embed(part), dim=1)
        self.seen[data.index] = True

    def forward(self, energy: Energy, batch: Batch) -> Losses:
        if batch.index is None:
            raise ShapeError("PIRL remembers every sample by its position: train on tensors or a Dataset.")
        embedded = self.checked(energy).embed(torch.cat(self.pair(batch)))
        a, b = (functional.normalize(gathered(half), dim=1) for half in embedded.chunk(2))
        rows = gathered(batch.index)
        own = self.bank[rows]
        now = a.detach().to(own)  # mixed precision may have lowered its precision
        self._rows = rows
        mixed = functional.normalize(torch.lerp(now, own, self.momentum), dim=1)
        self._new = torch.where(self.seen[rows, None], mixed, now)
        draw = torch.randint(len(self.bank), (self.negatives,), generator=self.generator()).to(rows.device)
        memory = torch.where(self.seen[rows, None], own, now)
        other = draw[None] != rows[:, None]
        first, metrics = self.precise(memory, b, self.bank[draw], other)
        second, _ = self.precise(memory, a, self.bank[draw], other)
        loss = self.weight * first + (1 - self.weight) * second
        return Losses({"energy": loss}, metrics | self.watch(a))

    def loss(self, a: Tensor, b: Tensor, memories: Tensor, other: Tensor) -> tuple[Tensor, dict[str, Tensor]]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """ℓ(m, v), m = a and v = b (N, D), against `memories` (n, D), `other` (N, n) marks those of other samples."""
        scores = torch.cat([(a * b).sum(dim=1, keepdim=True), b @ memories.T], dim=1) / self.temperature
        scores[:, 1:] = scores[:, 1:].masked_fill(~other, -torch.inf)
        log_h = functional.log_softmax(scores, dim=1)
        # If one negative dominates, 1 − h underflows to 0 and its logarithm has no gradient.
        not_h = torch.log1p(-log_h[:, 1:].exp().clamp_max(1 - 1e-6)).sum(dim=1)
        first = (scores.detach().argmax(dim=1) == 0).float().mean()
        return -(log_h[:, 0] + not_h).mean(), {"first": first}

    def after_step(self, energy: Energy, batch: Batch) -> None:
        super().after_step(energy, batch)
        self.bank[self._rows], self.seen[self._rows] = self._new, True

    @classmethod
    def reference_case(cls) -> ShapingCase:
        return cls.case(cls(jitter, negatives=16))

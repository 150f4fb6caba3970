"""What a policy sees of a plant: the observation, z-scored.

Shape letters: B samples, D size of an observation.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class VectorEyes(nn.Module):
    """{"observation": (B, D)} → (o − m) / d, (B, D), clamped at 10 deviations; m and d are buffers of the log.

    Args:
        size: D.

    Attributes:
        shapes: of what a state must have for one sample, by name.
        options: the arguments by which it was made.

    >>> eyes = VectorEyes(3)
    >>> eyes({"observation": torch.ones(2, 3)}).shape
    torch.Size([2, 3])
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size, self.options = size, {"size": size}
        self.shapes = {"observation": (size,)}
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("deviation", torch.ones(size))

    def forward(self, state: Mapping[str, Tensor]) -> Tensor:
        return ((state["observation"] - self.mean) / self.deviation).clamp(-10, 10)

    def distance(self, state: Mapping[str, Tensor]) -> Tensor:
        """How far from the log an observation is, (B,): max_i |o_i − m_i| / d_i, in deviations.

        Where it is larger than anywhere in the log, nothing is known about what the policy does. A small distance does
        not say the opposite: each number may be usual, and their combination unseen.

        >>> VectorEyes(2).distance({"observation": torch.tensor([[1.0, -3.0]])})
        tensor([3.])
        """
        return ((state["observation"] - self.mean) / self.deviation).abs().amax(dim=1)

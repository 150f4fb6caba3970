"""What a policy sees of a vector."""

from __future__ import annotations

import torch

from lowland.nn.vector_eyes import VectorEyes


def test_the_observation_is_z_scored_and_clamped() -> None:
    eyes = VectorEyes(2)
    eyes.mean.copy_(torch.tensor([1.0, 0.0]))
    eyes.deviation.copy_(torch.tensor([2.0, 1.0]))
    assert eyes({"observation": torch.tensor([[5.0, -99.0]])}).tolist() == [[2.0, -10.0]]


def test_what_it_needs_is_written_down() -> None:
    eyes = VectorEyes(3)
    assert eyes.shapes == {"observation": (3,)}
    assert VectorEyes(**eyes.options).size == 3

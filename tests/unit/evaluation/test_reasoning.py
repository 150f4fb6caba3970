"""Descents that run away are seen by their slope, and end where they had most nearly come to rest."""

from __future__ import annotations

import torch

from lowland.domains import Reals
from lowland.energies.base import Energy
from lowland.evaluation.reasoning import descended, whole_boards


class _Saddle(Energy):
    """E(x, y) = ½ (y − b)ᵀ diag(1, x₀) (y − b) with b = (1, 1): a saddle where x₀ is negative."""

    def __init__(self) -> None:
        super().__init__(x=Reals(1), y=Reals(2))

    def energy(self, x, y, z):
        curvature = torch.cat([torch.ones_like(x), x], dim=1)
        return 0.5 * (curvature * (y - 1).square()).sum(dim=1)


def test_a_row_without_a_minimum_is_seen_and_gets_the_point_of_least_slope() -> None:
    x, y = torch.tensor([[0.5], [-0.01]]), torch.ones(2, 2)
    found = descended(_Saddle(), x, y, (1, 400), momentum=0.5)
    assert found.ran_away[-1].tolist() == [False, True]
    torch.testing.assert_close(found.answers[-1, 0], y[0], atol=1e-4, rtol=0)
    # Along the second axis E only falls; the slope is least soon after the first axis has come to rest at 1.
    assert abs(found.answers[-1, 1, 0].item() - 1) < 0.05
    assert -1 < found.answers[-1, 1, 1].item() <= 0
    expected = (found.answers[-1] - y).square().mean().item()
    assert abs(found.errors[400] - expected) < 1e-6


def test_boards_count_only_if_every_cell_is_right() -> None:
    truth = torch.eye(4)[torch.tensor([[0, 1, 2, 3], [3, 2, 1, 0]])].flatten(1)
    found = truth.clone()
    found[1, :4] = torch.tensor([0.6, 0.0, 0.0, 0.5])  # one cell of the second
    assert whole_boards(found, truth, 4) == 50.0

"""Kinematics: the order of the published code, its bounds, its gradients, and its inverse."""

from __future__ import annotations

import math

import pytest
import torch

from lowland.errors import ShapeError
from lowland.worlds.kinematics import advance, bounds, inverse


def test_one_step_by_hand() -> None:
    own = torch.tensor([[1.0, 2.0, 0.6, 0.8, 10.0]], dtype=torch.float64)
    length = torch.tensor([7.7], dtype=torch.float64)
    limit = bounds(length)
    action = torch.tensor([[-0.5, 1.0]], dtype=torch.float64)
    swing = 0.0649 / 4 * 10 * 0.1
    dx, dy = 0.6 + 0.8 * swing, 0.8 - 0.6 * swing
    norm = math.hypot(dx, dy)
    expected = torch.tensor([[1.6, 2.8, dx / norm, dy / norm, 10 - 0.5 * 6.17 * 0.1]], dtype=torch.float64)
    torch.testing.assert_close(advance(own, action, length, 0.1), expected, rtol=1e-12, atol=0)
    assert math.isclose(float(limit[0, 0]), 6.17)
    assert float(bounds(torch.tensor([2.0]))[0, 1]) == pytest.approx(0.0649)


def test_speed_never_falls_below_zero() -> None:
    own = torch.tensor([[0.0, 0.0, 1.0, 0.0, 0.1]])
    assert float(advance(own, torch.tensor([[-1.0, 0.0]]), torch.tensor([4.0]), 0.1)[0, 4]) == 0


def test_gradients_by_finite_differences() -> None:
    generator = torch.Generator().manual_seed(0)
    own = torch.rand(3, 5, dtype=torch.float64, generator=generator) + 1
    own[:, 2:4] /= own[:, 2:4].norm(dim=1, keepdim=True)
    action = torch.rand(3, 2, dtype=torch.float64, generator=generator).requires_grad_()
    length = torch.full((3,), 4.5, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda o, a: advance(o, a, length, 0.2), (own.requires_grad_(), action))


@pytest.mark.parametrize("every", [1, 2, 3])
def test_the_inverse_then_kinematics_is_the_identity(every: int) -> None:
    """Unclipped and unsmoothed, for speeds above 0.5 m/s, 500 random walks."""
    generator = torch.Generator().manual_seed(every)
    turn = 0.05 * torch.randn(500, 61, dtype=torch.float64, generator=generator).cumsum(1)
    speed = 0.6 + 15 * torch.rand(500, 61, dtype=torch.float64, generator=generator)
    path = torch.stack([(speed * turn.cos()).cumsum(1), (speed * turn.sin()).cumsum(1)], dim=-1) * 0.1 / every
    length = 3 + 5 * torch.rand(500, dtype=torch.float64, generator=generator)
    own, action = inverse(path, length, 0.1, every)
    good = (own[..., 4] > 0.5)[:, : action.shape[1]] & (own[..., 4] > 0.5)[:, every:]
    assert float(good.double().mean()) > 0.9
    found = advance(own[:, : action.shape[1]], action, length[:, None], 0.1 * every)
    assert float((found - own[:, every:]).abs()[good].max()) < 1e-4
    # And along the whole path, from its first state on, in float64.
    if bool(good.all()):
        state = own[:, 0]
        for t in range(0, action.shape[1], every):
            state = advance(state, action[:, t], length, 0.1 * every)
            torch.testing.assert_close(state[:, :2], path[:, t + every], atol=1e-4, rtol=0)


def test_a_car_that_stands_keeps_its_heading_and_does_not_turn() -> None:
    still = torch.zeros(1, 10, 2)
    own, action = inverse(still, torch.tensor([4.5]), 0.1)
    assert own[0, :, 2:].tolist() == [[1.0, 0.0, 0.0]] * 9
    assert not action.any()
    x = torch.tensor([0.0, 1, 2, 3, 3, 3, 3, 3])
    path = torch.stack([x, x], dim=1)[None]
    own, action = inverse(path, torch.tensor([4.5]), 0.1)
    torch.testing.assert_close(own[0, :, 2:4], torch.full((7, 2), math.sqrt(0.5)))
    assert not action[..., 1].any()


def test_a_path_that_is_too_short_is_refused() -> None:
    with pytest.raises(ShapeError, match="at least 5 frames"):
        inverse(torch.zeros(1, 4, 2), torch.tensor([4.5]), 0.1, every=2)
